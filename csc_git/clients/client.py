"""Clients: which there are, where their settings stand, and the form of an entry in them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from csc_git.clients.launch import arguments, launch

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
        command, start = launch()
        entry: dict[str, Any] = {
            "command": command,
            "args": [*start, "serve", *arguments(flags)],
        }
        passed = self._passed()
        return {
            **(self.extra or {}),
            **entry,
            **({"env": passed} if passed else {}),
        }

    def _passed(self) -> dict[str, str]:
        if self.variable is None:
            return {}
        return {
            name: self.variable.format(name)
            for name in PASSED_ON
            if os.environ.get(name)
        }


_OR_NOTHING: Final = "${{{}:-}}"
_STDIO: Final = {"type": "stdio"}

CLIENTS: Final = {
    client.key: client
    for client in (
        Client(
            "claude",
            "Claude Code",
            ".mcp.json",
            variable=_OR_NOTHING,
            hands_on_all=True,
        ),
        Client(
            "claude-user",
            "Claude Code, all projects",
            None,
            variable=_OR_NOTHING,
            hands_on_all=True,
        ),
        Client(
            "vscode",
            "VS Code",
            ".vscode/mcp.json",
            "servers",
            None,
            _STDIO,
            hands_on_all=True,
        ),
        Client("cursor", "Cursor", ".cursor/mcp.json"),
    )
}
