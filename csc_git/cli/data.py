"""`get`, `set`, `ls`, `rm`: a person's own reads and writes, as `user@machine`."""

import json
import re
import sys
from typing import Any

import click

from csc_git.cli.options import common, opened, user
from csc_git.cli.output import note, progress, show
from csc_git.coordinator.coordinator import Coordinator
from csc_git.core.value import Json, parse
from csc_git.errors import InputError, InvalidValue
from csc_git.git.words import printable

local = click.option("--local", is_flag=True, help="Don't wait for the remote.")


@click.command("get")
@common
@click.option("--fresh", is_flag=True, help="Ask the remote first.")
@click.argument("scope")
@click.argument("key")
def get_command(scope: str, key: str, fresh: bool, **options: Any) -> None:  # noqa: ANN401
    """Print the value of KEY in SCOPE as JSON. Exit code 1 if there is none."""
    with opened(options) as coordinator, progress() as coordinator.progress:
        found = coordinator.retrieve(scope, key, fresh=fresh)
    if not found.found:
        show(found, "")
        note(f"{printable(f'{scope}/{key}')} has no value.")
        sys.exit(1)
    show(found, _shown(found.value))
    note(f"by {found.session}, {found.time}")


@click.command("set")
@common
@local
@click.option("--string", "as_string", is_flag=True, help="VALUE is text, not JSON.")
@click.argument("scope")
@click.argument("key")
@click.argument("value")
def set_command(
    scope: str,
    key: str,
    value: str,
    as_string: bool,
    local: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Store VALUE, which is JSON, under KEY in SCOPE. - reads it from standard input."""
    text = sys.stdin.read() if value == "-" else value
    content = text if as_string else _json(text)
    with opened(options) as coordinator, progress() as coordinator.progress:
        author = coordinator.person(user())
        stored = coordinator.edits.put(author, scope, key, content, confirm=not local)
    show(stored, f"{printable(f'{stored.scope}/{key}')}: {stored.status}")
    if stored.reason:
        click.echo(f"csc-git: {stored.reason}", err=True)


@click.command("ls")
@common
@click.argument("scope", required=False)
def ls_command(scope: str | None, **options: Any) -> None:  # noqa: ANN401
    """List the scopes, those that a glob matches (issue:*), or the keys of a SCOPE."""
    with opened(options) as coordinator:
        if scope is None or re.search(r"[*?\[]", scope):
            scopes = coordinator.list_scopes(scope)
            show(scopes, "\n".join(map(printable, scopes.scopes)))
        else:
            keys = coordinator.list_keys(scope)
            show(keys, "\n".join(map(printable, keys.keys)))


@click.command("rm")
@common
@local
@click.option("--all", "everything", is_flag=True, help="Remove all keys of the scope.")
@click.argument("scope")
@click.argument("key", required=False)
def rm_command(
    scope: str,
    key: str | None,
    everything: bool,
    local: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Remove KEY from SCOPE, or all its keys with --all. The history keeps them."""
    if (key is None) != everything:
        raise InputError("Name a key, or say --all, but not both")
    with opened(options) as coordinator, progress() as coordinator.progress:
        _remove(coordinator, scope, key)
        if not local:
            coordinator.sync()


def _shown(value: Json) -> str:
    """A value for a reader: readable in a terminal, but nothing in it steers the terminal."""
    if not sys.stdout.isatty():
        return json.dumps(value, indent=2)
    lines = json.dumps(value, indent=2, ensure_ascii=False).splitlines()
    return "\n".join(map(printable, lines))


def _remove(coordinator: Coordinator, scope: str, key: str | None) -> None:
    author = coordinator.person(user())
    if key is None:
        gone = coordinator.edits.delete_scope(author, scope)
        show(gone, f"{printable(gone.scope)}: {gone.count} removed")
    else:
        one = coordinator.edits.delete(author, scope, key)
        place = printable(f"{one.scope}/{key}")
        show(one, f"{place}: {'removed' if one.deleted else 'was not there'}")


def _json(text: str) -> Json:
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidValue(
            f"The value is not JSON ({error})", then="Quote it as JSON, or pass --string"
        ) from None
