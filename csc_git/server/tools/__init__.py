"""The tools, which are thin layers over the coordinator. The schema of each tool costs tokens."""

from mcp.server.mcpserver.tools import Tool

from csc_git.coordinator.results.base import build_all
from csc_git.server.host import Host
from csc_git.server.tools.changes import ChangeTools
from csc_git.server.tools.claims import ClaimTools
from csc_git.server.tools.data import ReadTools, WriteTools
from csc_git.server.tools.sessions import SessionTools


def tools(host: Host) -> list[Tool]:
    """Make all tools for one host."""
    build_all()
    return [
        *SessionTools(host).all(),
        *ReadTools(host).all(),
        *WriteTools(host).all(),
        *ClaimTools(host).all(),
        *ChangeTools(host).all(),
    ]
