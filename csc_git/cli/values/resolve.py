"""`csc-git resolve`: resolve a conflict."""

from typing import Any

import click

from csc_git.cli.options import command, common, local_option, opened, user
from csc_git.cli.output import key_name, progress, show_edit
from csc_git.cli.values.value_argument import parse_value
from csc_git.coordinator.conflicts import Choice
from csc_git.core.value import Json


@command("resolve")
@local_option
@click.option(
    "--current",
    is_flag=True,
    help="Keep the current value.",
)
@click.option(
    "--lost",
    is_flag=True,
    help="Take the lost value.",
)
@click.option(
    "--value",
    metavar="JSON",
    help="Store a new value.",
)
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
    """Resolve CONFLICT, given by its id or the beginning of the id, in one of three ways."""
    choice, content = _choice(current, lost, value)
    with progress() as report, opened(options, report) as coordinator:
        author = coordinator.authors.person(user())
        resolved = coordinator.conflicts.resolve(
            author, conflict, choice, content, confirm=not local
        )
    place = key_name(resolved.scope, resolved.key)
    show_edit(resolved, f"{place}: resolved, {resolved.status}")


def _choice(
    current: bool,
    lost: bool,
    value: str | None,
) -> tuple[Choice, Json]:
    """The chosen way to resolve the conflict, and the new value if a new value is to be stored."""
    given = [current, lost, value is not None]
    if sum(given) != 1:
        raise click.UsageError("Give one of --current, --lost, --value")
    if value is not None:
        return "value", parse_value(value)
    if current:
        return "current", None
    return "lost", None
