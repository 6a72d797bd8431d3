"""`get`, `set`, `ls`, `rm`: a person's own reads and writes, as `user@machine`."""

import json
import re
import shlex
import sys
from contextlib import nullcontext
from typing import Any

import click

from csc_git.cli.completion import complete_key, complete_scope
from csc_git.cli.options import (
    command,
    common,
    opened,
    opened_for_reading,
    user,
)
from csc_git.cli.output import ago, note, progress, show, wants_json, warn
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.results import Delivered
from csc_git.core.remote_state import RemoteState
from csc_git.core.value import Json, parse
from csc_git.errors import InvalidValue
from csc_git.text import printable

_SHORT = 30

local = click.option("--local", is_flag=True, help="Don't wait for the remote.")
if_revision = click.option(
    "--if-revision",
    metavar="REVISION",
    help="Only if it has this revision, or is absent.",
)


@command("get")
@click.option("--fresh", is_flag=True, help="Ask the remote first.")
@click.option(
    "--at", metavar="WHEN", help="As of a time, 2h (ago), or a commit."
)
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
    """Print the value of KEY in SCOPE as JSON. Exit code 1 if there is none."""
    with (
        opened_for_reading(options) as coordinator,
        progress()
        if fresh
        else nullcontext(coordinator.progress) as coordinator.progress,
    ):
        found = coordinator.retrieve(scope, key, fresh=fresh, at=at)
        sync = coordinator.summary.sync()
    if fresh and sync.state not in {RemoteState.OK, RemoteState.OFF}:
        warn(
            f"not fresh: {sync.message} (last contact: {ago(sync.contact_age)})"
        )
    if not found.found:
        show(found, "")
        if not wants_json():
            warn(
                f"{scope}/{key} has no value. What there is: csc-git ls {shlex.quote(scope)}"
            )
        sys.exit(1)
    show(found, _shown(found.value))
    note(f"by {found.session}, {found.time}")


@command("set", context_settings={"ignore_unknown_options": True})
@local
@if_revision
@click.option(
    "--string", "as_string", is_flag=True, help="VALUE is text, not JSON."
)
@click.option(
    "--allow-secret", metavar="WHY", help="Store what looks like a credential."
)
@click.argument("scope", shell_complete=complete_scope)
@click.argument("key", shell_complete=complete_key)
@click.argument("value")
@common
def set_command(  # noqa: PLR0913, PLR0917  click passes each option by name
    scope: str,
    key: str,
    value: str,
    as_string: bool,
    allow_secret: str | None,
    local: bool,
    if_revision: str | None,
    **options: Any,  # noqa: ANN401
) -> None:
    """Store VALUE, which is JSON, under KEY in SCOPE. - reads it from standard input."""
    text = sys.stdin.read() if value == "-" else value
    content = text if as_string else parse_value(text)
    with opened(options) as coordinator, progress() as coordinator.progress:
        author = coordinator.person(user())
        stored = coordinator.edits.put(
            author,
            scope,
            key,
            content,
            if_revision=if_revision,
            confirm=not local,
            allow_secret=allow_secret,
        )
    show(stored, f"{printable(f'{stored.scope}/{key}')}: {stored.status}")
    say_why(stored)


@command("ls")
@click.argument("scope", required=False, shell_complete=complete_scope)
@common
def ls_command(scope: str | None, **options: Any) -> None:  # noqa: ANN401
    """List the scopes, those that a glob matches (issue:*), or the keys of a SCOPE."""
    with opened_for_reading(options) as coordinator:
        if scope is None or re.search(r"[*?\[]", scope):
            scopes = coordinator.list_scopes(scope)
            show(scopes, "\n".join(map(printable, scopes.scopes)))
        else:
            keys = coordinator.list_keys(scope)
            show(keys, "\n".join(map(printable, keys.keys)))
            if not keys.keys:
                note(f"There are no keys in {printable(keys.scope)}.")


@command("rm")
@local
@if_revision
@click.option(
    "--all", "everything", is_flag=True, help="Remove all keys of the scope."
)
@click.argument("scope", shell_complete=complete_scope)
@click.argument("key", required=False, shell_complete=complete_key)
@common
def rm_command(
    scope: str,
    key: str | None,
    everything: bool,
    local: bool,
    if_revision: str | None,
    **options: Any,  # noqa: ANN401
) -> None:
    """Remove KEY from SCOPE, or all its keys with --all. The history keeps them."""
    if (key is None) != everything:
        raise click.UsageError("Name a key, or say --all, but not both")
    if everything and if_revision is not None:
        raise click.UsageError("--if-revision is for one key")
    with opened(options) as coordinator, progress() as coordinator.progress:
        if key is None:
            _remove_all(coordinator, scope, wait=not local)
        else:
            _remove(coordinator, scope, key, if_revision, wait=not local)


def _shown(value: Json) -> str:
    """A value for a reader: readable in a terminal, but nothing in it steers the terminal."""
    if not sys.stdout.isatty():
        return json.dumps(value, indent=2)
    lines = json.dumps(value, indent=2, ensure_ascii=False).splitlines()
    return "\n".join(map(printable, lines))


def _remove(
    coordinator: Coordinator,
    scope: str,
    key: str,
    if_revision: str | None,
    *,
    wait: bool,
) -> None:
    author = coordinator.person(user())
    one = coordinator.edits.delete(
        author, scope, key, if_revision=if_revision, confirm=wait
    )
    place = printable(f"{one.scope}/{key}")
    show(
        one,
        f"{place}: {f'removed, {one.status}' if one.deleted else 'was not there'}",
    )
    say_why(one)


def _remove_all(coordinator: Coordinator, scope: str, *, wait: bool) -> None:
    gone = coordinator.edits.delete_scope(
        coordinator.person(user()), scope, confirm=wait
    )
    show(gone, f"{printable(gone.scope)}: {gone.count} removed, {gone.status}")
    say_why(gone)


def say_why(done: Delivered) -> None:
    """Why the remote doesn't have an edit, if that was asked for."""
    if done.reason:
        warn(done.reason)


def _quoted(text: str) -> str:
    """A text as JSON, as a shell is given it; an example where it is long."""
    return shlex.quote(json.dumps(text if len(text) <= _SHORT else "done"))


def parse_value(text: str) -> Json:
    """A value as it is typed on the command line; raises InvalidValue."""
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidValue(
            "The value is not JSON",
            then=f"For a text pass --string, or quote it: {_quoted(text)} ({error})",
        ) from None
