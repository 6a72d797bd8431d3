"""Claude Code's settings for all projects of a person: only its own command may write them.

It keeps its whole state in that file and rewrites it while it runs.
"""

import json
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from csc_git.clients.client import CLIENTS, NAME
from csc_git.errors import InvalidSetting
from csc_git.text import readable

_SECONDS: Final = 60.0
_SCOPE: Final = ("--scope", "user")


class UserRegistration:
    """The server, in Claude Code's settings of one person.

    Args:
        flags: Settings that the server shall get.
    """

    def __init__(self, flags: Mapping[str, Any]) -> None:
        self.file = Path.home() / ".claude.json"
        self._entry = CLIENTS["claude-user"].entry(flags)
        self._insists = any(value is not None for value in flags.values())

    def add(self) -> str:
        """Put it in; what was done, in a few words.

        Raises:
            InvalidSetting: there is no `claude`, or it refuses.
        """
        if (found := self.found()) is not None:
            if self._insists and found != self._entry:
                raise InvalidSetting(
                    f"{NAME} is registered in {self.file} with other settings",
                    then="Take it out first: csc-git init --undo --client claude-user",
                )
            return "was registered already"
        self._claude(*self._adding())
        return "added, by claude mcp add-json"

    def remove(self) -> str:
        """Take it out; what was done, in a few words; empty if it wasn't there."""
        if self.found() is None:
            return ""
        self._claude("mcp", "remove", NAME, *_SCOPE)
        return "removed, by claude mcp remove"

    def preview(self, *, undo: bool = False) -> str:
        """The command that `add` (or `remove`) would run."""
        if (self.found() is not None) != undo:
            return ""
        if undo:
            return f"claude mcp remove {NAME} {' '.join(_SCOPE)}\n"
        return f"{shlex.join(['claude', *self._adding()])}\n"

    def found(self) -> Any:  # noqa: ANN401  any JSON
        """What is there of ours; None if nothing.

        Raises:
            InvalidSetting: the file can't be read.
        """
        return self._said("mcpServers", NAME)

    def found_for(self, top: Path) -> Any:  # noqa: ANN401  any JSON
        """What is there for one project alone, as `claude mcp add` puts it; None if nothing.

        Raises:
            InvalidSetting: the file can't be read.
        """
        return self._said("projects", str(top), "mcpServers", NAME)

    def _said(self, *path: str) -> Any:  # noqa: ANN401  any JSON
        try:
            said = json.loads(self.file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise InvalidSetting(
                f"{self.file} can't be read as settings: {error}",
                then="Mend the file first",
            ) from None
        for name in path:
            said = said.get(name) if isinstance(said, dict) else None
        return said

    def _adding(self) -> list[str]:
        return ["mcp", "add-json", *_SCOPE, NAME, json.dumps(self._entry)]

    def _claude(self, *arguments: str) -> None:
        claude = shutil.which("claude")
        if claude is None:
            raise InvalidSetting(
                "There is no claude on PATH, and only it may write its settings for all projects",
                then="Install Claude Code, or register in this project: csc-git init",
            )
        try:
            done = subprocess.run(  # noqa: S603  an argument list
                [claude, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise InvalidSetting(
                f"claude {arguments[1]} did not end in time"
            ) from None
        if done.returncode:
            raise InvalidSetting(
                f"claude {arguments[1]} failed: {readable(done.stderr or done.stdout)}"
            )
