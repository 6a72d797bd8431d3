"""`sessions`, `claims`: one look at who is here, and what is whose."""

from typing import Any

import click

from csc_git.cli import tables
from csc_git.cli.options import command, common, opened_for_reading
from csc_git.cli.output import note, show, wants_json
from csc_git.coordinator import clock
from csc_git.coordinator.results import Claims, Sessions


@command("sessions")
@click.option(
    "--all", "everybody", is_flag=True, help="Those that are gone too."
)
@common
def sessions_command(everybody: bool, **options: Any) -> None:  # noqa: ANN401
    """Who is signed on, since when, and what they say they work on.

    In a pipe a line each, separated by tabs: session, where, for, works on, to do, said so.
    """
    with opened_for_reading(options) as coordinator:
        snapshot = coordinator.store.snapshot()
        summary = coordinator.summary
        found = (
            summary.everyone(snapshot)
            if everybody
            else summary.active(snapshot)
        )
    if wants_json():
        show(Sessions(sessions=found), "")
    elif found:
        tables.sessions(found, clock.now()).show()
    else:
        note("Nobody is signed on.")


@command("claims")
@common
def claims_command(**options: Any) -> None:  # noqa: ANN401
    """What is claimed, by whom, until when, and what for.

    In a pipe a line each, separated by tabs: resource, session, for, until, note.
    """
    with opened_for_reading(options) as coordinator:
        found = coordinator.claims.active(coordinator.store.snapshot())
    if wants_json():
        show(Claims(claims=found), "")
    elif found:
        tables.claims(found, clock.now()).show()
    else:
        note("Nothing is claimed.")
