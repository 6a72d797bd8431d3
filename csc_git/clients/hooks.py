"""Our hooks in Claude Code's settings: what is registered to be run, and at which events."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from csc_git.clients.document import Document
from csc_git.clients.launch import hook_command
from csc_git.clients.registration import Registration
from csc_git.errors import InvalidSetting

_TOOLS: Final = "Edit|MultiEdit|Write|NotebookEdit"
EVENTS: Final = {
    "SessionStart": ("session-start", None),
    "PreToolUse": ("before-edit", _TOOLS),
    "SessionEnd": ("session-end", None),
}
_HOOK_SECONDS: Final = 5


class HookRegistration(Registration):
    """The hooks, in Claude Code's settings of one person for one project.

    Args:
        top: The project's top.
        memory: As above.
        flags: Settings that the server gets.
    """

    def __init__(
        self, top: Path, memory: Path, flags: Mapping[str, Any]
    ) -> None:
        file = top / ".claude" / "settings.local.json"
        super().__init__(
            file, memory, insists=any(v is not None for v in flags.values())
        )
        self._branch = flags.get("branch")

    def _insert(self, document: Document) -> None:
        there = self._by_event(document)
        for name, item in self._items().items():
            if name not in there:
                document.prepend(("hooks", name), item)

    def _items(self) -> dict[str, Any]:
        return {
            name: {
                **({"matcher": matcher} if matcher else {}),
                "hooks": [
                    {
                        "type": "command",
                        "command": hook_command(event, self._branch),
                        "timeout": _HOOK_SECONDS,
                    }
                ],
            }
            for name, (event, matcher) in EVENTS.items()
        }

    def _cut(self, document: Document) -> None:
        if any(
            not all(map(_is_ours, item.get("hooks") or []))
            for item in self._ours(document)
        ):
            raise InvalidSetting(
                f"In {self.file} csc-git's hook stands together with others",
                then="Take csc-git-hook out there by hand",
            )
        for name in EVENTS:
            document.remove_items(("hooks", name), _is_ours)

    def _ours(self, document: Document) -> Any:  # noqa: ANN401
        return [
            item
            for items in self._by_event(document).values()
            for item in items
        ]

    def _by_event(self, document: Document) -> dict[str, list[dict[str, Any]]]:
        """What is there of ours, by the names of the events."""
        found: dict[str, list[dict[str, Any]]] = {}
        for name in EVENTS:
            items = document.get("hooks", name)
            ours = (
                list(filter(_is_hook, items)) if isinstance(items, list) else []
            )
            if ours:
                found[name] = ours
        return found

    def _is_whole(self, document: Document) -> bool:
        return self._by_event(document).keys() == EVENTS.keys()

    def _is_same(self, document: Document) -> bool:
        there = self._by_event(document)
        return all(
            items == [self._items()[name]] for name, items in there.items()
        )

    def commands(self) -> dict[str, str]:
        """The commands of ours that are there, by the names of their events.

        Raises:
            InvalidSetting: the file can't be read.
        """
        found = self._by_event(self._read())
        return {
            name: str(hook["command"])
            for name, items in found.items()
            for item in items
            for hook in item.get("hooks") or []
            if _is_hook(hook) and "command" in hook
        }


def _is_hook(item: Any) -> bool:  # noqa: ANN401
    return isinstance(item, dict) and _is_ours(item)


def _is_ours(item: Any) -> bool:  # noqa: ANN401
    """Whether a hook, or an element of the hooks of an event, runs ours."""
    said = json.dumps(item)
    return "csc-git-hook" in said or "csc_git.hooks" in said
