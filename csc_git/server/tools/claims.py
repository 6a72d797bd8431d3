"""Tools for claims."""

from typing import Annotated

from mcp.server.mcpserver.tools import Tool
from pydantic import Field

from csc_git.coordinator import results
from csc_git.server.host import Host
from csc_git.server.tools.making import WRITE, Session, tool


def claim_tools(host: Host) -> list[Tool]:
    """`claim`, `release`."""

    def claim(
        resources: Annotated[
            list[str], Field(description="names (issue:15), paths (src/api) or patterns (*.py)")
        ],
        note: Annotated[str, Field(description="what for; others see it")] = "",
        ttl: Annotated[
            int | None, Field(description="seconds; default: as long as you are signed on")
        ] = None,
        session: Session = None,
    ) -> results.Claimed:
        """Have work or files to yourself, all or none: before you begin on them.

        granted: yours. provisional: the remote can't be asked; it may yet be lost, you are told.
        taken: by the sessions listed; choose other work. Advisory: it stops nobody's editor.
        """
        return host.get().claims.claim(session, resources, note, ttl)

    def release(
        resources: Annotated[
            list[str] | None, Field(description="default: all your claims")
        ] = None,
        session: Session = None,
    ) -> results.Released:
        """Give claims back. Signing off does it too."""
        return host.get().claims.release(session, resources)

    return [tool(claim, WRITE), tool(release, WRITE)]
