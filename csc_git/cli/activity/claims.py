"""`csc-git claims`: what is claimed, and by whom."""

from typing import Any

from csc_git.cli.activity import tables
from csc_git.cli.options import command, common, opened_for_reading
from csc_git.cli.output import note, show, wants_json
from csc_git.coordinator import clock
from csc_git.coordinator.results.activity import Claims


@command("claims")
@common
def claims_command(**options: Any) -> None:  # noqa: ANN401
    """What is claimed, by whom, until when, and what for.

    In a pipe a line each, separated by tabs: resource, session, for, until, note.
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
