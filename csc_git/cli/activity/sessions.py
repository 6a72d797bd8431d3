"""`csc-git sessions`: list who is signed on, and what each session works on."""

from typing import Any

import click

from csc_git.cli.activity import tables
from csc_git.cli.options import command, common, opened_for_reading
from csc_git.cli.output import note, show, wants_json
from csc_git.coordinator import clock
from csc_git.coordinator.results.activity import Sessions


@command("sessions")
@click.option(
    "--all", "everybody", is_flag=True, help="Also list sessions that are gone."
)
@common
def sessions_command(everybody: bool, **options: Any) -> None:  # noqa: ANN401
    """List who is signed on, since when, and what each session reports to work on.

    In a pipe, each session is one line. Its fields are separated by tabs: name, here or elsewhere,
    time since sign-on, current work, open todos, time since the last report.
    """
    with opened_for_reading(options) as coordinator:
        snapshot = coordinator.store.snapshot()
        if everybody:
            found = coordinator.summary.everyone(snapshot)
        else:
            found = coordinator.summary.active(snapshot)
    if wants_json():
        show(Sessions(sessions=found))
    elif found:
        table = tables.sessions(found, clock.now())
        table.show()
    else:
        note("Nobody is signed on.")
