"""Tools for claims."""

from typing import Annotated

from mcp.server.mcpserver.tools import Tool
from pydantic import Field

from csc_git.coordinator.results.activity import Claimed, Released
from csc_git.server.host import Host
from csc_git.server.tools.making import WRITE, Session, tool


class ClaimTools:
    """The tools `claim` and `release`.

    Args:
        host: Opens the coordinator.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    def claim(
        self,
        resources: Annotated[
            list[str],
            Field(
                description="names (issue:15), paths (src/api) or patterns (*.py)"
            ),
        ],
        note: Annotated[str, Field(description="what for; others see it")] = "",
        ttl: Annotated[
            int | None,
            Field(description="seconds; default: as long as you are signed on"),
        ] = None,
        session: Session = None,
    ) -> Claimed:
        """Claim work items or files before you start. Either all are claimed or none.

        granted: yours. provisional: the remote was not reached; you are notified if you lose it.
        taken: the listed sessions have it; choose other work. Advisory: no editor is stopped.

        Args:
            resources: Names, paths or patterns.
            note: The purpose of the claims, shown to other sessions.
            ttl: Seconds for which the claims last; None if they last as long as the session.
            session: The caller's session; None for the only session of this server.
        """
        return self._host.get().claims.claim(session, resources, note, ttl)

    def release(
        self,
        resources: Annotated[
            list[str] | None, Field(description="default: all your claims")
        ] = None,
        session: Session = None,
    ) -> Released:
        """Release claims. Signing off releases all of them.

        Args:
            resources: What to release; None for all claims of the session.
            session: The caller's session; None for the only session of this server.
        """
        return self._host.get().claims.release(session, resources)

    def all(self) -> list[Tool]:
        """Make these tools."""
        return [tool(self.claim, WRITE), tool(self.release, WRITE)]
