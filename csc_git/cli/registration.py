"""Registration with Claude Code: one member in the project's `.mcp.json`.

Merged, never rewritten: our member is inserted as text, so that what stands there keeps its order
and its white space, and undoing it gives back the very bytes.
"""

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any, Final

from csc_git.errors import InvalidSetting
from csc_git.git.durable import read_json, write_json

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


def server_entry() -> dict[str, Any]:
    """How a client starts the server, as `.mcp.json` says it."""
    on_path = shutil.which("csc-git")
    entry: dict[str, Any] = {
        "command": "csc-git" if on_path else sys.executable,
        "args": ["serve"] if on_path else ["-m", "csc_git", "serve"],
    }
    passed = {name: f"${{{name}:-}}" for name in _PASSED_ON if os.environ.get(name)}
    return entry | ({"env": passed} if passed else {})


class Registration:
    """Our member of one `.mcp.json`.

    Args:
        file: The `.mcp.json`.
        memory: Where to note what was inserted, to take out the very same.
    """

    def __init__(self, file: Path, memory: Path) -> None:
        self._file = file
        self._memory = memory

    def add(self) -> str:
        """Register the server; what was done, in a few words.

        Raises:
            InvalidSetting: the file is not what Claude Code could read either.
        """
        if not self._file.exists():
            text = json.dumps({"mcpServers": {NAME: server_entry()}}, indent=2) + "\n"
            self._file.write_text(text, encoding="utf-8")
            write_json(self._memory, {"created": text})
            return "added (new file)"
        text, servers = self._read()
        if NAME in servers:
            return "was registered already"
        inserted, changed = _insert(text, servers)
        self._file.write_text(changed, encoding="utf-8")
        write_json(self._memory, {"inserted": inserted})
        return "added"

    def remove(self) -> str:
        """Undo `add`; what was done, in a few words."""
        if not self._file.exists():
            return "is not there"
        noted = read_json(self._memory) or {}
        text, servers = self._read()
        if NAME not in servers:
            return "was not registered"
        if text == noted.get("created"):
            self._file.unlink()
        elif noted.get("inserted") and text.count(noted["inserted"]) == 1:
            self._file.write_text(text.replace(noted["inserted"], ""), encoding="utf-8")
        else:
            self._file.write_text(_without(text), encoding="utf-8")
        self._memory.unlink(missing_ok=True)
        return "removed"

    def _read(self) -> tuple[str, dict[str, Any]]:
        text = self._file.read_text(encoding="utf-8")
        try:
            servers = json.loads(text).get("mcpServers", {})
        except (ValueError, AttributeError) as error:
            raise self._unusable(str(error)) from None
        if not isinstance(servers, dict):
            raise self._unusable("mcpServers is no object")
        return text, servers

    def _unusable(self, why: str) -> InvalidSetting:
        return InvalidSetting(
            f"{self._file} can't be read as MCP settings: {why}", then="Mend the file first"
        )


def _insert(text: str, servers: dict[str, Any]) -> tuple[str, str]:
    """The text inserted, and the file with it."""
    expected = json.loads(text)
    expected["mcpServers"] = {NAME: server_entry(), **servers}
    step = _indent(text)
    entry = json.dumps(server_entry(), indent=step).replace("\n", f"\n{step * 2}")
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
            then=f'Add under "mcpServers": "{NAME}": {json.dumps(server_entry())}',
        )
    return inserted, changed


def _without(text: str) -> str:
    settings = json.loads(text)
    del settings["mcpServers"][NAME]
    return json.dumps(settings, indent=_indent(text)) + "\n"


def _indent(text: str) -> str:
    found = re.search(r"\n([ \t]+)\S", text)
    return found[1] if found else "  "
