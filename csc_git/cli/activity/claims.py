"""`csc-git claims`: list the active claims and the sessions that made them."""

from typing import Any

from csc_git.cli.activity import tables
from csc_git.cli.options import command, common, opened_for_reading
from csc_git.cli.output import note, show, wants_json
from csc_git.coordinator import clock
from csc_git.coordinator.results.activity import Claims


@command("claims")
@common
def claims_command(**options: Any) -> None:  # noqa: ANN401
    """List what is claimed, by whom, since when, until when, and what for.

    In a pipe, each claim is one line. Its fields are separated by tabs: resource, session, time
    since the claim was made, time until the claim ends, note.
    """
    with opened_for_reading(options) as coordinator:
        snapshot = coordinator.store.snapshot()
        found = coordinator.claims.active(snapshot)
    if wants_json():
        show(Claims(claims=found))
    elif found:
        table = tables.claims(found, clock.now())
        table.show()
    else:
        note("Nothing is claimed.")
