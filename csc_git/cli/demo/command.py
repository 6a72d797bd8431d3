"""`csc-git demo`: two machines coordinate over a real remote, in a temporary directory."""

import sys
import tempfile
from pathlib import Path

import click


@click.command("demo")
@click.option(
    "--fast",
    is_flag=True,
    help="Don't pause between the scenes.",
)
@click.option(
    "--keep",
    is_flag=True,
    help="Keep the temporary directory, and print its path.",
)
def demo_command(fast: bool, keep: bool) -> None:
    """Watch two machines coordinate over a real remote. Your own files are not touched.

    The demo starts a bare remote, two clones and two real MCP servers in a temporary directory. A
    real MCP client then plays these scenes: sign-on, work, a conflict, work without a network,
    hand-off, sign-off.
    """
    from csc_git.cli.demo.play import play  # noqa: PLC0415  the MCP client is slow to import

    pause = 0.0
    if sys.stdout.isatty() and not fast:
        pause = 1.2
    directory = Path(tempfile.mkdtemp(prefix="csc-git-demo-"))
    play(directory, pause=pause, keep=keep)
