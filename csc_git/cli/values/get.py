"""`csc-git get`: print a value."""

import json
import shlex
import sys
from typing import Any, Final, NoReturn

import click

from csc_git.cli.completion import complete_key, complete_scope
from csc_git.cli.options import (
    at_option,
    command,
    common,
    opened_for_reading,
)
from csc_git.cli.output import ago, note, progress, show, wants_json, warn
from csc_git.coordinator.results.data import Retrieved
from csc_git.core.remote_state import RemoteState
from csc_git.core.value import Json
from csc_git.text import printable

_FRESH: Final = frozenset({RemoteState.OK, RemoteState.OFF})
"""In these states of the sync a value is fresh: the sync succeeded, or this clone does not sync."""


@command("get")
@click.option(
    "--fresh",
    is_flag=True,
    help="Fetch from the remote first.",
)
@at_option
@click.argument("scope", shell_complete=complete_scope)
@click.argument("key", shell_complete=complete_key)
@common
def get_command(
    scope: str,
    key: str,
    fresh: bool,
    at: str | None,
    **options: Any,  # noqa: ANN401
) -> None:
    """Print the value of KEY in SCOPE as JSON. The exit code is 1 if the key has no value."""
    with opened_for_reading(options) as coordinator:
        if fresh:
            with progress() as report:
                coordinator.syncing.sync(progress=report)
        found = coordinator.values.retrieve(scope, key, at=at)
        sync = coordinator.summary.sync_state()
    if fresh and sync.state not in _FRESH:
        contact = ago(sync.contact_age)
        warn(f"not fresh: {sync.message} (last contact: {contact})")
    if not found.found:
        _end_without_value(found, scope, key)
    show(found, _value_text(found.value))
    note(f"by {found.session}, {found.time}")


def _end_without_value(found: Retrieved, scope: str, key: str) -> NoReturn:
    show(found)
    if not wants_json():
        listing = f"csc-git ls {shlex.quote(scope)}"
        warn(f"{scope}/{key} has no value. To list the keys: {listing}")
    sys.exit(1)


def _value_text(value: Json) -> str:
    """Format a value as JSON. In a terminal, escape characters that would control the terminal."""
    if not sys.stdout.isatty():
        return json.dumps(value, indent=2)
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "\n".join(map(printable, text.splitlines()))
