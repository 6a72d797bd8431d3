"""Probe the remote: make an edit, push it, and then ask the remote whether it has the edit.

Only a real edit proves that sync works. The edit changes no key. If the remote accepts the edit,
its commit stays in the history. `csc-git log` and `history` do not show this commit. If the remote
does not accept the edit, the edit is withdrawn.
"""

import time
from dataclasses import replace
from datetime import timedelta
from typing import Final, NamedTuple

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.sessions.presence import session_names
from csc_git.core.clock import format_time
from csc_git.core.edit import PROBE
from csc_git.core.key import Key
from csc_git.core.lease import lease_key
from csc_git.core.remote_state import RemoteState
from csc_git.store.sync.status import SyncStatus
from csc_git.store.transaction import Draft
from csc_git.store.tree.records import read_lease
from csc_git.store.tree.snapshot import Snapshot

_UNUSED: Final = Key(("settings",), "probe")
"""A key that never has a value. The edit of a probe only requires that the key has no value."""

_LATELY: Final = timedelta(days=30)


class RoundTrip(NamedTuple):
    """The result of a probe.

    Attributes:
        works: Whether the remote accepted the edit, and a second sync found the edit on the remote.
        status: The status of the last sync.
        seconds: The duration of the probe in seconds.
    """

    works: bool
    status: SyncStatus
    seconds: float


def namesakes(coordinator: Coordinator) -> int:
    """Count the other clones that used this clone's machine name in the last 30 days."""
    snapshot = coordinator.store.snapshot()
    here = coordinator.clone
    oldest = format_time(clock.now() - _LATELY)
    clones = set[str]()
    for name in session_names(snapshot):
        _, _, machine = name.partition("@")
        if machine != here.machine:
            continue
        lease = read_lease(snapshot.get(lease_key(name)))
        if lease is None or lease.clone == here.id:
            continue
        if lease.since > oldest:
            clones.add(lease.clone)
    return len(clones)


def round_trip(
    coordinator: Coordinator,
    user: str,
) -> RoundTrip:
    """Make an edit, push it, and then ask the remote whether it has the edit.

    Each call makes a new edit, because a remote that accepted an edit yesterday may decline the
    next edit today.

    Args:
        coordinator: The coordinator of the clone.
        user: The name of the person who asked for the probe, without the machine. This person is
            the author of the edit.
    """
    began = time.monotonic()
    status = coordinator.syncing.sync()
    if status.state is not RemoteState.OK:
        return RoundTrip(
            works=False,
            status=status,
            seconds=time.monotonic() - began,
        )
    op = _probe(coordinator, user)
    status = coordinator.syncing.sync()
    if status.state is RemoteState.OK:
        status = coordinator.syncing.sync()
    store = coordinator.store
    if op in store.branch.parked():
        status = replace(
            status,
            state=RemoteState.DECLINED,
            detail=status.reasons.get(op, ""),
        )
    works = False
    if status.state is RemoteState.OK:
        works = store.fate(op).where == "synced"
    if not works:
        store.withdraw(op, clock.now())
    return RoundTrip(
        works=works,
        status=status,
        seconds=time.monotonic() - began,
    )


def _probe(
    coordinator: Coordinator,
    user: str,
) -> str:
    """Make the edit of a probe, and return its op."""
    machine = coordinator.clone.machine

    def decide(_: Snapshot) -> Draft:
        return Draft(
            f"{PROBE}: {machine}",
            f"{user}@{machine}",
            requires={_UNUSED: None},
        )

    done = coordinator.writer.make(decide)
    op = done.receipt.op
    assert op is not None  # noqa: S101  an edit is made even if it only has a condition
    return op
