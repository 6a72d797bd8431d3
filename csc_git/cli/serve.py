"""`csc-git serve`: the MCP server on standard input and output."""

import sys
from typing import Any

from csc_git.cli.options import command, common, flags
from csc_git.cli.output import note


@command("serve")
@common
def serve_command(**options: Any) -> None:  # noqa: ANN401  click passes every option by name
    """Run the MCP server on standard input and output, until the client disconnects.

    MCP clients run this command; csc-git init sets up a client. Messages go to standard error.
    """
    from csc_git.server.app import serve  # noqa: PLC0415  the MCP SDK is slow to import

    if sys.stdin.isatty():
        note(
            "This command speaks MCP and waits for a client. To set up a client: csc-git init. "
            "To end this command, press Ctrl-C."
        )
    serve(options["directory"], flags(options))
