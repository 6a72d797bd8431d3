"""`csc-git serve`: the MCP server on standard input and output."""

from typing import Any

from csc_git.cli.options import command, common, flags


@command("serve")
@common
def serve_command(**options: Any) -> None:  # noqa: ANN401  click passes every option by name
    """Run the MCP server on standard input and output, until the client hangs up.

    MCP clients start this; see csc-git init. Messages go to standard error.
    """
    from csc_git.server.app import serve  # noqa: PLC0415  the MCP SDK is slow to import

    serve(options["directory"], flags(options))
