"""Parsing of records: what csc-git itself stores about sessions, claims and conflicts.

Records are read very often, so each revision of a record is parsed only once. The parsed
claims of a repository are also cached together, and only changed records are parsed again.
"""

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Final, Generic, TypeVar

from csc_git.core.claim import CLAIMS, Claim
from csc_git.core.conflict import Conflict
from csc_git.core.lease import Lease
from csc_git.core.value import Json
from csc_git.store.tree.snapshot import Snapshot, Stored

_MOST_KNOWN: Final = 1 << 14
R = TypeVar("R")
StoredClaim = tuple[Stored, Claim]
"""A claim, together with the record from which it was read."""


class _Parser(Generic[R]):
    """Parses records of one type, and parses each revision only once."""

    def __init__(self, parse: Callable[[Json], R | None]) -> None:
        self._parse = parse
        self._known: dict[str, R | None] = {}

    def read(self, stored: Stored | None) -> R | None:
        if stored is None:
            return None
        revision = stored.revision
        if revision not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[revision] = self._parse(stored.entry.value)
        return self._known[revision]


_LEASES: Final = _Parser(Lease.from_json)
_CLAIMS: Final = _Parser(Claim.from_json)
_CONFLICTS: Final = _Parser(Conflict.from_json)


def read_lease(stored: Stored | None) -> Lease | None:
    """Return the lease in a session's record; None if the record is not a lease."""
    return _LEASES.read(stored)


def read_claim(resource: str, stored: Stored | None) -> Claim | None:
    """Return the claim in a resource's record.

    Args:
        resource: The resource.
        stored: The resource's record; None if the resource has no record.

    Returns:
        The claim; None if the record is not a claim on this resource.
    """
    claim = _CLAIMS.read(stored)
    if claim is None or claim.resource != resource:
        return None
    return claim


def read_conflict(stored: Stored | None) -> Conflict | None:
    """Return the conflict in a record; None if the record is not a conflict."""
    return _CONFLICTS.read(stored)


class _Claims:
    """Cache of all claims of one repository, from the snapshot that was read last."""

    def __init__(self) -> None:
        self._mutex = Lock()
        self._records: Mapping[str, Stored] = {}
        self._found: dict[str, StoredClaim] = {}

    def of(
        self,
        records: Mapping[str, Stored],
    ) -> Mapping[str, StoredClaim]:
        with self._mutex:
            if records is not self._records:
                self._found = self._updated(records)
                self._records = records
            return self._found

    def _updated(
        self,
        records: Mapping[str, Stored],
    ) -> dict[str, StoredClaim]:
        """Return a new dict of the claims in newer records. Callers may still use the old dict."""
        known = self._records
        found = dict(self._found)
        for name in known.keys() - records.keys():
            found.pop(name, None)
        for name, stored in records.items():
            if known.get(name) is stored:
                continue
            claim = read_claim(name, stored)
            if claim is None:
                found.pop(name, None)
            else:
                found[name] = stored, claim
        return found


def all_claims(snapshot: Snapshot) -> Mapping[str, StoredClaim]:
    """Return a dict from each resource to its claim, including claims that are not active."""
    known: _Claims = snapshot.objects.shared.setdefault("claims", _Claims())
    return known.of(snapshot.records(CLAIMS))


def next_fence(snapshot: Snapshot) -> int:
    """Return a fence that is higher than the fences of all claims."""
    claims = all_claims(snapshot).values()
    highest = max((claim.fence for _, claim in claims), default=0)
    return highest + 1
