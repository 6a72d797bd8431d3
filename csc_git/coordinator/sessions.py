"""Sessions: who is here, under which name, and until when.

Inside a clone a session is alive while its process holds its lock file, which the kernel frees
when the process dies. Seen from another clone it is alive until its lease lapses. See
`core.lease` for the rules; here they meet files and the store.
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
from csc_git.coordinator.endings import Endings, claimed_by
from csc_git.coordinator.presence import MOST_INSTANCES, OwnSession, Presence
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
from csc_git.store.records import read_lease
from csc_git.store.snapshot import Snapshot
from csc_git.store.store import Store
from csc_git.store.transaction import Draft
from csc_git.text import quoted

_RESUMED_WITHIN: Final = 60.0
"""Seconds within which a server that is started again takes its session up again."""


class Sessions:
    """The sessions of one process, and what it knows of all others.

    Args:
        store: The clone's store.
        writer: Makes the edits.
        clone: Who this clone is.
        lease_seconds: Of a sign-on.
        given: Settings given to this process alone, not to others of this clone.
        work_tree: Where this process works.
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
        self.presence = Presence(store, clone, store.directory)
        self._seconds = lease_seconds
        self.own_settings = given or {}
        self._mutex = threading.RLock()
        self._own: dict[str, OwnSession] = {}
        self.endings = Endings(store, writer, clone, self.presence, self._own)
        self._news: dict[str, SessionFenced] = {}
        self._unreported: list[str] = []

    @property
    def here(self) -> list[str]:
        """Handles of this process's sessions, the first signed on first."""
        return list(self._own)

    @property
    def handles(self) -> list[str]:
        """Those, and the ones that its sessions lost: edits under these may still be queued."""
        return [*self._own, *self._news]

    def sign_on(self, requested: str | None, now: datetime) -> OwnSession:
        """Claim a name: the one asked for, or the first that is free.

        Calling it again with a name of this process, or without a name, returns the same session.

        Raises:
            SessionTaken: somebody else is using the name asked for.
        """
        with self._mutex:
            wanted = _parsed(requested, self._clone.machine)
            screen_names([requested] if requested else [])
            if wanted and wanted.machine != self._clone.machine:
                raise SessionTaken(
                    f"{wanted} belongs to the machine {wanted.machine}; this is "
                    f"{self._clone.machine}",
                    then=f"Sign on as {wanted.name}, or without a name",
                )
            own = (
                self._own.get(str(wanted))
                if wanted
                else next(iter(self._own.values()), None)
            )
            if own is not None and own.is_mine(self._store.snapshot()):
                return own
            return self._claim(wanted, now)

    def sign_off(self, handle: str | None, now: datetime) -> SessionName:
        """Give a name back; its state stays for the next session of that name."""
        with self._mutex:
            own = self.find(handle)
            try:
                self._writer.write(partial(self._sign_off, own), now)
            except SessionFenced as fenced:
                raise self.explained(fenced, now) from None
            self._forget(own)
            return own.name

    def leave(self, now: datetime) -> None:
        """Sign every session of this process off, since the process ends.

        A client that starts its server again within a minute takes its session up again.
        """
        with self._mutex:
            for own in list(self._own.values()):
                with suppress(CscError, OSError):
                    claimed = claimed_by(
                        own.lease.holder, self._store.snapshot()
                    )
                    self.presence.note_end(str(own.name), claimed)
                with suppress(CscError, OSError):
                    self._writer.write(partial(self._sign_off, own), now)
                self._forget(own)

    def find(self, handle: str | None) -> OwnSession:
        """This process's session of that name; the first signed on if none is named.

        Raises:
            NotSignedOn: there is none.
            SessionFenced: it lost its name since.
        """
        with self._mutex:
            if handle is None:
                if (
                    self._unreported
                ):  # once; without a handle the session goes on by its new name
                    raise self._notified(self._unreported[0])
                if not self._own:
                    raise NotSignedOn("No session is signed on in this server")
                return next(iter(self._own.values()))
            name = str(parse_session(handle, self._clone.machine))
            if name in self._own:
                return self._own[name]
            if name in self._news:
                raise self._notified(name)
            raise NotSignedOn(f"{name} is not signed on in this server")

    def check(self, own: OwnSession, snapshot: Snapshot) -> None:
        """Refuse to write for a session whose name somebody else holds now.

        Called under the store's lock, so it takes none: sign-on and renewal take theirs first and
        the store's second.

        Raises:
            SessionFenced: so it is.
        """
        if not own.is_mine(snapshot):
            raise _lost(own, snapshot)

    def first_available(self, snapshot: Snapshot) -> str:
        """The name that `sign_on` without a name would give somebody else now."""
        return self.presence.first_free(snapshot, self._own)

    def notice_lost(self, now: datetime) -> None:
        """After a sync: notice names lost to others, and take the next ones.

        Of two clones that took one name offline, the one placed later takes the next number. A
        name taken over after its lease lapsed is not replaced: that session must sign on again.
        """
        with self._mutex:
            snapshot = self._store.snapshot()
            for own in list(self._own.values()):
                if own.is_mine(snapshot):
                    continue
                winner = read_lease(snapshot.get(lease_key(str(own.name))))
                self._forget(own)
                self._news[str(own.name)] = _lost(own, snapshot)
                self._unreported.append(str(own.name))
                ended = winner is None or winner.holder == own.lease.holder
                if (
                    winner is not None
                    and not ended
                    and winner.fence <= own.lease.fence
                ):
                    self._news[str(own.name)] = self._renamed(own, now)

    def explained(self, fenced: SessionFenced, now: datetime) -> SessionFenced:
        """A refusal by `check`, with the new name that the session may have got by now."""
        with self._mutex:
            self.notice_lost(now)
            return (
                self._notified(fenced.session)
                if fenced.session in self._news
                else fenced
            )

    def renew(self, now: datetime, instant: Instant) -> None:
        """Renew the leases that are due, unless an earlier renewal still waits to be synced."""
        with self._mutex:
            for own in list(self._own.values()):
                self.presence.show_life(str(own.name))
                if instant.since(own.renewed) < own.lease.seconds / 3:
                    continue
                if (
                    own.op is not None
                    and self._store.fate(own.op).where == "local"
                ):
                    continue
                self._renew(own, now, instant)

    def release_all(self) -> None:
        """Let go of the lock files, as the end of the process would."""
        with self._mutex:
            for own in list(self._own.values()):
                self._forget(own)

    def _sign_off(self, own: OwnSession, snapshot: Snapshot) -> Draft:
        self.check(own, snapshot)
        return self._draft(
            own, replace(own.lease, state="signed_off"), snapshot, "off"
        )

    def _renew(self, own: OwnSession, now: datetime, instant: Instant) -> None:
        renewed = replace(own.lease, renewed=own.lease.renewed + 1)

        def decide(snapshot: Snapshot) -> Draft:
            self.check(own, snapshot)
            return self._draft(own, renewed, snapshot, "renewal of")

        try:
            receipt = self._writer.write(decide, now, wakes=False)
        except (SessionFenced, ConditionFailed):
            return  # `notice_lost` deals with a lost name
        own.lease, own.op, own.renewed = renewed, receipt.op, instant

    def _claim(self, wanted: SessionName | None, now: datetime) -> OwnSession:
        """Sign on with the name wanted, or the first free one.

        The name is locked within this clone before the edit is made. If the name's record changes
        in between, because a sync brought another one, the next try looks again.
        """
        ended = self.presence.lately_ended(self._work_tree, _RESUMED_WITHIN)
        while True:
            snapshot = self._store.snapshot()
            own = self._pick(wanted, ended, snapshot, now)
            draft = self._draft(own, own.lease, snapshot, "on")
            try:
                receipt = self._writer.write(partial(_return, draft), now)
                break
            except ConditionFailed:
                own.lock.release()
            except BaseException:
                own.lock.release()
                raise
        name = str(own.name)
        own.op = receipt.op
        own.resumes = tuple(ended.get(name, ()))
        earlier = self._own.get(name)
        if earlier is not None:
            self._forget(earlier)
        self._own[name] = own
        self._news.pop(name, None)
        return own

    def _pick(
        self,
        wanted: SessionName | None,
        ended: Iterable[str],
        snapshot: Snapshot,
        now: datetime,
    ) -> OwnSession:
        """Lock the name wanted, or the first free one, within this clone."""
        names = self._candidates(ended) if wanted is None else [wanted]
        for name in names:
            own = self._try(name, snapshot, now)
            if own is not None:
                return own
        free = self.first_available(snapshot)
        raise SessionTaken(
            f"{wanted or 'Every name'} is in use",
            then=f"Sign on without a name, or as {free}",
        )

    def _candidates(self, ended: Iterable[str]) -> Iterator[SessionName]:
        """Names to sign on with when the caller gave no name."""
        for one in ended:
            name = parse_session(one, self._clone.machine)
            if name.machine == self._clone.machine:
                yield name
        yield from _instances(self._clone.machine)

    def _try(
        self, name: SessionName, snapshot: Snapshot, now: datetime
    ) -> OwnSession | None:
        stored = snapshot.get(lease_key(str(name)))
        old = read_lease(stored)
        foreign = old is not None and old.clone != self._clone.id
        if (
            foreign
            and stored is not None
            and self.presence.is_active(str(name), stored)
        ):
            return None
        mine = self._own.get(str(name))
        if mine is not None:  # a sign-on of ours that lost its record
            self._forget(mine)
        lock = self.presence.lock(str(name))
        if not lock.try_acquire():
            return None
        try:
            self.presence.note(str(name), self.own_settings, self._work_tree)
        except BaseException:
            lock.release()
            raise
        lease = Lease(
            holder=uuid.uuid4().hex,
            clone=self._clone.id,
            fence=old.fence + 1 if old else 1,
            seconds=self._seconds,
            state="active",
            since=format_time(now),
        )
        return OwnSession(name, lease, lock, None, clock.instant())

    def _draft(
        self, own: OwnSession, lease: Lease, snapshot: Snapshot, what: str
    ) -> Draft:
        key = lease_key(str(own.name))
        return Draft(
            subject=f"sign {what} {own.name}"
            if what in {"on", "off"}
            else f"{what} {own.name}",
            session=str(own.name),
            puts={key: lease.to_json()},
            requires={key: snapshot.revision(key)},
            fence=lease.fence,
        )

    def _renamed(self, own: OwnSession, now: datetime) -> SessionFenced:
        new = self._claim(None, now)
        return SessionFenced(
            f"Another clone had signed on as {own.name} first; you are {new.name} now",
            str(own.name),
            then=f"Repeat the call with session={new.name}, or without session",
        )

    def _notified(self, name: str) -> SessionFenced:
        """What became of a session that lost its name; without a handle it is notified once."""
        if name in self._unreported:
            self._unreported.remove(name)
        return self._news[name]

    def _forget(self, own: OwnSession) -> None:
        own.lock.release()
        self._own.pop(str(own.name), None)


def _return(draft: Draft, _: Snapshot) -> Draft:
    """Decide on a draft that was made before; its conditions show whether it still fits."""
    return draft


def _parsed(requested: str | None, machine: str) -> SessionName | None:
    return None if requested is None else parse_session(requested, machine)


def _instances(machine: str) -> list[SessionName]:
    return [
        SessionName(f"{DEFAULT_STEM}_{n}", machine)
        for n in range(1, MOST_INSTANCES)
    ]


def _lost(own: OwnSession, snapshot: Snapshot) -> SessionFenced:
    """Why a session's name is not its own any more."""
    stored = snapshot.get(lease_key(str(own.name)))
    lease = read_lease(stored)
    if stored and lease and lease.holder == own.lease.holder:
        what = f"{own.name} was signed off by {quoted(stored.entry.session)}"
    else:
        what = f"The name {own.name} is own by somebody else now: its lease had lapsed"
    return SessionFenced(what, str(own.name))
