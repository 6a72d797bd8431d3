"""The probe: makes an edit here, pushes it and reads it back. Only that shows that all works.

The edit changes no key. It leaves one commit in the history, which `csc-git log` and `history` pass
over, and nothing at all if the remote does not take it.
"""

import time
from dataclasses import replace
from datetime import timedelta
from typing import Final, NamedTuple

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.presence import session_names
from csc_git.core.clock import format_time
from csc_git.core.edit import PROBE
from csc_git.core.key import Key
from csc_git.core.lease import lease_key
from csc_git.core.remote_state import RemoteState
from csc_git.store.records import read_lease
from csc_git.store.snapshot import Snapshot
from csc_git.store.sync_status import SyncStatus
from csc_git.store.transaction import Draft

_NOBODYS: Final = Key(("settings",), "probe")
"""A key that has no value: requiring that is what makes an edit of a probe."""

_LATELY: Final = timedelta(days=30)


class RoundTrip(NamedTuple):
    """How it went.

    Attributes:
        works: Whether the remote has the edit, and reported it when asked again.
        status: How the last sync ended.
        seconds: How long it took.
    """

    works: bool
    status: SyncStatus
    seconds: float


def namesakes(coordinator: Coordinator) -> int:
    """How many other clones signed on lately under this clone's machine name."""
    snapshot, here = coordinator.store.snapshot(), coordinator.clone
    oldest = format_time(clock.now() - _LATELY)
    clones = set[str]()
    for name in session_names(snapshot):
        if name.partition("@")[2] == here.machine:
            lease = read_lease(snapshot.get(lease_key(name)))
            if (
                lease is not None
                and lease.clone != here.id
                and lease.since > oldest
            ):
                clones.add(lease.clone)
    return len(clones)


def round_trip(coordinator: Coordinator, user: str) -> RoundTrip:
    """Try it.

    Each call makes an edit of its own: a remote that accepted one yesterday may decline one today.

    Args:
        coordinator: Of the clone.
        user: The person on whose behalf.
    """
    began = time.monotonic()
    status = coordinator.syncing.sync()
    if status.state is not RemoteState.OK:
        return RoundTrip(
            works=False, status=status, seconds=time.monotonic() - began
        )
    op = _probe(coordinator, user)
    status = coordinator.syncing.sync()
    if status.state is RemoteState.OK:
        status = coordinator.syncing.sync()
    if op in coordinator.store.branch.parked():
        status = replace(
            status,
            state=RemoteState.DECLINED,
            detail=status.reasons.get(op, ""),
        )
    works = (
        status.state is RemoteState.OK
        and coordinator.store.fate(op).where == "synced"
    )
    if not works:
        coordinator.store.withdraw(op, clock.now())
    return RoundTrip(works, status, time.monotonic() - began)


def _probe(coordinator: Coordinator, user: str) -> str:
    machine = coordinator.clone.machine

    def decide(_: Snapshot) -> Draft:
        return Draft(
            f"{PROBE}: {machine}",
            f"{user}@{machine}",
            requires={_NOBODYS: None},
        )

    op = coordinator.writer.make(decide).receipt.op
    assert op is not None  # noqa: S101  a condition alone makes an edit
    return op
