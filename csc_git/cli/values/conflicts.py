"""`csc-git conflicts`: list the values that lost to concurrent edits."""

import json
from typing import Any, Final

import click

from csc_git.cli.options import command, common, opened_for_reading
from csc_git.cli.output import key_name, note, show, with_author
from csc_git.coordinator.results.base import Version
from csc_git.coordinator.results.data import OpenConflict, OpenConflicts
from csc_git.text import readable

_WIDTH: Final = 30
"""At most this many characters of a value are shown."""

_HINT: Final = (
    "Resolve one: csc-git resolve ID --current | --lost | --value JSON"
)


@command("conflicts")
@click.option(
    "-n",
    "most",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="The number of conflicts to list at most.",
)
@common
def conflicts_command(most: int, **options: Any) -> None:  # noqa: ANN401
    """List the open conflicts, with both versions, their authors and times."""
    with opened_for_reading(options) as coordinator:
        found = coordinator.conflicts.open(most)
        number = coordinator.conflicts.count()
    lines: list[str] = []
    for conflict in found:
        lines += _lines(conflict)
    if found:
        lines += ["", _HINT]
    more = max(0, number - len(found))
    show(OpenConflicts(conflicts=found, more=more), *lines)
    if more:
        note(
            f"There are {more:,} more. To list them, give a larger number with -n."
        )
    if not found:
        note("No conflict is open.")


def _lines(conflict: OpenConflict) -> list[str]:
    place = key_name(conflict.scope, conflict.key)
    current = "(nothing)"
    if conflict.current is not None:
        current = _version_text(conflict.current)
    lost = _version_text(conflict.lost)
    if conflict.lost_deletion:
        lost = with_author("(a deletion)", conflict.lost)
    return [
        f"{conflict.conflict}  {place}  {conflict.why}",
        f"  current {current}",
        f"  lost    {lost}",
    ]


def _version_text(version: Version) -> str:
    value = json.dumps(version.value, ensure_ascii=False)
    return with_author(readable(value, _WIDTH), version)
