"""A round trip: an edit is written here, pushed, and read back. Only that shows that all works."""

import time
from typing import NamedTuple

from csc_git.coordinator.coordinator import Coordinator
from csc_git.git.failure import RemoteState
from csc_git.store.clone import Clone
from csc_git.store.status import SyncStatus


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
    return f"clones:{clone.machine}:{clone.id[:8]}"


def namesakes(coordinator: Coordinator) -> int:
    """How many other clones that were set up call their machine as this one does."""
    mine = scope_of(coordinator.clone)
    alike = coordinator.list_scopes(f"{mine.rpartition(':')[0]}:*").scopes
    return len([scope for scope in alike if scope != mine])


def round_trip(coordinator: Coordinator, key: str, user: str) -> RoundTrip:
    """Try it.

    Args:
        coordinator: Of the clone.
        key: What is written, in the clone's own scope.
        user: The person on whose behalf.
    """
    began = time.monotonic()
    says = {"clone": coordinator.clone.id, "by": user}
    coordinator.edits.put(coordinator.person(user), scope_of(coordinator.clone), key, says)
    status = coordinator.sync()
    if status.state is RemoteState.OK:
        status = coordinator.sync()
    works = status.state is RemoteState.OK and not coordinator.store.branch.queue()
    return RoundTrip(works, status, time.monotonic() - began)
