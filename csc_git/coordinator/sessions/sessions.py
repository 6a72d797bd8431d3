"""Sign on, renew and sign off the sessions of this process.

To its own clone, a session is alive while its process keeps the session's lock file locked. When
the process dies, the kernel releases the lock. To other clones, the session is alive until its
lease lapses.
`core.lease` contains the rules; this module applies the rules to the lock files and the store.
"""

import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from csc_git.coordinator import clock
from csc_git.coordinator.sessions.endings import Endings, claimed_by
from csc_git.coordinator.sessions.own_session import OwnSession
from csc_git.coordinator.sessions.presence import MOST_INSTANCES, Presence
from csc_git.coordinator.writer import Writer
from csc_git.core.clock import format_time
from csc_git.core.lease import Instant, Lease, lease_key
from csc_git.core.secret import screen_names
from csc_git.core.session import DEFAULT_STEM, SessionName, parse_session
from csc_git.errors import (
    ConditionFailed,
    CscError,
    NotSignedOn,
    SessionFenced,
    SessionTaken,
)
from csc_git.store.clone_id import Clone
from csc_git.store.store import Store
from csc_git.store.transaction import Draft
from csc_git.store.tree.records import read_lease
from csc_git.store.tree.snapshot import Snapshot, Stored

_RESUMED_WITHIN: Final = 60.0
"""A new server can resume a session for this many seconds after the session's last server ended."""


