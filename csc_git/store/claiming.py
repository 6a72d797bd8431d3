"""Claiming: what replay must know of claims.

Whether a claim may be made is decided when it is made, on what its clone knew. On a newer base two
things can have changed that no revision of its own keys shows: its session's name was taken over,
and somebody claimed another resource that overlaps.
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
from csc_git.store.records import read_claim, read_lease
from csc_git.store.snapshot import Snapshot, Stored


class Overlaps:
    """Decides which resources overlap. Remembers it, since some pairs need a call of git.

    Args:
        tracked: The files of the user's repository; asked once, and only if patterns meet.
    """

    def __init__(self, tracked: Tracked) -> None:
        self._tracked = cache(lambda: list(tracked()))
        self._known: dict[tuple[str, str], bool] = {}
        self._near: tuple[object, object, list[str]] = None, None, []

    def near(
        self, wanted: Sequence[str], resources: Sequence[str]
    ) -> list[str]:
        """The resources that overlap one of the wanted ones.

        Args:
            wanted: A few resources.
            resources: All others. If both are the same objects as in the last call, the candidates
                of that call are used again.
        """
        if self._near[0] is not wanted or self._near[1] is not resources:
            self._near = wanted, resources, candidates(wanted, resources)
        return [one for one in self._near[2] if self._meets_any(one, wanted)]

    def _meets_any(self, resource: str, wanted: Sequence[str]) -> bool:
        return any(self(other, resource) for other in wanted)

    def __call__(self, one: str, other: str) -> bool:
        """Whether two resources have something in common."""
        pair = (one, other)
        if pair not in self._known:
            self._known[pair] = overlaps(one, other, self._tracked)
        return self._known[pair]


def claims_on(
    snapshot: Snapshot, resources: Iterable[str]
) -> Iterator[tuple[Stored, Claim]]:
    """The claims of all sessions on some resources, active or not."""
    for resource in resources:
        stored = snapshot.get(claim_key(resource))
        claim = read_claim(resource, stored)
        if stored is not None and claim is not None:
            yield stored, claim


def is_nobodys(snapshot: Snapshot, key: Key) -> bool:
    """Whether a record of a session or a claim is one that no csc-git could have made.

    Anybody who may push can have written it. It holds nothing, and a person may remove it.
    """
    if key.scope not in {SESSIONS, CLAIMS} or snapshot.revision(key) is None:
        return False
    return not _is_record(key.scope, key.name, snapshot.get(key))


def nobodys(snapshot: Snapshot) -> Iterator[Key]:
    """The records of `is_nobodys`."""
    for scope in (SESSIONS, CLAIMS):
        records = snapshot.records(scope)
        for name in snapshot.names(scope):
            if not _is_record(scope, name, records.get(name)):
                yield Key(scope, name)


def _is_record(scope: Scope, name: str, stored: Stored | None) -> bool:
    """Whether what a key of `sessions` or `claims` holds is a record of ours."""
    if scope == SESSIONS:
        return is_session_name(name) and read_lease(stored) is not None
    return read_claim(name, stored) is not None


def is_signed_on(claim: Claim, snapshot: Snapshot) -> bool:
    """Whether the sign-on that made a claim still holds its session's name."""
    lease = read_lease(snapshot.get(lease_key(claim.session)))
    return (
        lease is not None
        and lease.holder == claim.holder
        and lease.state == "active"
    )


def is_contested(
    made: Iterable[Stored], known: Snapshot, here: Snapshot, tracked: Tracked
) -> bool:
    """Whether claims can't stand on a newer base.

    Args:
        made: The records as they were made.
        known: What their author knew; who was passed over then had lapsed, or doesn't overlap.
        here: The newer base.
        tracked: The files of the user's repository.
    """
    found = [Claim.from_json(stored.entry.value) for stored in made]
    wanted = [
        claim for claim in found if claim is not None and claim.state == "held"
    ]
    if not all(is_signed_on(claim, here) for claim in wanted):
        return True
    near = candidates([claim.resource for claim in wanted], here.names(CLAIMS))
    unknown = [
        other
        for stored, other in claims_on(here, near)
        if other.state == "held"
        and stored.revision != known.revision(claim_key(other.resource))
    ]
    overlap = Overlaps(tracked)
    return any(
        overlap(claim.resource, other.resource)
        for other in unknown
        for claim in wanted
        if other.holder != claim.holder and is_signed_on(other, here)
    )
