"""The MCP clients that csc-git knows: their settings files, and the form of an entry."""

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
"""Variables that git needs to reach remotes. Not every MCP client passes them to its servers."""

INHERITED: Final = (
    "HOME",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TERM",
    "USER",
)
"""Variables that every client passes to its servers, because the MCP SDKs pass these on."""


@dataclass(frozen=True)
class Client:
    """A program that starts MCP servers.

    Attributes:
        key: The client's name on the command line.
        title: The full name of the client.
        file: The client's settings file for a project, relative to the project's top. None if only
            a command of the client may write the settings.
        member: The name of the JSON member that contains the servers.
        variable: How the client's settings refer to an environment variable. None if an entry must
            not refer to a variable, because the server might then not get the variable.
        extra: Further members that each entry gets.
        hands_on_all: Whether the client passes its whole environment to its servers. This was found
            by observation.
    """

    key: str
    title: str
    file: str | None
    member: str = "mcpServers"
    variable: str | None = "${{env:{}}}"
    extra: Mapping[str, Any] | None = None
    hands_on_all: bool = False

    def entry(self, flags: Flags) -> dict[str, Any]:
        """The entry with which the client starts the server.

        Args:
            flags: Settings given on the command line, which the server gets too.
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
