"""Registration with Claude Code: one member in the project's `.mcp.json`.

Merged, never rewritten: our member is inserted as text, so that what stands there keeps its order
and its white space, and undoing it gives back the very bytes.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from csc_git.errors import InvalidSetting
from csc_git.git.durable import read_json, replace_file, write_json

NAME: Final = "csc-git"
_PASSED_ON: Final = (
    "SSH_AUTH_SOCK",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "all_proxy",
    "no_proxy",
)
"""What git needs to reach remotes, and MCP clients do not hand to their servers by themselves."""

_SERVERS: Final = re.compile(r'"mcpServers"\s*:\s*\{')


def is_shareable() -> bool:
    """Whether the entry works on other machines too: it names no path of this one."""
    return shutil.which("csc-git") is not None


def server_entry(flags: Mapping[str, Any]) -> dict[str, Any]:
    """How a client starts the server, as `.mcp.json` says it.

    Args:
        flags: Settings given on the command line; the server gets them too.
    """
    given = [part for name, value in flags.items() for part in _flag(name, value)]
    start = ["serve"] if is_shareable() else ["-P", "-m", "csc_git", "serve"]
    entry: dict[str, Any] = {
        "command": "csc-git" if is_shareable() else sys.executable,
        "args": [*start, *given],
    }
    passed = {name: f"${{{name}:-}}" for name in _PASSED_ON if os.environ.get(name)}
    return entry | ({"env": passed} if passed else {})


class Registration:
    """Our member of one `.mcp.json`.

    Args:
        file: The `.mcp.json`.
        memory: Where to note what was inserted, to take out the very same.
        flags: Settings that the server shall get.
    """

    def __init__(self, file: Path, memory: Path, flags: Mapping[str, Any]) -> None:
        self._file = file
        self._memory = memory
        self._entry = server_entry(flags)

    def check(self) -> None:
        """Raise InvalidSetting if the file can't be added to; nothing is changed."""
        if self._exists():
            text, servers = self._read()
            if NAME not in servers:
                self._insert(text, servers)

    def add(self) -> str:
        """Register the server; what was done, in a few words.

        Raises:
            InvalidSetting: the file is not what Claude Code could read either.
        """
        if not self._exists():
            text = json.dumps({"mcpServers": {NAME: self._entry}}, indent=2) + "\n"
            replace_file(self._file, text.encode())
            write_json(self._memory, {"created": text})
            return "added (new file)"
        text, servers = self._read()
        if NAME in servers:
            same = servers[NAME] == self._entry
            return "was registered already" + ("" if same else ", otherwise; left as it was")
        inserted, changed = self._insert(text, servers)
        replace_file(self._file, changed.encode())
        write_json(self._memory, {"inserted": inserted})
        return "added"

    def remove(self) -> str:
        """Undo `add`; what was done, in a few words."""
        if not self._exists():
            return "is not there"
        noted = read_json(self._memory) or {}
        text, servers = self._read()
        if NAME not in servers:
            return "was not registered"
        if text == noted.get("created"):
            self._file.unlink()
        elif noted.get("inserted") and text.count(noted["inserted"]) == 1:
            replace_file(self._file, text.replace(noted["inserted"], "").encode())
        else:
            replace_file(self._file, _without(text).encode())
        self._memory.unlink(missing_ok=True)
        return "removed"

    def _exists(self) -> bool:
        return self._file.exists() or self._file.is_symlink()

    def _read(self) -> tuple[str, dict[str, Any]]:
        try:
            text = self._file.read_bytes().decode()  # with its own line ends
            servers = json.loads(text).get("mcpServers", {})
        except (OSError, ValueError, AttributeError) as error:
            raise self._unusable(str(error)) from None
        if not isinstance(servers, dict):
            raise self._unusable("mcpServers is no object")
        return text, servers

    def _insert(self, text: str, servers: dict[str, Any]) -> tuple[str, str]:
        """The text inserted, and the file with it."""
        expected = json.loads(text)
        expected["mcpServers"] = {NAME: self._entry, **servers}
        step = _indent(text)
        entry = json.dumps(self._entry, indent=step).replace("\n", f"\n{step * 2}")
        place = _SERVERS.search(text)
        if place is not None:
            inserted = f'\n{step * 2}"{NAME}": {entry}' + ("," if servers else f"\n{step}")
            changed = text[: place.end()] + inserted + text[place.end() :]
        else:
            members = f'"mcpServers": {{\n{step * 2}"{NAME}": {entry}\n{step}}}'
            inserted = f"\n{step}{members}" + ("," if len(expected) > 1 else "\n")
            changed = text.replace("{", "{" + inserted, 1)
        if json.loads(changed) != expected:
            raise InvalidSetting(
                "The settings have a form that can't be added to by itself",
                then=f'Add under "mcpServers": "{NAME}": {json.dumps(self._entry)}',
            )
        return inserted, changed

    def _unusable(self, why: str) -> InvalidSetting:
        return InvalidSetting(
            f"{self._file} can't be read as MCP settings: {why}", then="Mend the file first"
        )


def _flag(name: str, value: Any) -> list[str]:  # noqa: ANN401  a setting's
    if value is None:
        return []
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [f"--{name}", str(value)]


def _without(text: str) -> str:
    settings = json.loads(text)
    del settings["mcpServers"][NAME]
    return json.dumps(settings, indent=_indent(text)) + "\n"


def _indent(text: str) -> str:
    found = re.search(r"\n([ \t]+)\S", text)
    return found[1] if found else "  "
