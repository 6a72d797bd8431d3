"""Endings: sign sessions off from a process other than their own.

A person ends a session whose laptop broke. A process ends the sessions of its own clone whose
process died before it could sign them off.
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
"""Sessions that one edit signs off."""


class Endings:
    """Signs off sessions of other processes.

    Args:
        store: The clone's store.
        writer: Makes the edits.
        clone: Who this clone is.
        presence: The sessions that are signed on.
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
        """Sign off the sessions of this clone whose process died before it could do so."""
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
        """Sign a session off whose lock this process has acquired."""
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
        """Sign a session of any process and clone off.

        The next write of its server, if that still runs, is refused; the server may sign on again.

        Args:
            handle: The session's short or full name.
            by: The author of the edit.
            now: The wall clock.
            holders: Ids of the sign-ons that may be ended, in case another session has the name by
                now; None for any.

        Returns:
            Whether the session was signed on.

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
        """Sign many sessions off, as `end` does with one.

        Args:
            handles: Their short or full names.
            by: The author of the edits.
            now: The wall clock.
            holders: Ids of the sign-ons that may be ended; None for any.

        Returns:
            Those of `handles` that were signed on.

        Raises:
            InvalidName: one of `handles` is not a session name.
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
        """Sign sessions off by one edit; return the handles of those that were signed on."""

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

        For a session of this clone its lock decides. For one of another clone the elapsed time
        decides, if this clone has seen the record for that long; otherwise the time in the record
        decides, which comes from the other machine's clock.

        Args:
            name: The session's full name.
            snapshot: The state to look at.
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
    """Return the resources that a session has claimed for as long as it lives.

    Args:
        holder: The id of its sign-on.
        snapshot: The state to look at.
    """
    resources: list[str] = []
    for _, claim in all_claims(snapshot).values():
        is_active = claim.holder == holder and claim.state == "held"
        if is_active and claim.seconds is None:
            resources.append(claim.resource)
    return resources


def _batches(names: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield names in groups that are signed off by one edit each."""
    every = iter(names.items())
    while batch := dict(islice(every, _BATCH)):
        yield batch


def _sign_off_draft(
    snapshot: Snapshot,
    names: Iterable[str],
    by: str,
    holders: Collection[str] | None,
) -> Draft:
    """Draft the sign-off of those of some sessions that are signed on."""
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
