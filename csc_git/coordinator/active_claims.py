"""Active claims: the claims that bind others now, as far as this clone knows.

A claim is active while its record is, the sign-on that made it holds its session's name, that
session is alive, and its own length, if it has one, has not passed. Light to import: hooks use it.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from csc_git.coordinator import clock
from csc_git.coordinator.presence import Presence
from csc_git.core.claim import Claim, claim_key
from csc_git.core.key import Key
from csc_git.core.lease import has_lapsed, lease_key
from csc_git.store.claiming import claims_on, is_signed_on
from csc_git.store.clone_id import Clone
from csc_git.store.records import all_claims
from csc_git.store.snapshot import Snapshot, Stored
from csc_git.store.store import Store


class ActiveClaims:
    """The claims that are active.

    Args:
        store: The clone's store.
        presence: Who is signed on.
        clone: Who this clone is.
    """

    def __init__(self, store: Store, presence: Presence, clone: Clone) -> None:
        self._store = store
        self._presence = presence
        self._clone = clone

    def all(self, snapshot: Snapshot) -> Iterator[tuple[Stored, Claim]]:
        """Each active claim, with its record."""
        for stored, claim in all_claims(snapshot).values():
            if self._is_active(stored, claim, snapshot):
                yield stored, claim

    def on(
        self, snapshot: Snapshot, resources: Iterable[str]
    ) -> Iterator[tuple[Stored, Claim]]:
        """Each active claim on some resources, with its record; no other record is read."""
        for stored, claim in claims_on(snapshot, resources):
            if self._is_active(stored, claim, snapshot):
                yield stored, claim

    def is_confirmed(self, stored: Stored, claim: Claim) -> bool:
        """Whether the remote has a claim; until then it is provisional, and may yet be lost."""
        base = self._store.branch.base
        if base is None:
            return False
        confirmed = Snapshot(self._store.repository.objects, base)
        return confirmed.revision(claim_key(claim.resource)) == stored.revision

    def last_seen(self, stored: Stored, claim: Claim) -> datetime:
        """When a claim's session last changed its record or the claim, by its own clock."""
        lease = self._store.snapshot().get(lease_key(claim.session))
        return max(one.entry.time for one in (stored, lease) if one is not None)

    def timed(self, snapshot: Snapshot) -> list[tuple[Key, str]]:
        """The records that end by time, with their revisions: whose first sighting counts."""
        return [
            (claim_key(resource), stored.revision)
            for resource, (stored, claim) in all_claims(snapshot).items()
            if claim.state == "held" and claim.seconds is not None
        ]

    def left(self, stored: Stored, claim: Claim) -> float | None:
        """Seconds until a claim ends, counted here; None if it has no length of its own."""
        if claim.seconds is None:
            return None
        here = claim.clone == self._clone.id
        until = clock.instant() if here else self._store.sync_status.contact
        seen = self._presence.sightings.get(claim_key(claim.resource))
        if seen is None or until is None or seen.revision != stored.revision:
            return float(claim.seconds)
        if has_lapsed(claim.seconds, stored.revision, seen, until):
            return 0.0
        return claim.seconds - until.since(seen.first)

    def _is_active(
        self, stored: Stored, claim: Claim, snapshot: Snapshot
    ) -> bool:
        if claim.state != "held" or not is_signed_on(claim, snapshot):
            return False
        if not self._presence.is_alive(claim.session, snapshot):
            return False
        left = self.left(stored, claim)
        return left is None or left > 0
