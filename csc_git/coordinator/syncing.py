"""Sync the clone with its remote, and notice lost session names and lost claims."""

import random
import threading
from contextlib import suppress
from typing import Final

from csc_git.coordinator import clock
from csc_git.coordinator.claims.claims import Claims
from csc_git.coordinator.results.data import Rotated
from csc_git.coordinator.sessions.sessions import Sessions
from csc_git.coordinator.writer import Writer
from csc_git.core.backoff import Backoff
from csc_git.core.edit import Outcome
from csc_git.core.key import Key
from csc_git.core.lease import SESSIONS, Instant, Lease, lease_key
from csc_git.core.remote_failure import RemoteFailure
from csc_git.core.remote_state import PASSING, RemoteState
from csc_git.errors import CscError, NotRotated
from csc_git.store.clone_id import Clone
from csc_git.store.store import Store, no_progress
from csc_git.store.sync.attempt import Progress
from csc_git.store.sync.recovery import Permit
from csc_git.store.sync.status import SyncStatus
from csc_git.store.tree.records import read_lease

_RETRY: Final = Backoff(first=1.0, most=60.0)


class Syncing:
    """Syncs the clone with its remote, for a command or for the background thread.

    Args:
        store: The clone's store.
        sessions: The sessions of this process.
        claims: The claims of this process's sessions.
        writer: The writer, which can wake the background thread.
        clone: The id and the machine name of this clone.
        progress: A function that is called at each step of a sync, unless the caller of `sync`
            gives another function.
    """

    def __init__(
        self,
        store: Store,
        sessions: Sessions,
        claims: Claims,
        writer: Writer,
        clone: Clone,
        progress: Progress = no_progress,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._claims = claims
        self._writer = writer
        self._clone = clone
        self._progress = progress

    def sync(
        self,
        *,
        permit: Permit = Permit(),  # noqa: B008  immutable
        began: Instant | None = None,
        progress: Progress | None = None,
    ) -> SyncStatus:
        """Sync this clone with the remote once.

        Args:
            permit: The unsafe actions that a person has allowed for this sync.
            began: The time when the caller's round began. None means that the round begins now.
            progress: A function that is called at each step. If None, the function that was given
                when this object was created is called.
        """
        now = clock.now()
        # If a sign-off fails, the next sync tries again. Within this clone, the name of a dead
        # session is free even without a sign-off.
        with suppress(CscError, OSError):
            self._sessions.endings.sign_off_dead(now)
        status = self._store.sync(
            clock.now(),
            began or clock.instant(),
            permit=permit,
            progress=progress or self._progress,
        )
        # If the sightings can't be written, the only harm is that leases last longer.
        with suppress(OSError):
            self._observe(status)
        now = clock.now()
        self._sessions.notice_lost(now)
        self._claims.notice_lost()
        return status

    def sync_until_pushed(self, seconds: float) -> SyncStatus:
        """Sync until the queue is empty, or until `seconds` have passed.

        If there is a problem that only a person can solve, return at once.

        Args:
            seconds: Repeat the sync for at most this many seconds.
        """
        began = clock.instant()
        failures = 0
        pause = threading.Event()
        while True:
            status = self.sync()
            if status.state not in PASSING or not self.has_queue():
                return status
            failures += 1
            chance = random.random()  # noqa: S311  jitter
            wait = _RETRY.wait(failures, chance)
            elapsed = clock.instant().since(began)
            if elapsed + wait > seconds:
                return status
            pause.wait(wait)

    def requeue(self, op: str) -> Outcome | None:
        """Queue a parked edit again, and return the outcome of its replay.

        Return None if no edit with this op is parked.
        """
        now = clock.now()
        outcome = self._store.requeue(op, now)
        self._writer.request_sync()
        return outcome

    def rotate(self, progress: Progress | None = None) -> Rotated:
        """Replace the history of the branch by a short history; see `store.sync.rotation`.

        Args:
            progress: A function that is called at each step. If None, the function that was given
                when this object was created is called.

        Raises:
            NotRotated: the sync with the remote failed.
        """
        try:
            done = self._store.rotate(
                clock.now(),
                clock.instant(),
                progress or self._progress,
            )
        except RemoteFailure as failure:
            raise NotRotated(failure.what, then=failure.then) from failure
        return Rotated(
            root=done.root, previous=done.previous, archive=done.archive
        )

    def has_queue(self) -> bool:
        """Check whether edits are waiting to be pushed; False if the store can't be read."""
        try:
            queue = self._store.branch.queue()
        except (CscError, OSError):
            return False
        return bool(queue)

    def _observe(self, status: SyncStatus) -> None:
        """Store the times at which this clone first saw the new revisions of leases and claims."""
        if status.state is not RemoteState.OK:
            return
        snapshot = self._store.snapshot()
        records: list[tuple[Key, str]] = []
        for name, stored in snapshot.records(SESSIONS).items():
            lease = read_lease(stored)
            if _is_of_other_clone(lease, self._clone):
                key = lease_key(name)
                records.append((key, stored.revision))
        records.extend(self._claims.timed(snapshot))
        now = clock.instant()
        self._sessions.presence.sightings.note(records, now)


def _is_of_other_clone(lease: Lease | None, clone: Clone) -> bool:
    if lease is None or lease.state != "active":
        return False
    return lease.clone != clone.id
