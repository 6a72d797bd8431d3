"""The coordinator: every operation of the tools and the command line, in plain calls.

One coordinator serves one process. Reads are local; writes are durable when they return; what
the remote has to say comes with the answer, never in its way. Each kind of operation is a part of
its own (`edits`, `claims`, `conflicts`, `feed`, `past`, `summary`); what they share is here.
"""

import random
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from csc_git.config.settings import Settings
from csc_git.coordinator import clock, results
from csc_git.coordinator.background import Background, Upkeep
from csc_git.coordinator.claims import Claims
from csc_git.coordinator.conflicts import Conflicts
from csc_git.coordinator.edits import Author, Edits
from csc_git.coordinator.feed import Feed
from csc_git.coordinator.past import Past
from csc_git.coordinator.presence import Held
from csc_git.coordinator.sessions import Sessions
from csc_git.coordinator.summary import Summary
from csc_git.coordinator.writer import Writer
from csc_git.core.backoff import Backoff
from csc_git.core.edit import Outcome
from csc_git.core.key import Key, parse_key, parse_scope
from csc_git.core.lease import SESSIONS, Instant, Lease, lease_key
from csc_git.core.pace import requests_per_hour
from csc_git.core.pattern import matching, part
from csc_git.core.remote_state import PASSING, RemoteState, describe
from csc_git.core.session import resolve_scope
from csc_git.errors import CscError, NotRotated
from csc_git.git.failure import RemoteFailure
from csc_git.git.project import Project
from csc_git.git.tracked import tracked_files
from csc_git.store.attempt import Progress
from csc_git.store.clone_id import Clone
from csc_git.store.records import read_lease
from csc_git.store.recovery import Permit
from csc_git.store.status import SyncStatus
from csc_git.store.store import Store
from csc_git.store.watch import Watch

_AGAIN: Final = Backoff(first=1.0, most=60.0)


