"""Merging: what becomes of a key that was changed on both sides.

Two sides have changed one key since the version both know (the base). Ours is the edit being
replayed, theirs is what the newer base holds. In this order:

1. Both say the same (equal values, or both deleted): nothing to do.
2. Both are objects, and no top-level member was changed differently on the two sides: each
   side's changes are taken member by member. The result carries both authors and the later time.
3. Otherwise the later time wins, a deletion counting as a value with the time of its commit; the
   other stands in full in a conflict record, so that nothing is dropped unrecorded.

Equal times are decided by author, then by the value's bytes, so that every clone decides alike.
A member's value is never invented: each comes from one of the two sides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from csc_git.core.edit import Outcome
from csc_git.core.value import Entry, Json, canonical


@dataclass(frozen=True)
class Version:
    """One side's state of a key: its entry, or None if that side deleted it."""

    entry: Entry | None
    session: str
    time: datetime

    @classmethod
    def of(cls, entry: Entry) -> "Version":
        """The version that an entry itself describes."""
        return cls(entry, entry.session, entry.time)

    @property
    def rank(self) -> tuple[datetime, str, bytes]:
        """Versions in the order in which later ones win."""
        value = canonical(self.entry.value) if self.entry else b""
        return self.time, self.session, value


@dataclass(frozen=True)
class Merge:
    """The decision about one key.

    Attributes:
        outcome: For our side: equal, merged, applied (ours won) or lost (theirs won).
        entry: What the key holds from now on; None for deleted.
        lost: The version that must be kept in a conflict record, if any.
    """

    outcome: Outcome
    entry: Entry | None
    lost: Version | None = None


def merge(base: Entry | None, ours: Version, theirs: Version) -> Merge:
    """Decide a key changed on both sides by rules 1 to 3 above."""
    if _same(ours.entry, theirs.entry):  # rule 1
        return Merge(Outcome.EQUAL, theirs.entry)
    if (
        members := _by_member(base, ours.entry, theirs.entry)
    ) is not None:  # rule 2
        return Merge(Outcome.MERGED, _joined(members, ours, theirs))
    if ours.rank > theirs.rank:  # rule 3
        return Merge(Outcome.APPLIED, ours.entry, lost=theirs)
    return Merge(Outcome.LOST, theirs.entry, lost=ours)


def _same(ours: Entry | None, theirs: Entry | None) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return canonical(ours.value) == canonical(theirs.value)


def _by_member(
    base: Entry | None, ours: Entry | None, theirs: Entry | None
) -> dict[str, Json] | None:
    """Rule 2's result, or None where it doesn't apply."""
    if ours is None or theirs is None:
        return None
    if not isinstance(ours.value, dict) or not isinstance(theirs.value, dict):
        return None
    known = (
        base.value if base is not None and isinstance(base.value, dict) else {}
    )
    mine, yours = _changes(known, ours.value), _changes(known, theirs.value)
    if any(mine[name] != yours[name] for name in mine.keys() & yours.keys()):
        return None
    merged = dict(theirs.value)
    for name in mine:
        if name in ours.value:
            merged[name] = ours.value[name]
        else:
            merged.pop(name, None)
    return merged


def _changes(
    before: Mapping[str, Json], after: Mapping[str, Json]
) -> dict[str, bytes | None]:
    """Changed top-level members: name to canonical new value, None for removed."""
    old = {name: canonical(value) for name, value in before.items()}
    new = {name: canonical(value) for name, value in after.items()}
    names = old.keys() | new.keys()
    return {
        name: new.get(name) for name in names if old.get(name) != new.get(name)
    }


def _joined(members: dict[str, Json], ours: Version, theirs: Version) -> Entry:
    later, earlier = sorted(
        (ours, theirs), key=lambda version: version.rank, reverse=True
    )
    assert later.entry is not None  # noqa: S101  rule 2 applies to entries only
    assert earlier.entry is not None  # noqa: S101
    people = {*_people(later.entry), *_people(earlier.entry)}
    return Entry(
        value=members,
        session=later.session,
        time=later.time,
        authors=tuple(sorted(people)) if len(people) > 1 else (),
        full_name=later.entry.full_name,
        extra={**earlier.entry.extra, **later.entry.extra},
    )


def _people(entry: Entry) -> tuple[str, ...]:
    return entry.authors or (entry.session,)
