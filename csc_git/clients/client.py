"""Clients: the known ones, where their settings are, and the form of an entry in them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from csc_git.clients.launch import Flags, arguments, launch

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
"""Variables that git needs to reach remotes, and that not every MCP client gives its servers."""

INHERITED: Final = (
    "HOME",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TERM",
    "USER",
)
"""Variables that every client gives its servers: the default of the MCP SDKs for stdio."""


@dataclass(frozen=True)
class Client:
    """A program that starts MCP servers.

    Attributes:
        key: Its name on the command line.
        title: Its own name.
        file: Its settings for a project, relative to the project's top; None: only its own command
            may write them.
        member: The member of the settings that contains the servers.
        variable: How its settings refer to an environment variable; None: a reference may hide
            the variable from the server.
        extra: Further members of an entry.
        hands_on_all: Whether its servers get its whole environment, as observed.
    """

    key: str
    title: str
    file: str | None
    member: str = "mcpServers"
    variable: str | None = "${{env:{}}}"
    extra: Mapping[str, Any] | None = None
    hands_on_all: bool = False

    def entry(self, flags: Flags) -> dict[str, Any]:
        """The entry by which it starts the server.

        Args:
            flags: Settings given on the command line; the server gets them too.
        """
        command, start = launch()
        entry = dict(self.extra or {})
        entry["command"] = command
        entry["args"] = [*start, "serve", *arguments(flags)]
        variables = self._variables()
        if variables:
            entry["env"] = variables
        return entry

    def _variables(self) -> dict[str, str]:
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
