"""`csc-git serve`: the MCP server on standard input and output."""

import sys
from typing import Any

from csc_git.cli.options import command, common, flags
from csc_git.cli.output import note


@command("serve")
@common
def serve_command(**options: Any) -> None:  # noqa: ANN401  click passes every option by name
    """Run the MCP server on standard input and output, until the client closes its end.

    MCP clients start this; see csc-git init. Messages go to standard error.
    """
    from csc_git.server.app import serve  # noqa: PLC0415  the MCP SDK is slow to import

    if sys.stdin.isatty():
        note(
            "This speaks MCP and waits for a client; csc-git init sets one up. Ctrl-C ends it."
        )
    serve(options["directory"], flags(options))
