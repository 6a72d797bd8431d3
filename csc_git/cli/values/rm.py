"""`csc-git rm`: remove a key, or all keys of a scope."""

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
from csc_git.coordinator.coordinator import Coordinator
from csc_git.text import printable


@command("rm")
@local_option
@if_revision_option
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
    """Remove KEY from SCOPE, or all keys of SCOPE with --all. The history keeps the values."""
    _check_usage(key, if_revision, everything=everything)
    with progress() as report, opened(options, report) as coordinator:
        if key is None:
            _remove_all(coordinator, scope, wait=not local)
        else:
            _remove(
                coordinator,
                scope,
                key,
                if_revision,
                wait=not local,
            )


def _check_usage(
    key: str | None,
    if_revision: str | None,
    *,
    everything: bool,
) -> None:
    if (key is None) != everything:
        raise click.UsageError("Name a key or give --all, but not both")
    if everything and if_revision is not None:
        raise click.UsageError("--if-revision is only for a single key")


def _remove(
    coordinator: Coordinator,
    scope: str,
    key: str,
    if_revision: str | None,
    *,
    wait: bool,
) -> None:
    author = coordinator.authors.person(user())
    removed = coordinator.edits.delete(
        author, scope, key, if_revision=if_revision, confirm=wait
    )
    place = key_name(removed.scope, removed.key)
    if removed.deleted:
        show_edit(removed, f"{place}: removed, {removed.status}")
    else:
        show_edit(removed, f"{place}: was not there")


def _remove_all(coordinator: Coordinator, scope: str, *, wait: bool) -> None:
    author = coordinator.authors.person(user())
    removed = coordinator.edits.delete_scope(author, scope, confirm=wait)
    place = printable(removed.scope)
    show_edit(removed, f"{place}: {removed.count} removed, {removed.status}")
