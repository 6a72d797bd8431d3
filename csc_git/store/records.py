"""Records: what stands in the scopes that csc-git keeps for itself, parsed once.

The same records are looked at again and again, so each is parsed once for its revision. Where all
of a scope are looked at, what was parsed of it is kept, and brought up to date by what changed.
"""

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Final, Generic, TypeVar

from csc_git.core.claim import CLAIMS, Claim
from csc_git.core.conflict import Conflict
from csc_git.core.lease import Lease
from csc_git.core.value import Json
from csc_git.store.snapshot import Snapshot, Stored

_MOST_KNOWN: Final = 1 << 14
R = TypeVar("R")


class _Parser(Generic[R]):
    """Reads records of one type, each revision once."""

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


_LEASES: Final = _Parser(Lease.from_json)
_CLAIMS: Final = _Parser(Claim.from_json)
_CONFLICTS: Final = _Parser(Conflict.from_json)


def read_lease(stored: Stored | None) -> Lease | None:
    """The lease that a session's record holds, if it is one."""
    return _LEASES.read(stored)


def read_claim(resource: str, stored: Stored | None) -> Claim | None:
    """The claim that a resource's record holds, if it is one of that resource."""
    claim = _CLAIMS.read(stored)
    return claim if claim is not None and claim.resource == resource else None


def read_conflict(stored: Stored | None) -> Conflict | None:
    """The conflict that a record holds, if it is one."""
    return _CONFLICTS.read(stored)


class _Claims:
    """All claims of one repository, as of the snapshot that was looked at last."""

    def __init__(self) -> None:
        self._mutex = Lock()
        self._records: Mapping[str, Stored] = {}
        self._found: dict[str, tuple[Stored, Claim]] = {}

    def of(
        self, records: Mapping[str, Stored]
    ) -> Mapping[str, tuple[Stored, Claim]]:
        with self._mutex:
            if records is not self._records:
                known, found = self._records, dict(self._found)
                for name in known.keys() - records.keys():
                    found.pop(name, None)
                changed = [
                    name
                    for name in records
                    if known.get(name) is not records[name]
                ]
                for name in changed:
                    claim = read_claim(name, records[name])
                    if claim is not None:
                        found[name] = records[name], claim
                    else:
                        found.pop(name, None)
                self._records, self._found = records, found
            return self._found


def all_claims(snapshot: Snapshot) -> Mapping[str, tuple[Stored, Claim]]:
    """The claims of all sessions, by resource, whether they still hold or not."""
    known: _Claims = snapshot.objects.shared.setdefault("claims", _Claims())
    return known.of(snapshot.records(CLAIMS))


def next_fence(snapshot: Snapshot) -> int:
    """A fence higher than that of every claim."""
    return 1 + max(
        (claim.fence for _, claim in all_claims(snapshot).values()), default=0
    )
