"""`csc-git diff`: show what changed between two moments."""

import json
import sys
from typing import Any, Final

import click

from csc_git.cli.options import command, common, opened_for_reading
from csc_git.cli.output import key_name, note, show, with_author
from csc_git.coordinator.results.base import Version
from csc_git.coordinator.results.changes import Difference, Differences
from csc_git.core.key import RESERVED, parse_scope
from csc_git.text import readable

_WIDTH: Final = 34
"""In a terminal, at most this many characters of a value are shown."""


@command("diff")
@click.argument("one")
@click.argument("other", required=False)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also compare sessions, claims and conflicts.",
)
@common
def diff_command(
    one: str,
    other: str | None,
    everything: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """List the keys that differ between the moments ONE and OTHER, with both values.

    A moment is a time (2026-11-22, 2026-11-22T18:05Z, 2h for two hours ago) or a commit. If OTHER
    is not given, it is now. In a terminal, long values are cut.
    """
    with opened_for_reading(options) as coordinator:
        found = coordinator.past.diff(one, other)
    if not everything:
        found = [change for change in found if not _is_reserved(change)]
    lines: list[str] = []
    for change in found:
        lines += _lines(change)
    show(Differences(differences=found), *lines)
    if not found:
        note("No key differs.")


def _is_reserved(change: Difference) -> bool:
    """Whether the change is in a scope that contains csc-git's own records."""
    first, *_ = parse_scope(change.scope)
    return first in RESERVED


def _lines(change: Difference) -> list[str]:
    lines = [key_name(change.scope, change.key)]
    if change.before:
        before = _version_text(change.before)
        lines.append(f"  - {before}")
    if change.after:
        after = _version_text(change.after)
        lines.append(f"  + {after}")
    if change.unreadable:
        lines.append("  (a file of this key can't be read; see csc-git get)")
    return lines


def _version_text(version: Version) -> str:
    value = json.dumps(version.value, ensure_ascii=False)
    width = len(value)
    if sys.stdout.isatty():
        width = _WIDTH
    return with_author(readable(value, width), version)
