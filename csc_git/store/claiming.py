"""Claiming: what replay must know of claims.

Whether a claim may be made is decided when it is made, on what its clone knew. On a newer base two
things can have changed that no revision of its own keys tells: its session's name was taken over,
and somebody claimed another resource that overlaps.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Final, Generic, TypeVar

from csc_git.core.claim import CLAIMS, Claim, Tracked, overlaps
from csc_git.core.key import Key, Scope
from csc_git.core.lease import SESSIONS, Lease, lease_key
from csc_git.core.session import is_session_name
from csc_git.core.value import Json
from csc_git.store.snapshot import Snapshot, Stored

_MOST_KNOWN: Final = 1 << 14
R = TypeVar("R")


class Overlaps:
    """Decides which resources overlap. Remembers it, since some pairs need a call of git.

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


def read_lease(stored: Stored | None) -> Lease | None:
    """The lease that a session's record holds, if it is one."""
    return _LEASES.read(stored)


class _Parsed(Generic[R]):
    """Records that were read, by their revision: the same ones are looked at again and again."""

    def __init__(self, parse: Callable[[Json], R | None]) -> None:
        self._parse = parse
        self._known: dict[str, R | None] = {}

    def read(self, stored: Stored | None) -> R | None:
        if stored is None:
            return None
        if stored.revision not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[stored.revision] = self._parse(stored.entry.value)
        return self._known[stored.revision]


_LEASES: Final = _Parsed(Lease.from_json)
_CLAIMS: Final = _Parsed(Claim.from_json)


def claims(
    snapshot: Snapshot, concerns: Callable[[str], bool] = bool
) -> Iterator[tuple[Key, Stored, Claim]]:
    """The records of claims, whoever's and whether they still hold or not.

    Args:
        snapshot: Of the branch.
        concerns: Whether a resource's record is asked for; default all.
    """
    for resource, stored in _records(snapshot, concerns):
        claim = _CLAIMS.read(stored)
        if claim is not None and claim.resource == resource:
            yield Key(CLAIMS, resource), stored, claim


def _records(snapshot: Snapshot, concerns: Callable[[str], bool]) -> Iterator[tuple[str, Stored]]:
    """The records of some resources: only those are read, or all that are in memory anyway."""
    if concerns is bool:
        yield from snapshot.records(CLAIMS).items()
        return
    for name in snapshot.names(CLAIMS):
        if concerns(name) and (stored := snapshot.get(Key(CLAIMS, name))) is not None:
            yield name, stored


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
    claim = _CLAIMS.read(stored)
    return claim is not None and claim.resource == name


def is_signed_on(claim: Claim, snapshot: Snapshot) -> bool:
    """Whether the sign-on that made a claim still holds its session's name."""
    lease = read_lease(snapshot.get(lease_key(claim.session)))
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
