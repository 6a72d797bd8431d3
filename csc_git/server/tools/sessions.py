"""Tools for signing on and off."""

from typing import Annotated

from mcp.server.mcpserver.tools import Tool
from pydantic import Field

from csc_git.coordinator.results.activity import SignedOff, SignedOn
from csc_git.server.host import Host
from csc_git.server.tools.making import WRITE, Session, tool


class SessionTools:
    """The tools `sign_on` and `sign_off`.

    Args:
        host: Opens the coordinator.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    def sign_on(
        self,
        session_id: Annotated[
            str | None,
            Field(
                description="claude_1 or claude_1@laptop; default: first free"
            ),
        ] = None,
    ) -> SignedOn:
        """Join this project. Call this first.

        Claims a session name; returns who else is active and what an earlier holder of the name
        left. Safe to repeat.
        """
        return self._host.get().authors.sign_on(session_id)

    def sign_off(self, session: Session = None) -> SignedOff:
        """Leave. Releases your name and your claims; stored values stay."""
        return self._host.get().authors.sign_off(session)

    def all(self) -> list[Tool]:
        """Make these tools."""
        return [tool(self.sign_on, WRITE), tool(self.sign_off, WRITE)]
