"""`csc-git sync`: bring this clone and the remote together now."""

import sys
from typing import Any

import click

from csc_git.cli.options import command, common, opened
from csc_git.cli.output import hanging, progress, show, sync_line
from csc_git.coordinator import clock
from csc_git.errors import InputError
from csc_git.git.failure import RemoteState
from csc_git.store.attempt import Permit


@command("sync")
@click.option("--accept-rewrite", is_flag=True, help="Go on from a rewritten remote branch.")
@click.option("--recreate", is_flag=True, help="Put back a branch the remote has lost.")
@click.option("--retry", metavar="OP", help="Push a held edit again.")
@click.option("--drop", metavar="OP", help="Give a held edit up.")
@common
def sync_command(
    accept_rewrite: bool,
    recreate: bool,
    retry: str | None,
    drop: str | None,
    **options: Any,  # noqa: ANN401
) -> None:
    """Fetch, replay and push once. Exit code 1 if the remote did not take part.

    Neither --accept-rewrite nor --recreate drops an edit of yours that waits to be pushed.
    """
    with opened(options) as coordinator:
        if drop is not None and not coordinator.store.drop(drop, clock.now()):
            raise InputError(f"No edit {drop} is held", then="See csc-git status")
        if retry is not None and coordinator.release(retry) is None:
            raise InputError(f"No edit {retry} is held", then="See csc-git status")
        with progress() as coordinator.progress:
            permit = Permit(rewrite=accept_rewrite, recreate=recreate)
            status = coordinator.sync(permit=permit)
        summary = coordinator.overview.sync()
    show(summary, hanging("", sync_line(summary)))
    if status.state not in {RemoteState.OK, RemoteState.OFF}:
        sys.exit(1)
