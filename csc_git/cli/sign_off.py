"""`csc-git sign-off`: end sessions from outside, wherever they are."""

from typing import Any

import click

from csc_git.cli.completion import complete_session
from csc_git.cli.options import command, common, opened, user
from csc_git.cli.output import hanging, progress, show, sync_line
from csc_git.coordinator import clock
from csc_git.coordinator.results import SignedOffAll
from csc_git.git.words import printable


@command("sign-off")
@click.argument(
    "sessions", nargs=-1, required=True, metavar="SESSION...", shell_complete=complete_session
)
@click.option("--holder", multiple=True, hidden=True, help="Only these sign-ons of theirs.")
@common
def sign_off_command(
    sessions: tuple[str, ...],
    holder: tuple[str, ...],
    **options: Any,  # noqa: ANN401
) -> None:
    """Sign sessions off that can't do so themselves: a laptop that broke, a client that is gone.

    Their claims end with it, their state stays. If one lives after all, its next write is refused,
    and it may sign on again.
    """
    with opened(options) as coordinator, progress() as coordinator.progress:
        by = f"{user()}@{coordinator.clone.machine}"
        ended = [one for one in sessions if coordinator.sessions.end(one, by, clock.now(), holder)]
        coordinator.sync()
        sync = coordinator.overview.sync()
    gone = [one for one in sessions if one not in ended]
    lines = [f"{printable(one)}: signed off" for one in ended]
    lines += [f"{printable(one)}: was not signed on" for one in gone]
    result = SignedOffAll(signed_off=ended, were_not_on=gone, sync=sync)
    show(result, "\n".join([*lines, hanging("", sync_line(sync))]))
