"""A round trip: an edit is written here, pushed, and read back. Only that shows that all works."""

import time
from dataclasses import replace
from typing import Final, NamedTuple

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.core.clock import format_time
from csc_git.git.failure import RemoteState
from csc_git.store.clone import Clone
from csc_git.store.status import SyncStatus

_SCOPES: Final = "clones:"
_KEY: Final = "tried"


class RoundTrip(NamedTuple):
    """How it went.

    Attributes:
        works: Whether the remote has the edit, and said so when asked again.
        status: How the last sync ended.
        seconds: How long it took.
    """

    works: bool
    status: SyncStatus
    seconds: float


def scope_of(clone: Clone) -> str:
    """Where a clone is tried: a scope of its own, since two on one machine may bear one name."""
    return f"{_SCOPES}{clone.id[:8]}"


def namesakes(coordinator: Coordinator) -> int:
    """How many other clones that were tried call their machine as this one does."""
    mine, machine = scope_of(coordinator.clone), coordinator.clone.machine
    others = [scope for scope in coordinator.list_scopes(f"{_SCOPES}*").scopes if scope != mine]
    said = [coordinator.retrieve(scope, _KEY).value for scope in others]
    return len([one for one in said if isinstance(one, dict) and one.get("machine") == machine])


def round_trip(coordinator: Coordinator, user: str) -> RoundTrip:
    """Try it.

    Each time is an edit of its own: a remote that took one yesterday may decline one today. Where
    edits wait to be pushed they are the trial, so that trying again and again adds none.

    Args:
        coordinator: Of the clone.
        user: The person on whose behalf.
    """
    began = time.monotonic()
    if coordinator.store.branch.base is None:  # what a clone was tried with before may be there
        status = coordinator.sync()
        if status.state not in {RemoteState.OK, RemoteState.NEVER}:
            return RoundTrip(works=False, status=status, seconds=time.monotonic() - began)
    op = None if coordinator.store.branch.queue() else _written(coordinator, user)
    status = coordinator.sync()
    if status.state is RemoteState.OK:
        status = coordinator.sync()
    if op and op in coordinator.store.branch.held():
        status = replace(status, state=RemoteState.DECLINED, detail=status.reasons.get(op, ""))
    works = status.state is RemoteState.OK and not coordinator.store.branch.queue()
    return RoundTrip(works, status, time.monotonic() - began)


def _written(coordinator: Coordinator, user: str) -> str | None:
    says = {"machine": coordinator.clone.machine, "by": user, "at": format_time(clock.now())}
    author = coordinator.person(user)
    return coordinator.edits.put(author, scope_of(coordinator.clone), _KEY, says).op
