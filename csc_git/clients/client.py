"""Clients: which there are, where their settings stand, and how each starts our server."""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

NAME: Final = "csc-git"
PASSED_ON: Final = (
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
"""What git needs to reach remotes, and not every MCP client hands to its servers by itself."""

INHERITED: Final = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
"""What each does: the MCP SDKs' default environment of a stdio server."""

_MARKS: Final = ("pyvenv.cfg", "conda-meta")
"""Of an environment: what venv (PEP 405) and conda leave in it."""


@dataclass(frozen=True)
class Client:
    """A program that starts MCP servers.

    Attributes:
        key: What people call it on the command line.
        title: What it calls itself.
        file: Its settings for a project, from the project's top; None: only its own command
            may write them.
        member: The member of those that holds the servers.
        variable: How its settings name an environment variable; None: naming one may hide it.
        extra: Further members of an entry.
        hands_on_all: Whether its servers get its whole environment, as was seen.
    """

    key: str
    title: str
    file: str | None
    member: str = "mcpServers"
    variable: str | None = "${{env:{}}}"
    extra: Mapping[str, Any] | None = None
    hands_on_all: bool = False

    def entry(self, flags: Mapping[str, Any]) -> dict[str, Any]:
        """How it starts the server.

        Args:
            flags: Settings given on the command line; the server gets them too.
        """
        given = [part for name, value in flags.items() for part in _flag(name, value)]
        command, start = launch()
        entry: dict[str, Any] = {"command": command, "args": [*start, "serve", *given]}
        passed = self._passed()
        return {**(self.extra or {}), **entry, **({"env": passed} if passed else {})}

    def _passed(self) -> dict[str, str]:
        if self.variable is None:
            return {}
        return {name: self.variable.format(name) for name in PASSED_ON if os.environ.get(name)}


_OR_NOTHING: Final = "${{{}:-}}"
_STDIO: Final = {"type": "stdio"}

CLIENTS: Final = {
    client.key: client
    for client in (
        Client("claude", "Claude Code", ".mcp.json", variable=_OR_NOTHING, hands_on_all=True),
        Client(
            "claude-user",
            "Claude Code, all projects",
            None,
            variable=_OR_NOTHING,
            hands_on_all=True,
        ),
        Client("vscode", "VS Code", ".vscode/mcp.json", "servers", None, _STDIO, hands_on_all=True),
        Client("cursor", "Cursor", ".cursor/mcp.json"),
    )
}


def launch() -> tuple[str, list[str]]:
    """Command and first arguments that start csc-git.

    By its name where that is on PATH for good, so that the entry works on other machines too; else
    by this interpreter, told not to look for modules in the project (`-P`).
    """
    if is_on_path("csc-git"):
        return "csc-git", []
    return sys.executable, ["-P", "-m", "csc_git"]


def is_on_path(command: str) -> bool:
    """Whether a command is on PATH, and not only because an environment is activated in this shell.

    An editor has the PATH of a login shell, in which no environment is.
    """
    found = shutil.which(command)
    return found is not None and not any((Path(found).parents[1] / m).exists() for m in _MARKS)


def is_shareable() -> bool:
    """Whether entries work on other machines too: they name no path of this one."""
    return launch()[0] == "csc-git"


_OF_HOOKS: Final = ("branch", "remote", "sync")


def hook_command(event: str, flags: Mapping[str, Any]) -> str:
    """The shell command of a hook; it looks, and signs off, where the server does."""
    start = ["csc-git-hook"]
    if not is_on_path("csc-git-hook"):
        start = [sys.executable, "-P", "-m", "csc_git.hooks.main"]
    given = {name: flags[name] for name in _OF_HOOKS if flags.get(name) is not None}
    where = (f"CSC_{name.upper()}={shlex.quote(str(value))} " for name, value in given.items())
    return "".join(where) + shlex.join([*start, event])


def _flag(name: str, value: Any) -> list[str]:  # noqa: ANN401  a setting's
    if value is None:
        return []
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [f"--{name}", str(value)]
