"""Claude Code's settings for all projects of a person. Only `claude` may write these settings.

Claude Code keeps its whole state in the settings file, and rewrites the file while it runs.
"""

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from csc_git.clients.client import CLIENTS, NAME
from csc_git.clients.launch import Flags, has_settings
from csc_git.errors import InvalidSetting
from csc_git.text import readable

_SECONDS: Final = 60.0
_SCOPE: Final = ("--scope", "user")


class UserRegistration:
    """The server's entry in Claude Code's settings for all projects of one person.

    Args:
        flags: The settings, by name, that the server gets as options.
    """

    def __init__(self, flags: Flags) -> None:
        self.file = Path.home() / ".claude.json"
        self._entry = CLIENTS["claude-user"].entry(flags)
        self._insists = has_settings(flags)

    def add(self) -> str:
        """Add the entry; return what was done, in a few words.

        Raises:
            InvalidSetting: The command `claude` is missing or fails, or another entry exists.
        """
        found = self.found()
        if found is None:
            self._claude(*self._adding())
            return "added, by claude mcp add-json"
        if self._insists and found != self._entry:
            raise InvalidSetting(
                f"{NAME} is registered in {self.file} with other settings",
                then="Remove that entry first: csc-git init --undo --client claude-user",
            )
        return "was registered already"

    def remove(self) -> str:
        """Remove the entry. Return what was done, in a few words; empty if there was no entry."""
        if self.found() is None:
            return ""
        self._claude(*self._removing())
        return "removed, by claude mcp remove"

    def preview(self, *, undo: bool = False) -> str:
        """The command that `add` (or `remove`) would run; empty if no command would be run.

        Args:
            undo: Whether to preview `remove` instead of `add`.
        """
        is_registered = self.found() is not None
        if is_registered != undo:
            return ""
        arguments = self._adding()
        if undo:
            arguments = self._removing()
        command = shlex.join(["claude", *arguments])
        return f"{command}\n"

    def found(self) -> Any:  # noqa: ANN401  any JSON
        """The entry for csc-git; None if there is no entry.

        Raises:
            InvalidSetting: The file can't be read.
        """
        return self._get("mcpServers", NAME)

    def found_for(self, top: Path) -> Any:  # noqa: ANN401  any JSON
        """The entry that `claude mcp add` wrote for one project; None if there is no such entry.

        Args:
            top: The project's top.

        Raises:
            InvalidSetting: The file can't be read.
        """
        return self._get(
            "projects",
            str(top),
            "mcpServers",
            NAME,
        )

    def _get(self, *path: str) -> Any:  # noqa: ANN401  any JSON
        """The value at a path of member names; None if a member on the path is missing."""
        try:
            content = self.file.read_bytes()
            value = json.loads(content)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise InvalidSetting(
                f"{self.file} can't be read as settings: {error}",
                then="Repair the file first",
            ) from None
        for name in path:
            if not isinstance(value, dict):
                return None
            value = value.get(name)
        return value

    def _adding(self) -> list[str]:
        """The arguments of `claude` that add the entry."""
        entry = json.dumps(self._entry)
        return [
            "mcp",
            "add-json",
            *_SCOPE,
            NAME,
            entry,
        ]

    def _removing(self) -> list[str]:
        """The arguments of `claude` that remove the entry."""
        return [
            "mcp",
            "remove",
            NAME,
            *_SCOPE,
        ]

    def _claude(self, *arguments: str) -> None:
        """Run Claude Code's command."""
        command = f"claude {arguments[1]}"
        claude = shutil.which("claude")
        if claude is None:
            raise InvalidSetting(
                "There is no claude on PATH; only claude may write its settings for all projects",
                then="Install Claude Code, or register csc-git in this project only: csc-git init",
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
            message = f"{command} did not end in time"
            raise InvalidSetting(message) from None
        if done.returncode:
            why = readable(done.stderr or done.stdout)
            raise InvalidSetting(f"{command} failed: {why}")
