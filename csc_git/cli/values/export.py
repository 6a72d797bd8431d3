"""`csc-git export`: print values as JSON Lines."""

import json
import sys
from collections.abc import Callable
from typing import Any, Final

import click

from csc_git.cli.completion import complete_scope
from csc_git.cli.options import at_option, command, common, opened_for_reading
from csc_git.cli.output import warn
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.reading.transfer import export, unreadable
from csc_git.core.pattern import compile_pattern
from csc_git.store.tree.snapshot import Snapshot
from csc_git.text import count

_MOST: Final = 20
"""A warning names at most this many keys that can't be read."""


@command("export")
@at_option
@click.argument("scope", required=False, shell_complete=complete_scope)
@common
def export_command(scope: str | None, at: str | None, **options: Any) -> None:  # noqa: ANN401
    """Print values as JSON Lines: scope, key, value, session, time.

    SCOPE is a scope, or a glob such as issue:* that matches several scopes. Without SCOPE, all
    values are printed. Sessions, claims and conflicts are not exported.
    """
    with opened_for_reading(options) as coordinator:
        snapshot = _snapshot(coordinator, at)
        is_wanted = _scope_filter(scope)
        for exported in export(snapshot, is_wanted):
            content = exported.model_dump(mode="json")
            click.echo(json.dumps(content))
        left_out = unreadable(snapshot, is_wanted)
    if left_out:
        keys = count(len(left_out), "key")
        names = ", ".join(left_out[:_MOST])
        warn(f"{keys} can't be read and are not in this export: {names}")
        sys.exit(1)


def _snapshot(coordinator: Coordinator, at: str | None) -> Snapshot:
    if at:
        return coordinator.past.at(at)
    return coordinator.store.snapshot()


def _scope_filter(pattern: str | None) -> Callable[[str], object]:
    if pattern is None:
        return lambda _: True
    return compile_pattern(pattern).match
