"""Active claims: the claims that bind other sessions now, by the data of this clone.

A claim is active while all of these are true: its record is not released; its session is alive; the
session has not signed on again since it made the claim; and the claim has not expired, if it has a
length of its own. Hooks import this module and must start fast. So this module imports only a
few other modules.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from csc_git.coordinator import clock
from csc_git.coordinator.sessions.presence import Presence
from csc_git.core.claim import Claim, claim_key
from csc_git.core.key import Key
from csc_git.core.lease import Instant, has_lapsed, lease_key
from csc_git.store.claiming import claims_on, is_signed_on
from csc_git.store.clone_id import Clone
from csc_git.store.store import Store
from csc_git.store.tree.records import StoredClaim, all_claims
from csc_git.store.tree.snapshot import Snapshot, Stored


class ActiveClaims:
    """Finds the active claims.

    Args:
        store: The clone's store.
        presence: The object that knows which sessions are signed on and alive.
        clone: The id and the machine name of this clone.
    """

    def __init__(
        self,
        store: Store,
        presence: Presence,
        clone: Clone,
    ) -> None:
        self._store = store
        self._presence = presence
        self._clone = clone

    def all(self, snapshot: Snapshot) -> Iterator[StoredClaim]:
        """Yield all active claims, each with its record."""
        claims = all_claims(snapshot)
        for stored, claim in claims.values():
            if self._is_active(stored, claim, snapshot):
                yield stored, claim

    def on(
        self,
        snapshot: Snapshot,
        resources: Iterable[str],
    ) -> Iterator[StoredClaim]:
        """Yield the active claims on some resources, each with its record. Read only those records.

        Args:
            snapshot: The state to read.
            resources: The resources, as `parse_resource` returns them. Claims on other resources
                are not included, even if those resources overlap the given resources.
        """
        for stored, claim in claims_on(snapshot, resources):
            if self._is_active(stored, claim, snapshot):
                yield stored, claim

    def is_confirmed(
        self,
        stored: Stored,
        claim: Claim,
    ) -> bool:
        """Return whether the remote has a claim. If not, the claim is provisional and may be lost.

        Args:
            stored: The claim's record.
            claim: The claim.
        """
        store = self._store
        base = store.branch.base
        if base is None:
            return False
        objects = store.repository.objects
        confirmed = Snapshot(objects, base)
        key = claim_key(claim.resource)
        return confirmed.revision(key) == stored.revision

    def last_seen(
        self,
        stored: Stored,
        claim: Claim,
    ) -> datetime:
        """Return the time at which a claim's session last changed the claim or its own lease.

        The time was read from the clock of the session's machine.

        Args:
            stored: The claim's record.
            claim: The claim.
        """
        claimed = stored.entry.time
        snapshot = self._store.snapshot()
        key = lease_key(claim.session)
        lease = snapshot.get(key)
        if lease is None:
            return claimed
        return max(claimed, lease.entry.time)

    def timed(self, snapshot: Snapshot) -> list[tuple[Key, str]]:
        """Return the record's key and revision for each claim that has a length of its own.

        The length of such a claim is counted from the moment when this clone first saw the current
        revision of the record.
        """
        found: list[tuple[Key, str]] = []
        claims = all_claims(snapshot)
        for stored, claim in claims.values():
            if claim.state != "held" or claim.seconds is None:
                continue
            key = claim_key(claim.resource)
            found.append((key, stored.revision))
        return found

    def left(
        self,
        stored: Stored,
        claim: Claim,
    ) -> float | None:
        """Return the seconds until a claim ends. The clock of this machine measures the time.

        Args:
            stored: The claim's record.
            claim: The claim.

        Returns:
            The number of seconds; 0 if the claim has ended; None if the claim has no length of its
            own.
        """
        if claim.seconds is None:
            return None
        until = self._counted_until(claim)
        key = claim_key(claim.resource)
        seen = self._presence.sightings.get(key)
        if seen is None or until is None:
            return float(claim.seconds)
        if seen.revision != stored.revision:
            return float(claim.seconds)
        has_ended = has_lapsed(
            claim.seconds,
            stored.revision,
            seen,
            until,
        )
        if has_ended:
            return 0.0
        elapsed = until.since(seen.first)
        return claim.seconds - elapsed

    def _counted_until(self, claim: Claim) -> Instant | None:
        """Return the moment up to which a claim's age is counted; None if the moment is unknown.

        The age of another clone's claim is counted only up to the last contact with the remote,
        since the other clone may have renewed the claim after that contact.
        """
        if claim.clone == self._clone.id:
            return clock.instant()
        return self._store.sync_status.contact

    def _is_active(
        self,
        stored: Stored,
        claim: Claim,
        snapshot: Snapshot,
    ) -> bool:
        if claim.state != "held":
            return False
        if not is_signed_on(claim, snapshot):
            return False
        if not self._presence.is_alive(claim.session, snapshot):
            return False
        left = self.left(stored, claim)
        return left is None or left > 0
