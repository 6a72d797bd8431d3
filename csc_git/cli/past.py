"""`blame`, `diff`: the author of each current value, and what changed between two moments."""

import json
import sys
from typing import Any

import click

from csc_git.cli.completion import complete_scope
from csc_git.cli.options import command, common, opened_for_reading
from csc_git.cli.output import note, show
from csc_git.coordinator.results import (
    Blame,
    Difference,
    Differences,
    PastChange,
    Version,
)
from csc_git.core.key import RESERVED, parse_scope
from csc_git.text import printable, readable

_WIDTH = 34


@command("blame")
@click.argument("scope", shell_complete=complete_scope)
@common
def blame_command(scope: str, **options: Any) -> None:  # noqa: ANN401
    """Who last changed each key of SCOPE, when, and by which edit."""
    with opened_for_reading(options) as coordinator:
        found = coordinator.past.blame(scope)
    show(found, _blame(found))
    if not found.keys:
        note(f"There are no keys in {printable(scope)}.")


@command("diff")
@click.argument("one")
@click.argument("other", required=False)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Sessions, claims and conflicts too.",
)
@common
def diff_command(
    one: str,
    other: str | None,
    everything: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """In which keys ONE and OTHER differ, with both values; in a terminal long ones are cut.

    Each is a time (2026-11-22, 2026-11-22T18:05Z, 2h for two hours ago) or a commit. OTHER is now
    unless given.
    """
    with opened_for_reading(options) as coordinator:
        found = coordinator.past.diff(one, other)
    if not everything:
        found = [
            change
            for change in found
            if parse_scope(change.scope)[0] not in RESERVED
        ]
    lines = [line for change in found for line in _difference(change)]
    show(Differences(differences=found), "\n".join(lines))
    if not found:
        note("No key differs.")


def _blame(found: Blame) -> str:
    return "\n".join(_line(name, last) for name, last in found.keys.items())


def _line(name: str, last: PastChange) -> str:
    how = f" ({last.outcome})" if last.outcome not in {None, "applied"} else ""
    return f"{last.commit[:8]} {last.time[:19]}Z {last.session:<20} {printable(name)}{how}"


def _difference(change: Difference) -> list[str]:
    lines = [printable(f"{change.scope}/{change.key}")]
    lines += [f"  - {_said(change.before)}"] if change.before else []
    lines += [f"  + {_said(change.after)}"] if change.after else []
    lines += (
        ["  (a file there can't be read: csc-git get)"]
        if change.unreadable
        else []
    )
    return lines


def _said(version: Version) -> str:
    text = json.dumps(version.value, ensure_ascii=False)
    value = readable(text, _WIDTH if sys.stdout.isatty() else len(text))
    return f"{value}  ({version.session}, {version.time[:19]}Z)"
