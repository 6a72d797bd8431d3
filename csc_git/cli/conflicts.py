"""`conflicts`, `resolve`: the versions that lost, and what is to become of them."""

import json
from typing import Any

import click

from csc_git.cli.data import local, parse_value, say_why
from csc_git.cli.options import (
    command,
    common,
    opened,
    opened_for_reading,
    user,
)
from csc_git.cli.output import note, progress, show
from csc_git.coordinator.conflicts import Choice
from csc_git.coordinator.results import OpenConflict, OpenConflicts, Version
from csc_git.core.value import Json
from csc_git.text import printable, readable

_WIDTH = 30


@command("conflicts")
@click.option(
    "-n",
    "most",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="How many.",
)
@common
def conflicts_command(most: int, **options: Any) -> None:  # noqa: ANN401
    """List the open conflicts, with both versions, their authors and times."""
    with opened_for_reading(options) as coordinator:
        found = coordinator.conflicts.open(most)
        more = max(0, coordinator.conflicts.count() - len(found))
    lines = [line for conflict in found for line in _shown(conflict)]
    hint = [
        "",
        "Resolve one: csc-git resolve ID --current | --lost | --value JSON",
    ]
    show(
        OpenConflicts(conflicts=found, more=more),
        "\n".join(lines + (hint if found else [])),
    )
    if more:
        note(
            f"There are {more:,} more; to list them, give a larger number with -n."
        )
    if not found:
        note("No conflict is open.")


@command("resolve")
@local
@click.option("--current", is_flag=True, help="Keep the current value.")
@click.option("--lost", is_flag=True, help="Take the lost value.")
@click.option("--value", metavar="JSON", help="Store a new value.")
@click.argument("conflict")
@common
def resolve_command(
    conflict: str,
    current: bool,
    lost: bool,
    value: str | None,
    local: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Resolve CONFLICT, by its id or how that begins, in one of three ways."""
    choice, content = _choice(current, lost, value)
    with opened(options) as coordinator, progress() as coordinator.progress:
        author, resolve = (
            coordinator.person(user()),
            coordinator.conflicts.resolve,
        )
        done = resolve(author, conflict, choice, content, confirm=not local)
    show(
        done,
        f"{printable(f'{done.scope}/{done.key}')}: resolved, {done.status}",
    )
    say_why(done)


def _choice(
    current: bool, lost: bool, value: str | None
) -> tuple[Choice, Json]:
    given = [current, lost, value is not None]
    if sum(given) != 1:
        raise click.UsageError("Say one of --current, --lost, --value")
    if value is not None:
        return "value", parse_value(value)
    return ("current" if current else "lost"), None


def _shown(conflict: OpenConflict) -> list[str]:
    lost = "(a deletion)" if conflict.lost_deletion else None
    return [
        f"{conflict.conflict}  {printable(f'{conflict.scope}/{conflict.key}')}  {conflict.why}",
        f"  current {_said(conflict.current)}",
        f"  lost    {_said(conflict.lost, lost)}",
    ]


def _said(version: Version | None, instead: str | None = None) -> str:
    if version is None:
        return "(nothing)"
    text = instead or readable(
        json.dumps(version.value, ensure_ascii=False), _WIDTH
    )
    return f"{text}  ({version.session}, {version.time[:19]}Z)"