class Sessions:
    """Signs the sessions of one process on and off, and renews their leases.

    Args:
        store: The clone's store.
        writer: The writer, which makes the edits.
        clone: The id and the machine name of this clone.
        lease_seconds: The length of a new session's lease in seconds.
        given: The branch, remote and sync settings that flags or the environment gave to this
            process; None if there are no such settings.
        work_tree: The directory of the work tree in which this process works.
    """

    def __init__(
        self,
        store: Store,
        writer: Writer,
        clone: Clone,
        lease_seconds: int,
        given: Mapping[str, Any] | None = None,
        work_tree: str = "",
    ) -> None:
        self._work_tree = work_tree
        self._store = store
        self._writer = writer
        self._clone = clone
        self.presence = Presence(
            store,
            clone,
            store.directory,
        )
        self._seconds = lease_seconds
        self.own_settings = given or {}
        self._mutex = threading.RLock()
        self._own: dict[str, OwnSession] = {}
        self.endings = Endings(
            store,
            writer,
            clone,
            self.presence,
            self._own,
        )
        self._lost: dict[str, SessionFenced] = {}
        self._unreported: list[str] = []

    @property
    def here(self) -> list[str]:
        """The handles of this process's sessions, in the order of their sign-ons."""
        return list(self._own)

    @property
    def handles(self) -> list[str]:
        """The handles in `here` and all lost ones. A lost handle may still have queued edits."""
        return [*self._own, *self._lost]

    def sign_on(
        self,
        requested: str | None,
        now: datetime,
    ) -> OwnSession:
        """Sign on under the requested name, or under the first free name.

        If this process already has a session of that name, return that session. If no name is
        requested and the process has sessions, return the first of them.

        Args:
            requested: A short or full session name. None means the first free name.
            now: The wall time.

        Raises:
            InvalidName: the name is not a session name.
            LooksLikeSecret: the name looks like a credential.
            SessionTaken: another session uses the name, or the name is for another machine.
        """
        with self._mutex:
            wanted = self._parse_requested(requested)
            own = self._find_own(wanted)
            if own is not None and own.is_mine(self._store.snapshot()):
                return own
            return self._claim(wanted, now)

    def sign_off(
        self,
        handle: str | None,
        now: datetime,
    ) -> SessionName:
        """Sign off a session.

        The values in the session's scope are kept for the next session of this name.

        Args:
            handle: The session's name. None means the session that signed on first.
            now: The wall time.

        Raises:
            NotSignedOn: this process has no such session.
            SessionFenced: the session lost its name.
        """
        with self._mutex:
            own = self.find(handle)
            decide = partial(_signed_off, own)
            try:
                self._writer.write(decide, now)
            except SessionFenced as fenced:
                raise self.explain_refusal(fenced, now) from None
            self._forget(own)
            return own.name

    def sign_off_all(self, now: datetime) -> None:
        """Sign off every session of this process, because the process ends.

        If the client starts the server again within a minute, the session is resumed.
        """
        with self._mutex:
            for own in list(self._own.values()):
                decide = partial(_signed_off, own)
                with suppress(CscError, OSError):
                    self._note_end(own)
                with suppress(CscError, OSError):
                    self._writer.write(decide, now)
                self._forget(own)

    def find(self, handle: str | None) -> OwnSession:
        """Return the session of this process that has the given name.

        If no name is given, return the first session.

        Raises:
            NotSignedOn: there is no such session.
            SessionFenced: the session lost its name.
        """
        with self._mutex:
            if handle is None:
                return self._find_first()
            session = parse_session(handle, self._clone.machine)
            name = str(session)
            if name in self._own:
                return self._own[name]
            if name in self._lost:
                raise self._report_lost(name)
            raise NotSignedOn(f"{name} is not signed on in this server")

    def first_available(self, snapshot: Snapshot) -> str:
        """Return the name that another process would get if it signed on without a name now."""
        return self.presence.first_free(snapshot, self._own)

    def notice_lost(self, now: datetime) -> None:
        """Find the sessions that lost their names in a sync, and give some of them new names.

        If two clones took the same name while offline, the session whose edit came later in the
        history gets the next free name. If another session took over a name because the lease had
        lapsed, the session that lost the name gets no new name and must sign on again.
        """
        with self._mutex:
            snapshot = self._store.snapshot()
            for own in list(self._own.values()):
                if not own.is_mine(snapshot):
                    self._lose(own, snapshot, now)

    def explain_refusal(
        self,
        fenced: SessionFenced,
        now: datetime,
    ) -> SessionFenced:
        """Return the error for a refused write.

        If the session has got a new name, the error message contains this name.

        Args:
            fenced: The error that `OwnSession.check` raised.
            now: The wall time.
        """
        with self._mutex:
            self.notice_lost(now)
            if fenced.session in self._lost:
                return self._report_lost(fenced.session)
            return fenced

    def renew(
        self,
        now: datetime,
        instant: Instant,
    ) -> None:
        """Renew the leases that are due, except leases whose last renewal is still queued.

        Args:
            now: The wall time.
            instant: The current moment, by the clock that measures elapsed time.
        """
        with self._mutex:
            for own in list(self._own.values()):
                name = str(own.name)
                self.presence.mark_alive(name)
                if self._is_renewal_due(own, instant):
                    self._renew(own, now, instant)

    def release_locks(self) -> None:
        """Release the lock files of all sessions; the kernel does the same when a process ends."""
        with self._mutex:
            for own in list(self._own.values()):
                self._forget(own)

    def _parse_requested(self, requested: str | None) -> SessionName | None:
        if requested is None:
            return None
        machine = self._clone.machine
        wanted = parse_session(requested, machine)
        screen_names([requested])
        if wanted.machine == machine:
            return wanted
        raise SessionTaken(
            f"The name {wanted} belongs to the machine {wanted.machine}, but this is {machine}",
            then=f"Sign on as {wanted.name}, or without a name",
        )

    def _find_own(self, wanted: SessionName | None) -> OwnSession | None:
        """Return the session of this process that has the wanted name.

        If no name is wanted, return the first session of this process.
        """
        if wanted is not None:
            return self._own.get(str(wanted))
        sessions = iter(self._own.values())
        return next(sessions, None)

    def _find_first(self) -> OwnSession:
        """Return the first session. Raise an error if the loss of a name has not been reported yet.

        After the error, a caller that gives no handle continues under the session's new name.
        """
        if self._unreported:
            name = self._unreported[0]
            raise self._report_lost(name)
        first = self._find_own(None)
        if first is None:
            raise NotSignedOn("No session is signed on in this server")
        return first

    def _note_end(self, own: OwnSession) -> None:
        """Write a session's claims to its lock file, so that its client can resume the session."""
        snapshot = self._store.snapshot()
        claimed = claimed_by(own.lease.holder, snapshot)
        name = str(own.name)
        self.presence.note_end(name, claimed)

    def _lose(
        self,
        own: OwnSession,
        snapshot: Snapshot,
        now: datetime,
    ) -> None:
        """Forget a session that lost its name. If another clone signed on first, sign on again."""
        name = str(own.name)
        stored = snapshot.get(lease_key(name))
        winner = read_lease(stored)
        self._forget(own)
        self._lost[name] = own.lost_name(snapshot)
        self._unreported.append(name)
        if winner is None or winner.holder == own.lease.holder:
            return  # the session was signed off
        if winner.fence <= own.lease.fence:
            self._lost[name] = self._renamed(own, now)

    def _is_renewal_due(self, own: OwnSession, instant: Instant) -> bool:
        age = instant.since(own.renewed)
        if age < own.lease.seconds / 3:
            return False
        if own.op is None:
            return True
        fate = self._store.fate(own.op)
        return fate.where != "local"

    def _renew(
        self,
        own: OwnSession,
        now: datetime,
        instant: Instant,
    ) -> None:
        count = own.lease.renewed + 1
        renewed = replace(own.lease, renewed=count)

        def decide(snapshot: Snapshot) -> Draft:
            own.check(snapshot)
            return own.draft(renewed, snapshot, "renewal of")

        try:
            receipt = self._writer.write(decide, now, wakes=False)
        except (SessionFenced, ConditionFailed):
            return  # `notice_lost` handles a lost name
        own.lease = renewed
        own.op = receipt.op
        own.renewed = instant

    def _claim(self, wanted: SessionName | None, now: datetime) -> OwnSession:
        """Sign on under the wanted name, or under the first free name.

        The name is locked within this clone before the edit is made. If a sync changes the record
        of the name after that, the edit fails. Then the method tries again with the new record.
        """
        ended = self.presence.recently_ended(
            self._work_tree,
            _RESUMED_WITHIN,
        )
        while True:
            snapshot = self._store.snapshot()
            own = self._pick(wanted, ended, snapshot, now)
            draft = own.draft(own.lease, snapshot, "sign on")
            decide = partial(_drafted_before, draft)
            try:
                receipt = self._writer.write(decide, now)
                break
            except ConditionFailed:
                own.lock.release()
            except BaseException:
                own.lock.release()
                raise
        name = str(own.name)
        claimed = ended.get(name, ())
        own.op = receipt.op
        own.resumes = tuple(claimed)
        earlier = self._own.get(name)
        if earlier is not None:
            self._forget(earlier)
        self._own[name] = own
        self._lost.pop(name, None)
        return own

    def _pick(
        self,
        wanted: SessionName | None,
        ended: Iterable[str],
        snapshot: Snapshot,
        now: datetime,
    ) -> OwnSession:
        """Lock the wanted name, or the first free name, within this clone."""
        for name in self._candidates(wanted, ended):
            own = self._try_name(name, snapshot, now)
            if own is not None:
                return own
        free = self.first_available(snapshot)
        raise SessionTaken(
            f"{wanted or 'Every name'} is in use",
            then=f"Sign on without a name, or as {free}",
        )

    def _candidates(
        self, wanted: SessionName | None, ended: Iterable[str]
    ) -> Iterator[SessionName]:
        """Yield the wanted name.

        If no name is wanted, yield the names of ended sessions first, and then all names.
        """
        if wanted is not None:
            yield wanted
            return
        machine = self._clone.machine
        for one in ended:
            name = parse_session(one, machine)
            if name.machine == machine:
                yield name
        for number in range(1, MOST_INSTANCES):
            yield SessionName(f"{DEFAULT_STEM}_{number}", machine)

    def _try_name(
        self,
        session: SessionName,
        snapshot: Snapshot,
        now: datetime,
    ) -> OwnSession | None:
        """Lock a name within this clone. Return None if another session uses the name."""
        name = str(session)
        stored = snapshot.get(lease_key(name))
        old = read_lease(stored)
        if self._is_used_elsewhere(name, stored):
            return None
        mine = self._own.get(name)
        if mine is not None:  # this process's own session lost its record
            self._forget(mine)
        lock = self.presence.lock(name)
        if not lock.try_acquire():
            return None
        try:
            self.presence.note_owner(
                name,
                self.own_settings,
                self._work_tree,
            )
        except BaseException:
            lock.release()
            raise
        lease = self._new_lease(old, now)
        return OwnSession(
            session,
            lease,
            lock,
            None,
            clock.instant(),
        )

    def _is_used_elsewhere(self, name: str, stored: Stored | None) -> bool:
        """Check whether another clone has a session of this name that is alive."""
        lease = read_lease(stored)
        if stored is None or lease is None:
            return False
        if lease.clone == self._clone.id:
            return False
        return self.presence.is_active(name, stored)

    def _new_lease(self, old: Lease | None, now: datetime) -> Lease:
        """Make the lease for a sign-on, with a higher fence than the old lease of the name."""
        fence = 1
        if old is not None:
            fence = old.fence + 1
        return Lease(
            holder=uuid.uuid4().hex,
            clone=self._clone.id,
            fence=fence,
            seconds=self._seconds,
            state="active",
            since=format_time(now),
        )

    def _renamed(self, own: OwnSession, now: datetime) -> SessionFenced:
        """Sign on under another name, and return the error that reports the new name."""
        new = self._claim(None, now)
        return SessionFenced(
            f"Another clone had signed on as {own.name} first; you are {new.name} now",
            str(own.name),
            then=f"Repeat the call with session={new.name}, or without session",
        )

    def _report_lost(self, name: str) -> SessionFenced:
        """Return the error for a lost name, and remember that the loss has been reported."""
        if name in self._unreported:
            self._unreported.remove(name)
        return self._lost[name]

    def _forget(self, own: OwnSession) -> None:
        own.lock.release()
        name = str(own.name)
        self._own.pop(name, None)


def _signed_off(own: OwnSession, snapshot: Snapshot) -> Draft:
    """Return the draft of a session's sign-off, if the session still has its name."""
    own.check(snapshot)
    lease = replace(own.lease, state="signed_off")
    return own.draft(lease, snapshot, "sign off")


def _drafted_before(draft: Draft, _: Snapshot) -> Draft:
    """Return the given draft. If the record has changed, a condition of the draft fails."""
    return draft
