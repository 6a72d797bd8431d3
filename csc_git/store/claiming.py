"""Claiming: what replay must know of claims.

Whether a claim may be made is decided when it is made, on what its clone knew. On a newer base two
things can have changed that no revision of its own keys tells: its session's name was taken over,
and somebody claimed another resource that overlaps.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache

from csc_git.core.claim import CLAIMS, Claim, Tracked, overlaps
from csc_git.core.key import Key
from csc_git.core.lease import SESSIONS, Lease, lease_key
from csc_git.core.session import is_session_name
from csc_git.store.snapshot import Snapshot, Stored


class Overlaps:
    """Tells which resources overlap, and remembers it, since git must be asked for some of them.

    Args:
        tracked: The files of the user's repository; asked once, and only if patterns meet.
    """

    def __init__(self, tracked: Tracked) -> None:
        self._tracked = cache(lambda: list(tracked()))
        self._known: dict[tuple[str, str], bool] = {}

    def __call__(self, one: str, other: str) -> bool:
        """Whether two resources have something in common."""
        pair = (one, other)
        if pair not in self._known:
            self._known[pair] = overlaps(one, other, self._tracked)
        return self._known[pair]


def claims(
    snapshot: Snapshot, concerns: Callable[[str], bool] = bool
) -> Iterator[tuple[Key, Stored, Claim]]:
    """The records of claims, whoever's and whether they still hold or not.

    Args:
        snapshot: Of the branch.
        concerns: Whether a resource's record is asked for; default all.
    """
    for key in filter(lambda key: concerns(key.name), snapshot.keys(CLAIMS)):
        stored = snapshot.get(key)
        claim = Claim.from_json(stored.entry.value) if stored else None
        if stored is not None and claim is not None and claim.resource == key.name:
            yield key, stored, claim


def is_nobodys(snapshot: Snapshot, key: Key) -> bool:
    """Whether a record of a session or a claim is one that no csc-git could have made.

    Anybody who may push can have written it. It holds nothing, and a person may remove it.
    """
    stored = snapshot.look(key)
    if stored is None or key.scope not in {SESSIONS, CLAIMS}:
        return False
    if key.scope == SESSIONS:
        return not is_session_name(key.name) or Lease.from_json(stored.entry.value) is None
    claim = Claim.from_json(stored.entry.value)
    return claim is None or claim.resource != key.name


def nobodys(snapshot: Snapshot) -> Iterator[Key]:
    """The records of `is_nobodys`."""
    for scope in (SESSIONS, CLAIMS):
        yield from (key for key in snapshot.keys(scope) if is_nobodys(snapshot, key))


def is_signed_on(claim: Claim, snapshot: Snapshot) -> bool:
    """Whether the sign-on that made a claim still holds its session's name."""
    stored = snapshot.get(lease_key(claim.session))
    lease = Lease.from_json(stored.entry.value) if stored else None
    return lease is not None and lease.holder == claim.holder and lease.state == "active"


def is_contested(made: Iterable[Stored], known: Snapshot, here: Snapshot, tracked: Tracked) -> bool:
    """Whether claims can't stand on a newer base.

    Args:
        made: The records as they were made.
        known: What their author knew; who was passed over then had lapsed, or doesn't overlap.
        here: The newer base.
        tracked: The files of the user's repository.
    """
    found = [Claim.from_json(stored.entry.value) for stored in made]
    wanted = [claim for claim in found if claim is not None and claim.state == "held"]
    if not all(is_signed_on(claim, here) for claim in wanted):
        return True
    unknown = [
        other
        for key, stored, other in claims(here)
        if stored.revision != known.revision(key) and other.state == "held"
    ]
    overlap = Overlaps(tracked)
    return any(
        overlap(claim.resource, other.resource)
        for other in unknown
        for claim in wanted
        if other.holder != claim.holder and is_signed_on(other, here)
    )
