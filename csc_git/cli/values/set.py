"""`csc-git set`: store a value with `user@machine` as the author."""

import sys
from typing import Any

import click

from csc_git.cli.completion import complete_key, complete_scope
from csc_git.cli.options import (
    command,
    common,
    if_revision_option,
    local_option,
    opened,
    user,
)
from csc_git.cli.output import key_name, progress, show_edit
from csc_git.cli.values.value_argument import parse_value
from csc_git.core.value import Json


@command("set", context_settings={"ignore_unknown_options": True})
@local_option
@if_revision_option
@click.option(
    "--string", "as_string", is_flag=True, help="VALUE is text, not JSON."
)
@click.option(
    "--allow-secret",
    metavar="WHY",
    help="Why a value that looks like a credential is safe.",
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
    """Store VALUE under KEY in SCOPE. VALUE is JSON; - reads the value from standard input."""
    content = _content(value, as_string=as_string)
    with progress() as report, opened(options, report) as coordinator:
        author = coordinator.authors.person(user())
        stored = coordinator.edits.put(
            author,
            scope,
            key,
            content,
            if_revision=if_revision,
            confirm=not local,
            allow_secret=allow_secret,
        )
    place = key_name(stored.scope, stored.key)
    show_edit(stored, f"{place}: {stored.status}")


def _content(value: str, *, as_string: bool) -> Json:
    """The value to store, from the command line or from standard input."""
    text = value
    if value == "-":
        text = sys.stdin.read()
    if as_string:
        return text
    return parse_value(text)
