"""`blame`, `diff`: who wrote what stands, and what changed between two moments."""

import json
from typing import Any

import click

from csc_git.cli.completion import complete_scope
from csc_git.cli.options import command, common, opened
from csc_git.cli.output import note, show
from csc_git.coordinator.results import Blame, Difference, Differences, PastChange, Version
from csc_git.git.words import printable, readable

_WIDTH = 34


@command("blame")
@click.argument("scope", shell_complete=complete_scope)
@common
def blame_command(scope: str, **options: Any) -> None:  # noqa: ANN401
    """Who last changed each key of SCOPE, when, and by which edit."""
    with opened(options) as coordinator:
        found = coordinator.past.blame(scope)
    show(found, _blame(found))
    if not found.keys:
        note(f"There are no keys in {printable(scope)}.")


@command("diff")
@click.argument("one")
@click.argument("other", required=False)
@common
def diff_command(one: str, other: str | None, **options: Any) -> None:  # noqa: ANN401
    """In which keys ONE and OTHER differ, with both values.

    Each is a time (2026-11-22, 2026-11-22T18:05Z, 2h for two hours ago) or a commit. OTHER is now
    unless given.
    """
    with opened(options) as coordinator:
        found = coordinator.past.diff(one, other)
    lines = [line for change in found for line in _difference(change)]
    show(Differences(differences=found), "\n".join(lines))


def _blame(found: Blame) -> str:
    return "\n".join(_line(name, last) for name, last in found.keys.items())


def _line(name: str, last: PastChange) -> str:
    how = f" ({last.outcome})" if last.outcome not in {None, "applied"} else ""
    return f"{last.commit[:8]} {last.time[:19]}Z {last.session:<20} {printable(name)}{how}"


def _difference(change: Difference) -> list[str]:
    lines = [printable(f"{change.scope}/{change.key}")]
    lines += [f"  - {_said(change.before)}"] if change.before else []
    lines += [f"  + {_said(change.after)}"] if change.after else []
    return lines


def _said(version: Version) -> str:
    value = readable(json.dumps(version.value, ensure_ascii=False), _WIDTH)
    return f"{value}  ({version.session}, {version.time[:19]}Z)"
