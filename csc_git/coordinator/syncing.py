"""Syncing: bring the clone and its remote together, and do what follows from it."""

import random
import threading
from contextlib import suppress
from typing import Final

from csc_git.coordinator import clock
from csc_git.coordinator.claims import Claims
from csc_git.coordinator.results.data import Rotated
from csc_git.coordinator.sessions import Sessions
from csc_git.coordinator.writer import Writer
from csc_git.core.backoff import Backoff
from csc_git.core.edit import Outcome
from csc_git.core.lease import SESSIONS, Instant, Lease, lease_key
from csc_git.core.remote_failure import RemoteFailure
from csc_git.core.remote_state import PASSING, RemoteState
from csc_git.errors import CscError, NotRotated
from csc_git.store.attempt import Progress
from csc_git.store.clone_id import Clone
from csc_git.store.records import read_lease
from csc_git.store.recovery import Permit
from csc_git.store.store import Store
from csc_git.store.sync_status import SyncStatus

_AGAIN: Final = Backoff(first=1.0, most=60.0)


def no_progress(_: str) -> None:
    """Report nothing, for a sync that nobody watches."""


class Syncing:
    """Syncs the clone, in the foreground or for the background thread.

    Args:
        store: The clone's store.
        sessions: Those of this process.
        claims: Theirs.
        writer: Wakes the background.
        clone: Who this clone is.
        progress: Called with what a sync does, unless the caller of `sync` gives another.
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
        """Bring this clone and the remote together once.

        Args:
            permit: What a person allows it to do beyond what is safe.
            began: When the caller's round began; None for now.
            progress: Called with what it does.
        """
        # A sign-off that fails is tried again: the dead session's name is free here anyway.
        with suppress(CscError, OSError):
            self._sessions.endings.bury(clock.now())
        status = self._store.sync(
            clock.now(),
            began or clock.instant(),
            permit=permit,
            progress=progress or self._progress,
        )
        # Leases whose sighting can't be noted only last longer.
        with suppress(OSError):
            self._observe(status)
        self._sessions.notice_lost(clock.now())
        self._claims.notice_lost()
        return status

    def sync_until_pushed(self, seconds: float) -> SyncStatus:
        """Sync until nothing is queued, or until time runs out.

        It ends at once where only a person can help.

        Args:
            seconds: How long to try.
        """
        began = clock.instant()
        failures = 0
        pause = threading.Event()
        while True:
            status = self.sync()
            if status.state not in PASSING or not self.has_queue():
                return status
            failures += 1
            wait = _AGAIN.wait(failures, random.random())  # noqa: S311  jitter
            if clock.instant().since(began) + wait > seconds:
                return status
            pause.wait(wait)

    def release(self, op: str) -> Outcome | None:
        """Queue a parked edit again; None if it is not parked."""
        outcome = self._store.release(op, clock.now())
        self._writer.wrote()
        return outcome

    def rotate(self, progress: Progress | None = None) -> Rotated:
        """Go on with a new, short history; see `store.rotation`.

        Args:
            progress: Called with what it does.

        Raises:
            NotRotated: the remote does not take part.
        """
        report = progress or self._progress
        try:
            done = self._store.rotate(clock.now(), clock.instant(), report)
        except RemoteFailure as failure:
            raise NotRotated(failure.what, then=failure.then) from failure
        return Rotated(
            root=done.root, previous=done.previous, archive=done.archive
        )

    def has_queue(self) -> bool:
        """Whether edits wait to be pushed; False if the store can't be read."""
        try:
            return bool(self._store.branch.queue())
        except (CscError, OSError):
            return False

    def _observe(self, status: SyncStatus) -> None:
        """Note when other clones' leases were first seen as they are now."""
        if status.state is not RemoteState.OK:
            return
        snapshot = self._store.snapshot()
        others = [
            (lease_key(name), stored.revision)
            for name, stored in snapshot.records(SESSIONS).items()
            if _is_others(read_lease(stored), self._clone)
        ]
        self._sessions.presence.sightings.note(
            [*others, *self._claims.timed(snapshot)], clock.instant()
        )


def _is_others(lease: Lease | None, clone: Clone) -> bool:
    return (
        lease is not None
        and lease.state == "active"
        and lease.clone != clone.id
    )
