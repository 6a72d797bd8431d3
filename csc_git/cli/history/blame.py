"""`csc-git blame`: show who last changed each key of a scope."""

from typing import Any, Final

import click

from csc_git.cli.completion import complete_scope
from csc_git.cli.options import command, common, opened_for_reading
from csc_git.cli.output import note, show, to_the_second
from csc_git.coordinator.results.changes import PastChange
from csc_git.text import printable

_COMMIT: Final = 8
"""This many characters of a commit's id are shown."""

_SESSION: Final = 20
"""The width of the column with the session, in characters."""


@command("blame")
@click.argument("scope", shell_complete=complete_scope)
@common
def blame_command(scope: str, **options: Any) -> None:  # noqa: ANN401
    """Show who last changed each key of SCOPE, when, and by which commit."""
    with opened_for_reading(options) as coordinator:
        found = coordinator.past.blame(scope)
    lines = [_line(name, change) for name, change in found.keys.items()]
    show(found, *lines)
    if not found.keys:
        note(f"There are no keys in {printable(scope)}.")


def _line(name: str, change: PastChange) -> str:
    parts = [
        change.commit[:_COMMIT],
        to_the_second(change.time),
        change.session.ljust(_SESSION),
        printable(name),
    ]
    if change.outcome not in {None, "applied"}:
        parts.append(f"({change.outcome})")
    return " ".join(parts)
