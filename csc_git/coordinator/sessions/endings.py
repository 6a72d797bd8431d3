"""Sign off sessions that belong to other processes.

For instance, a person signs off a session whose laptop broke. If a process dies before it can sign
off its sessions, another process of the same clone signs off these sessions.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Final

from csc_git.coordinator import clock
from csc_git.coordinator.sessions.presence import Presence
from csc_git.coordinator.writer import Writer
from csc_git.core.key import Key
from csc_git.core.lease import lease_key
from csc_git.core.session import parse_session
from csc_git.core.value import Json
from csc_git.store.clone_id import Clone
from csc_git.store.store import Store
from csc_git.store.transaction import Draft
from csc_git.store.tree.records import all_claims, read_lease
from csc_git.store.tree.snapshot import Snapshot
from csc_git.text import count

_BATCH: Final = 100
"""One edit signs off at most this many sessions."""


class Endings:
    """Signs off sessions that belong to other processes.

    Args:
        store: The clone's store.
        writer: The writer, which makes the edits.
        clone: The id and the machine name of this clone.
        presence: The object that checks which sessions are signed on and alive.
        own: The sessions of this process, by name.
    """

    def __init__(
        self,
        store: Store,
        writer: Writer,
        clone: Clone,
        presence: Presence,
        own: Mapping[str, object],
    ) -> None:
        self._store = store
        self._writer = writer
        self._clone = clone
        self.presence = presence
        self._own = own

    def sign_off_dead(self, now: datetime) -> None:
        """Sign off the sessions of this clone whose process has died."""
        snapshot = self._store.snapshot()
        for name in self.presence.signed_on_here(snapshot):
            if name in self._own:
                continue
            lock = self.presence.lock(name)
            if not lock.try_acquire():
                continue
            try:
                self._sign_off_locked(name, snapshot, now)
            finally:
                lock.release()

    def _sign_off_locked(
        self,
        name: str,
        snapshot: Snapshot,
        now: datetime,
    ) -> None:
        """Sign off a session.

        The caller must have acquired the lock of the session before the call.
        """
        stored = snapshot.get(lease_key(name))
        lease = read_lease(stored)
        if lease is None:
            return
        if self.presence.was_alive_recently(name):
            claimed = claimed_by(lease.holder, snapshot)
            self.presence.note_end(name, claimed)
        holders = {lease.holder}
        self.end(name, name, now, holders)

    def end(
        self,
        handle: str,
        by: str,
        now: datetime,
        holders: Collection[str] | None = None,
    ) -> bool:
        """Sign off a session of any process of any clone.

        If the server of the session is still running, its next write is refused, and the session
        must sign on again.

        Args:
            handle: The session's short or full name.
            by: The name of the author of the edit.
            now: The wall time.
            holders: The ids of the sign-ons that may be ended; None allows all sign-ons. The ids
                ensure that a new session of the same name is not signed off by mistake.

        Returns:
            Whether the session was signed on before the call.

        Raises:
            InvalidName: `handle` is not a session name.
        """
        ended = self.end_all([handle], by, now, holders)
        return bool(ended)

    def end_all(
        self,
        handles: Sequence[str],
        by: str,
        now: datetime,
        holders: Collection[str] | None = None,
    ) -> list[str]:
        """Sign off many sessions, in the same way as `end` signs off one session.

        Args:
            handles: The short or full names of the sessions.
            by: The name of the author of the edits.
            now: The wall time.
            holders: The ids of the sign-ons that may be ended; None allows all sign-ons.

        Returns:
            The handles whose sessions were signed on.

        Raises:
            InvalidName: a handle is not a session name.
        """
        names: dict[str, str] = {}
        for handle in handles:
            name = parse_session(handle, self._clone.machine)
            names[handle] = str(name)
        ended: list[str] = []
        for batch in _batches(names):
            ended += self._end_batch(
                batch,
                by,
                now,
                holders,
            )
        return ended

    def _end_batch(
        self,
        names: Mapping[str, str],
        by: str,
        now: datetime,
        holders: Collection[str] | None,
    ) -> list[str]:
        """Sign off sessions by one edit. Return the handles whose sessions were signed on."""

        def decide(snapshot: Snapshot) -> Draft:
            return _sign_off_draft(
                snapshot,
                names.values(),
                by,
                holders,
            )

        receipt = self._writer.write(decide, now, wakes=False)
        signed_off = receipt.draft.puts
        ended: list[str] = []
        for handle, name in names.items():
            key = lease_key(name)
            if key in signed_off:
                ended.append(handle)
        return ended

    def is_stale(
        self,
        name: str,
        snapshot: Snapshot,
    ) -> bool:
        """Check whether a session gave no sign of life for the length of its lease.

        A session of this clone is stale if its lock file is not locked. A session of another clone
        is stale if this clone has seen the same record for longer than the lease. A session of
        another clone is also stale if the time in its record is further in the past than the length
        of the lease. That time was read from the clock of the other machine.

        Args:
            name: The session's full name.
            snapshot: The state to read.
        """
        if name in self._own:
            return False
        stored = snapshot.get(lease_key(name))
        lease = read_lease(stored)
        if stored is None or lease is None:
            return False
        if not self.presence.is_active(name, stored):
            return True
        if lease.clone == self._clone.id:
            return False
        age = clock.now() - stored.entry.time
        return age.total_seconds() > lease.seconds


def claimed_by(
    holder: str,
    snapshot: Snapshot,
) -> list[str]:
    """Return the resources that a session claimed without giving a length for the claim.

    Args:
        holder: The id of the session's sign-on.
        snapshot: The state to read.
    """
    resources: list[str] = []
    for _, claim in all_claims(snapshot).values():
        is_active = claim.holder == holder and claim.state == "held"
        if is_active and claim.seconds is None:
            resources.append(claim.resource)
    return resources


def _batches(names: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield the names in groups. One edit signs off the sessions of one group."""
    every = iter(names.items())
    while batch := dict(islice(every, _BATCH)):
        yield batch


def _sign_off_draft(
    snapshot: Snapshot,
    names: Iterable[str],
    by: str,
    holders: Collection[str] | None,
) -> Draft:
    """Draft an edit that signs off sessions. Skip the sessions that are not signed on."""
    puts: dict[Key, Json] = {}
    requires: dict[Key, str | None] = {}
    signed_off: list[str] = []
    for name in names:
        key = lease_key(name)
        stored = snapshot.get(key)
        lease = read_lease(stored)
        if stored is None or lease is None:
            continue
        if lease.state != "active":
            continue
        if holders and lease.holder not in holders:
            continue
        ended = replace(lease, state="signed_off")
        signed_off.append(name)
        puts[key] = ended.to_json()
        requires[key] = stored.revision
    who = count(len(signed_off), "session")
    if len(signed_off) == 1:
        who = signed_off[0]
    return Draft(
        f"sign off {who}",
        by,
        puts,
        requires=requires,
    )
