"""The tools. Each is a thin layer over the coordinator; every schema here costs tokens."""

from mcp.server.mcpserver.tools import Tool

from csc_git.coordinator.results import build_all
from csc_git.server.host import Host
from csc_git.server.tools.changes import change_tools
from csc_git.server.tools.claims import claim_tools
from csc_git.server.tools.data import read_tools, write_tools
from csc_git.server.tools.sessions import session_tools


def tools(host: Host) -> list[Tool]:
    """All tools, bound to a host."""
    build_all()
    return [
        *session_tools(host),
        *read_tools(host),
        *write_tools(host),
        *claim_tools(host),
        *change_tools(host),
    ]
