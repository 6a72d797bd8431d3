"""Claiming: how claims are checked during a replay.

When a session claims a resource, the session's clone decides whether the claim is possible, using
the data that the clone has at that time. When the claim is replayed, the base is newer than that
data. Even if the claim's own keys are unchanged, one of these things may have happened meanwhile:

1. The session has lost its name, because another sign-on took over the name.
2. Another session has claimed a different resource, and both resources overlap.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from csc_git.core.claim import (
    CLAIMS,
    Claim,
    Tracked,
    candidates,
    claim_key,
    overlaps,
)
from csc_git.core.key import Key, Scope
from csc_git.core.lease import SESSIONS, lease_key
from csc_git.core.session import is_session_name
from csc_git.store.tree.records import StoredClaim, read_claim, read_lease
from csc_git.store.tree.snapshot import Snapshot, Stored


class Overlaps:
    """Decides which resources overlap. Results are cached, because some comparisons call git.

    Args:
        tracked: A function that returns the files of the user's repository. This function is called
            at most once, and only if patterns are compared.
    """

    def __init__(self, tracked: Tracked) -> None:
        self._tracked = cache(lambda: list(tracked()))
        self._known: dict[tuple[str, str], bool] = {}
        self._wanted: object = None
        self._resources: object = None
        self._candidates: list[str] = []

    def near(
        self,
        wanted: Sequence[str],
        resources: Sequence[str],
    ) -> list[str]:
        """Return the resources that overlap at least one of the wanted resources.

        Args:
            wanted: The few resources with which the other resources are compared.
            resources: The other resources. If both arguments are the same objects as in the last
                call, the candidates of that call are used again.
        """
        is_known = self._wanted is wanted and self._resources is resources
        if not is_known:
            self._wanted = wanted
            self._resources = resources
            self._candidates = candidates(wanted, resources)
        return [one for one in self._candidates if self._meets_any(one, wanted)]

    def _meets_any(self, resource: str, wanted: Sequence[str]) -> bool:
        return any(self(other, resource) for other in wanted)

    def __call__(self, one: str, other: str) -> bool:
        """Return whether two resources overlap."""
        pair = (one, other)
        if pair not in self._known:
            self._known[pair] = overlaps(one, other, self._tracked)
        return self._known[pair]


def claims_on(
    snapshot: Snapshot,
    resources: Iterable[str],
) -> Iterator[StoredClaim]:
    """Yield the claims of all sessions on some resources, including claims that are not active.

    Args:
        snapshot: The snapshot to read from.
        resources: The resources. Resources without a claim are skipped.
    """
    for resource in resources:
        stored = snapshot.get(claim_key(resource))
        claim = read_claim(resource, stored)
        if stored is not None and claim is not None:
            yield stored, claim


def is_nobodys(snapshot: Snapshot, key: Key) -> bool:
    """Return whether csc-git can't have made the record of a session or of a claim.

    A record that csc-git can't have made has no effect, and a person may remove it. Anyone who may
    push to the remote can write such an invalid record.

    Args:
        snapshot: The snapshot to read from.
        key: The record's key. If the key is not in `sessions` or `claims`, the result is False.
    """
    if key.scope not in {SESSIONS, CLAIMS}:
        return False
    if snapshot.revision(key) is None:
        return False
    stored = snapshot.get(key)
    return not _is_record(key.scope, key.name, stored)


def nobodys(snapshot: Snapshot) -> Iterator[Key]:
    """Yield the keys of session and claim records that csc-git can't have made."""
    for scope in (SESSIONS, CLAIMS):
        records = snapshot.records(scope)
        for name in snapshot.names(scope):
            stored = records.get(name)
            if not _is_record(scope, name, stored):
                yield Key(scope, name)


def _is_record(scope: Scope, name: str, stored: Stored | None) -> bool:
    """Return whether the value of a key in `sessions` or `claims` is a valid record."""
    if scope == SESSIONS:
        return is_session_name(name) and read_lease(stored) is not None
    return read_claim(name, stored) is not None


def is_signed_on(claim: Claim, snapshot: Snapshot) -> bool:
    """Return whether the sign-on that made a claim still has the session's name.

    Args:
        claim: The claim.
        snapshot: The snapshot from which the session's record is read.
    """
    lease = read_lease(snapshot.get(lease_key(claim.session)))
    if lease is None or lease.holder != claim.holder:
        return False
    return lease.state == "active"


def is_contested(
    made: Iterable[Stored],
    known: Snapshot,
    here: Snapshot,
    tracked: Tracked,
) -> bool:
    """Return whether a replay on a newer base must refuse an edit that makes claims.

    Args:
        made: The original records of the claims.
        known: The snapshot on which the author made the claims. Other claims are ignored if they
            have not changed since this snapshot, because the author's clone has already checked
            them.
        here: The snapshot of the newer base.
        tracked: A function that returns the files of the user's repository.
    """
    wanted = list(_unreleased(made))
    if not all(is_signed_on(claim, here) for claim in wanted):  # case 1
        return True
    resources = [claim.resource for claim in wanted]
    near = candidates(resources, here.names(CLAIMS))
    unknown = list(_unknown(near, known, here))
    overlap = Overlaps(tracked)
    for claim in wanted:
        for other in unknown:
            if other.holder == claim.holder:
                continue
            if not is_signed_on(other, here):
                continue
            if overlap(claim.resource, other.resource):  # case 2
                return True
    return False


def _unreleased(made: Iterable[Stored]) -> Iterator[Claim]:
    """Yield the claims in some records. Released claims are left out."""
    for stored in made:
        claim = Claim.from_json(stored.entry.value)
        if claim is not None and claim.state == "held":
            yield claim


def _unknown(
    resources: Iterable[str],
    known: Snapshot,
    here: Snapshot,
) -> Iterator[Claim]:
    """Yield the unreleased claims in `here` that are new or changed since `known`."""
    for stored, claim in claims_on(here, resources):
        revision = known.revision(claim_key(claim.resource))
        if claim.state == "held" and stored.revision != revision:
            yield claim