class Coordinator:
    """Every operation on one project.

    Args:
        store: The clone's store.
        project: The user's repository.
        clone: Who this clone is.
        settings: The settings that hold here.
        remote_url: The remote's URL as configured, or None; the project is named after it.
        given: Branch, remote and sync settings given to this process by flag or environment.
    """

    def __init__(
        self,
        store: Store,
        project: Project,
        clone: Clone,
        settings: Settings,
        remote_url: str | None,
        given: Mapping[str, Any] | None = None,
    ) -> None:
        self.store = store
        self.sessions = Sessions(
            store,
            clone,
            store.directory,
            settings.lease,
            given,
            str(project.top),
        )
        self.project = project
        self.clone = clone
        self._settings = settings
        self._upkeep = Upkeep(store.repository.maintenance)
        self.writer = Writer(
            store,
            settings.confirm,
            self._upkeep,
            self.sync,
            self.sessions.explained,
        )
        self.edits = Edits(store, self.writer, clone.machine, settings.limit)
        self.claims = Claims(
            store,
            self.sessions,
            clone,
            self.writer,
            partial(tracked_files, project),
            settings.lease,
        )
        self.conflicts = Conflicts(store, self.writer, settings.limit)
        self.past = Past(store, clone.machine)
        self.watch = Watch(store.repository.path / "refs")
        self.feed = Feed(store, self.watch, self.sessions, self.claims.lost)
        self.summary = Summary(
            store,
            self.sessions,
            self.claims,
            clone,
            project.name(remote_url),
            remote_url,
        )
        self._has_left = False
        self.progress: Progress = lambda _: None
        """Called with what a sync is doing; for a caller that waits for it in the foreground."""

    # Sessions

    def sign_on(self, session_id: str | None = None) -> results.SignedOn:
        """Claim a session's name; see `Sessions.sign_on`.

        A server asks the remote first: who else is here is worth a moment, and so is not to take a
        name that somebody took just now.
        """
        self.writer.hear()
        held = self.sessions.sign_on(session_id, clock.now())
        resumed = self.claims.resume(held)
        held.resumes = ()
        self.writer.wrote()
        return self.summary.signed_on(held.name, str(self.feed.now()), resumed)

    def sign_off(self, session: str | None = None) -> results.SignedOff:
        """Give a session's name back."""
        name = self.sessions.sign_off(session, clock.now())
        self.writer.wrote()
        return results.SignedOff(session=str(name))

    def author(self, session: str | None) -> Author:
        """The session as an author of edits."""
        held: Held = self.sessions.find(session)
        self.claims.tell(held)
        return Author(
            str(held.name),
            held.lease.fence,
            lambda snapshot: self.sessions.check(held, snapshot),
        )

    def person(self, user: str) -> Author:
        """Somebody at the command line, `user@machine`, as an author of edits."""
        return Author(f"{user}@{self.clone.machine}", None, lambda _: None)

    # Reading

    def retrieve(
        self,
        scope: str,
        key: str,
        *,
        fresh: bool = False,
        at: str | None = None,
    ) -> results.Retrieved:
        """A key's value.

        Args:
            scope: Its scope.
            key: Its name.
            fresh: Ask the remote first; if it does not answer in time, read what is here.
            at: Read the past, as of a time or a commit.

        Raises:
            UnreadableValue: somebody edited its file by hand, and it is no value any more.
        """
        place = self._key(scope, key)
        if fresh:
            self.writer.refresh()
        snapshot = self.past.at(at) if at is not None else self.store.snapshot()
        found = self.summary.retrieved(snapshot, place)
        if not found.found and found.revision is not None:
            raise self.past.unreadable(place, snapshot)
        return found

    def list_keys(
        self, scope: str, after: str | None = None, limit: int | None = None
    ) -> results.Keys:
        """The keys of a scope, in the order of their names.

        Args:
            scope: The scope.
            after: Only the names behind this one.
            limit: How many at most; None: all.
        """
        scope = self._scope(scope)
        page, more = part(
            self.store.snapshot().names(parse_scope(scope)), after, limit
        )
        return results.Keys(scope=scope, keys=page, more=more)

    def list_scopes(
        self,
        pattern: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> results.Scopes:
        """The scopes that hold keys, in the order of their names.

        Args:
            pattern: A glob that they match; None: all of them.
            after: Only those behind this one.
            limit: How many at most; None: all.
        """
        scopes = self.store.snapshot().scope_texts()
        if pattern is not None:
            scopes = matching(pattern, scopes)
        page, more = part(scopes, after, limit)
        return results.Scopes(scopes=page, more=more)

    def status(self) -> results.Status:
        """Everything worth knowing at a look."""
        cost = (
            requests_per_hour(self._settings.poll)
            if self.store.syncs
            else (0, 0)
        )
        return self.summary.status().model_copy(
            update={"requests_per_hour": cost}
        )

    # Syncing

    def sync(
        self,
        *,
        permit: Permit = Permit(),  # noqa: B008  immutable
        began: Instant | None = None,
    ) -> SyncStatus:
        """Bring this clone and the remote together once, and do what follows from it."""
        with suppress(
            CscError, OSError
        ):  # a dead session's name is free within this clone anyway
            self.sessions.endings.bury(clock.now())
        status = self.store.sync(
            clock.now(),
            began or clock.instant(),
            permit=permit,
            progress=self.progress,
        )
        with suppress(OSError):  # unseen leases only last longer
            self._observe(status)
        self.sessions.settle(clock.now())
        self.claims.settle()
        return status

    def sync_until_pushed(self, seconds: float) -> SyncStatus:
        """Sync until nothing is queued, or until this many seconds have passed.

        It ends at once where only a person can help.
        """
        began, failures = clock.instant(), 0
        pause = threading.Event()
        while (status := self.sync()).state in PASSING and self._has_queue():
            failures += 1
            wait = _AGAIN.wait(failures, random.random())  # noqa: S311  jitter
            if clock.instant().since(began) + wait > seconds:
                break
            pause.wait(wait)
        return status

    def release(self, op: str) -> Outcome | None:
        """Queue a parked edit again; None if it is not parked."""
        outcome = self.store.release(op, clock.now())
        self.writer.wrote()
        return outcome

    def rotate(self) -> results.Rotated:
        """Go on with a new, short history; see `store.rotation`.

        Raises:
            NotRotated: the remote does not take part.
        """
        try:
            done = self.store.rotate(
                clock.now(), clock.instant(), self.progress
            )
        except RemoteFailure as failure:
            what, then = describe(failure.state, failure.detail)
            raise NotRotated(what, then=then) from failure
        return results.Rotated(
            root=done.root, previous=done.previous, archive=done.archive
        )

    def start(self) -> None:
        """Sync and renew leases in the background from now on."""
        background = Background(
            self._tick, self._settings.poll, self.store.pace, self.store.stop
        )
        self.writer.begin(background)
        background.start()

    def leave(self) -> None:
        """End a server: its sessions are signed off here at once, and for others soon after.

        What is queued is pushed by a process that goes on, however slow the remote is.
        """
        self.sessions.leave(clock.now())
        syncs = self.store.syncs and self.writer.background is not None
        self.writer.abandon()
        self._has_left = True
        hopeful = self.store.status.state in PASSING | {RemoteState.NEVER}
        queued = syncs and hopeful and self._has_queue()
        self.close()
        if queued:
            self.hand_over()

    def hand_over(self) -> None:
        """Have a process that goes on push what is queued, and sign dead sessions off."""
        self.writer.go_on(self.project.place, self.sessions.own_settings)

    def _has_queue(self) -> bool:
        try:
            return bool(self.store.branch.queue())
        except (CscError, OSError):
            return False

    def close(self) -> None:
        """End the background, let go of locks, close files. Sessions are not signed off."""
        is_server = self.writer.background is not None or self._has_left
        self.watch.close()
        try:
            self.writer.finish()
            if not is_server:
                self._upkeep.catch_up()
        finally:
            self.sessions.release_all()
            self.store.close()

    def _tick(self, began: Instant) -> SyncStatus:
        self.sessions.renew(clock.now(), clock.instant())
        status = self.sync(began=began)
        self._upkeep.begin()
        return status

    def _observe(self, status: SyncStatus) -> None:
        """Note when other clones' leases were first seen as they are now."""
        if status.state is not RemoteState.OK:
            return
        snapshot = self.store.snapshot()
        others = [
            (lease_key(name), stored.revision)
            for name, stored in snapshot.records(SESSIONS).items()
            if _is_others(read_lease(stored), self.clone)
        ]
        self.sessions.presence.sightings.note(
            [*others, *self.claims.timed(snapshot)], clock.instant()
        )

    def _scope(self, scope: str) -> str:
        return resolve_scope(scope, self.clone.machine)

    def _key(self, scope: str, key: str) -> Key:
        return parse_key(self._scope(scope), key)


def _is_others(lease: Lease | None, clone: Clone) -> bool:
    return (
        lease is not None
        and lease.state == "active"
        and lease.clone != clone.id
    )
