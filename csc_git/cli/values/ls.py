"""`csc-git ls`: list scopes, or the keys of one scope."""

import re
from typing import Any, Final

import click

from csc_git.cli.completion import complete_scope
from csc_git.cli.options import command, common, opened_for_reading
from csc_git.cli.output import note, show
from csc_git.coordinator.coordinator import Coordinator
from csc_git.text import printable

_GLOB: Final = re.compile(r"[*?\[]")


@command("ls")
@click.argument("scope", required=False, shell_complete=complete_scope)
@common
def ls_command(scope: str | None, **options: Any) -> None:  # noqa: ANN401
    """List all scopes, the scopes that match a glob (issue:*), or the keys of one SCOPE."""
    with opened_for_reading(options) as coordinator:
        if scope is None or _GLOB.search(scope):
            _show_scopes(coordinator, scope)
        else:
            _show_keys(coordinator, scope)


def _show_scopes(coordinator: Coordinator, pattern: str | None) -> None:
    found = coordinator.values.list_scopes(pattern)
    show(found, *map(printable, found.scopes))


def _show_keys(coordinator: Coordinator, scope: str) -> None:
    found = coordinator.values.list_keys(scope)
    show(found, *map(printable, found.keys))
    if not found.keys:
        name = printable(found.scope)
        note(f"There are no keys in {name}.")
