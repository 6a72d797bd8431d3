"""Our hooks in Claude Code's settings: which commands Claude Code runs at which events."""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Final

from csc_git.clients.document import Document
from csc_git.clients.launch import Flags, has_settings, hook_command
from csc_git.clients.registration import Registration
from csc_git.errors import InvalidSetting

_TOOLS: Final = "Edit|MultiEdit|Write|NotebookEdit"
EVENTS: Final = {
    "SessionStart": ("session-start", None),
    "PreToolUse": ("before-edit", _TOOLS),
    "SessionEnd": ("session-end", None),
}
_HOOK_SECONDS: Final = 5
_OUR_NAMES: Final = (
    "csc-git-hook",
    "csc_git.hooks",
)
"""Names of our hook's command and package. A command that contains such a name runs our hook."""

_Item = dict[str, Any]
"""A hook as JSON, or a group of hooks as JSON. For each event, there is a list of groups."""

_ByEvent = dict[str, list[_Item]]


class HookRegistration(Registration):
    """Our hooks in Claude Code's personal settings for one project.

    Args:
        top: The project's top.
        memory: The file that records what was inserted in the settings; see `memory_of`.
        flags: The settings, by name, that the server gets as options.
    """

    def __init__(
        self,
        top: Path,
        memory: Path,
        flags: Flags,
    ) -> None:
        file = top / ".claude" / "settings.local.json"
        insists = has_settings(flags)
        super().__init__(file, memory, insists=insists)
        self._branch = flags.get("branch")

    def _insert(self, document: Document) -> None:
        there = self._by_event(document)
        for name in EVENTS:
            if name not in there:
                item = self._item(name)
                document.prepend(("hooks", name), item)

    def _item(self, name: str) -> _Item:
        """The group of hooks that we add to the list of an event."""
        event, matcher = EVENTS[name]
        hook = {
            "type": "command",
            "command": hook_command(event, self._branch),
            "timeout": _HOOK_SECONDS,
        }
        item: _Item = {}
        if matcher:
            item["matcher"] = matcher
        item["hooks"] = [hook]
        return item

    def _cut(self, document: Document) -> None:
        for item in self._ours(document):
            hooks = item.get("hooks") or []
            if not all(map(_runs_ours, hooks)):
                raise InvalidSetting(
                    f"In {self.file} the hook of csc-git shares an entry with other hooks",
                    then="Remove csc-git-hook from that entry by hand",
                )
        for name in EVENTS:
            document.remove_items(("hooks", name), _runs_ours)

    def _ours(self, document: Document) -> list[_Item]:
        items = self._by_event(document).values()
        return list(chain.from_iterable(items))

    def _by_event(self, document: Document) -> _ByEvent:
        """The groups that contain our hooks, by the names of the events."""
        found: _ByEvent = {}
        for name in EVENTS:
            items = document.get("hooks", name)
            if not isinstance(items, list):
                continue
            ours = list(filter(_is_ours, items))
            if ours:
                found[name] = ours
        return found

    def _is_whole(self, document: Document) -> bool:
        there = self._by_event(document)
        return there.keys() == EVENTS.keys()

    def _is_same(self, document: Document) -> bool:
        there = self._by_event(document)
        ours = {name: [self._item(name)] for name in there}
        return there == ours

    def commands(self) -> dict[str, str]:
        """The registered commands of our hooks, by the names of the events.

        Raises:
            InvalidSetting: The file can't be read.
        """
        commands = dict[str, str]()
        document = self._read()
        there = self._by_event(document)
        for name, items in there.items():
            for hook in _hooks_of(items):
                if "command" in hook:
                    commands[name] = str(hook["command"])
        return commands


def _hooks_of(items: list[_Item]) -> Iterator[_Item]:
    """Yield our hooks from an event's groups."""
    for item in items:
        hooks = item.get("hooks") or []
        yield from filter(_is_ours, hooks)


def _is_ours(item: Any) -> bool:  # noqa: ANN401
    if not isinstance(item, dict):
        return False
    return _runs_ours(item)


def _runs_ours(item: Any) -> bool:  # noqa: ANN401
    """Whether `item` is one of our hooks, or a group that contains one of our hooks."""
    text = json.dumps(item)
    return any(name in text for name in _OUR_NAMES)
