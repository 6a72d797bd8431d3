"""Endings: sign sessions off from another process than their own.

A person ends a session whose laptop broke. A process ends the sessions of its own clone whose
process died before it could sign them off.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from csc_git.coordinator import clock
from csc_git.coordinator.presence import Presence
from csc_git.coordinator.writer import Writer
from csc_git.core.key import Key
from csc_git.core.lease import lease_key
from csc_git.core.session import parse_session
from csc_git.core.value import Json
from csc_git.store.clone_id import Clone
from csc_git.store.records import all_claims, read_lease
from csc_git.store.snapshot import Snapshot
from csc_git.store.store import Store
from csc_git.store.transaction import Draft
from csc_git.text import count

_BATCH: Final = 100
"""Sessions that one edit signs off."""


class Endings:
    """Signs sessions off from outside.

    Args:
        store: The clone's store.
        writer: Makes the edits.
        clone: Who this clone is.
        presence: Who is signed on.
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

    def bury(self, now: datetime) -> None:
        """Sign off the sessions of this clone whose process died before it could do so."""
        snapshot = self._store.snapshot()
        for name in self.presence.signed_on_here(snapshot):
            lease = read_lease(snapshot.get(lease_key(name)))
            if lease is None:
                continue
            lock = self.presence.lock(name)
            if name in self._own or not lock.try_acquire():
                continue
            try:
                if self.presence.was_alive_lately(name):
                    self.presence.note_end(
                        name, claimed_by(lease.holder, snapshot)
                    )
                self.end(name, name, now, {lease.holder})
            finally:
                lock.release()

    def end(
        self,
        handle: str,
        by: str,
        now: datetime,
        holders: Collection[str] | None = None,
    ) -> bool:
        """Sign a session off from outside, wherever it is; whether it was signed on.

        Its server, if there is one, learns of it with its next write, and may sign on again.

        Args:
            handle: Its name.
            by: Who decided so.
            now: The wall clock.
            holders: Only if its sign-on is one of these: somebody else may have the name by now.

        Raises:
            InvalidName: no session's name.
        """
        return bool(self.end_all([handle], by, now, holders))

    def end_all(
        self,
        handles: Sequence[str],
        by: str,
        now: datetime,
        holders: Collection[str] | None = None,
    ) -> list[str]:
        """Sign sessions off from outside, many at once; see `end`.

        Returns:
            Those of the names given that were signed on.
        """
        names = {
            one: str(parse_session(one, self._clone.machine)) for one in handles
        }
        ended: list[str] = []
        for batch in _batches(list(names)):
            ended += self._end_batch(
                {one: names[one] for one in batch}, by, now, holders
            )
        return ended

    def _end_batch(
        self,
        names: Mapping[str, str],
        by: str,
        now: datetime,
        holders: Collection[str] | None,
    ) -> list[str]:
        """Sign sessions off by one edit; the handles of those that were signed on."""

        def decide(snapshot: Snapshot) -> Draft:
            puts: dict[Key, Json] = {}
            requires: dict[Key, str | None] = {}
            signed_off: list[str] = []
            for name in names.values():
                key = lease_key(name)
                stored = snapshot.get(key)
                lease = read_lease(stored)
                if stored is None or lease is None or lease.state != "active":
                    continue
                if holders and lease.holder not in holders:
                    continue
                signed_off.append(name)
                puts[key] = replace(lease, state="signed_off").to_json()
                requires[key] = stored.revision
            only_one = len(signed_off) == 1
            who = (
                signed_off[0] if only_one else count(len(signed_off), "session")
            )
            return Draft(f"sign off {who}", by, puts, requires=requires)

        receipt = self._writer.write(decide, now, wakes=False)
        signed_off = receipt.draft.puts
        return [
            handle
            for handle, name in names.items()
            if lease_key(name) in signed_off
        ]

    def is_stale(self, name: str, snapshot: Snapshot) -> bool:
        """Whether a session gave no sign of life for a lease's length.

        In this clone by its lock. From another clone by elapsed time, where this clone has watched
        it so long; else by the time of its record, which is the other machine's word.
        """
        stored = snapshot.get(lease_key(name))
        lease = read_lease(stored)
        if stored is None or lease is None or name in self._own:
            return False
        is_active = self.presence.is_active(name, stored)
        if lease.clone == self._clone.id:
            return not is_active
        age = clock.now() - stored.entry.time
        return not is_active or age.total_seconds() > lease.seconds


def claimed_by(holder: str, snapshot: Snapshot) -> list[str]:
    """What a sign-on has claimed for as long as its session lives."""
    return [
        claim.resource
        for _, claim in all_claims(snapshot).values()
        if claim.holder == holder
        and claim.state == "held"
        and claim.seconds is None
    ]


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Names in groups that are signed off by one edit each."""
    for start in range(0, len(names), _BATCH):
        yield names[start : start + _BATCH]
