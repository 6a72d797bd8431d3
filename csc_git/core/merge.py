"""Merging: what becomes of a key that was changed on both sides.

Two sides have changed one key since the version that both know, the base. Our side is the edit
that is being replayed; their side is the value in the newer base of the branch. The cases, in this
order:

1. Both sides have equal values, or both deleted the key: there is nothing to do.
2. Both values are objects, and no top-level member was changed differently on the two sides: each
   side's changes are taken member by member. The result has both authors and the later time.
3. Otherwise the later time wins. A deletion counts as a value with the time of its commit. The
   other version is kept in full in a conflict record, so that nothing is dropped unrecorded.

Equal times are decided by author, then by the bytes of the value, so that every clone decides
alike. No member's value is invented: each comes from one of the two sides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from csc_git.core.edit import Outcome
from csc_git.core.value import Entry, Json, canonical


@dataclass(frozen=True)
class Version:
    """One side's state of a key.

    Attributes:
        entry: The key's entry, or None if that side deleted the key.
        session: Author of the version.
        time: When the version was made.
    """

    entry: Entry | None
    session: str
    time: datetime

    @classmethod
    def of(cls, entry: Entry) -> "Version":
        """Make the version that an entry itself describes."""
        return cls(
            entry=entry,
            session=entry.session,
            time=entry.time,
        )

    @property
    def rank(self) -> tuple[datetime, str, bytes]:
        """What decides between two versions: the one with the higher rank wins."""
        value = b""
        if self.entry is not None:
            value = canonical(self.entry.value)
        return (
            self.time,
            self.session,
            value,
        )


@dataclass(frozen=True)
class Merge:
    """The decision about one key.

    Attributes:
        outcome: For our side: equal, merged, applied (ours won) or lost (theirs won).
        entry: The key's entry from now on; None if the key is deleted.
        lost: The version that must be kept in a conflict record, if any.
    """

    outcome: Outcome
    entry: Entry | None
    lost: Version | None = None


def merge(
    base: Entry | None,
    ours: Version,
    theirs: Version,
) -> Merge:
    """Decide about a key that was changed on both sides, by the three cases of this module.

    Args:
        base: The entry that both sides know; None if the key was absent.
        ours: The version of the edit that is being replayed.
        theirs: The version in the newer base of the branch.
    """
    if _is_same(ours.entry, theirs.entry):  # case 1
        return Merge(
            outcome=Outcome.EQUAL,
            entry=theirs.entry,
        )
    members = _merged_members(
        base,
        ours.entry,
        theirs.entry,
    )
    if members is not None:  # case 2
        return Merge(
            outcome=Outcome.MERGED,
            entry=_joined(members, ours, theirs),
        )
    if ours.rank > theirs.rank:  # case 3
        return Merge(
            outcome=Outcome.APPLIED,
            entry=ours.entry,
            lost=theirs,
        )
    return Merge(
        outcome=Outcome.LOST,
        entry=theirs.entry,
        lost=ours,
    )


def _is_same(
    ours: Entry | None,
    theirs: Entry | None,
) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    my_bytes = canonical(ours.value)
    your_bytes = canonical(theirs.value)
    return my_bytes == your_bytes


def _merged_members(
    base: Entry | None,
    ours: Entry | None,
    theirs: Entry | None,
) -> dict[str, Json] | None:
    """Merge two objects member by member; None where case 2 does not apply."""
    if ours is None or theirs is None:
        return None
    mine = ours.value
    yours = theirs.value
    if not isinstance(mine, dict):
        return None
    if not isinstance(yours, dict):
        return None
    known = _members(base)
    my_changes = _changes(known, mine)
    your_changes = _changes(known, yours)
    in_both = my_changes.keys() & your_changes.keys()
    for name in in_both:
        if my_changes[name] != your_changes[name]:
            return None
    merged = dict(yours)
    for name in my_changes:
        if name in mine:
            merged[name] = mine[name]
        else:
            merged.pop(name, None)
    return merged


def _members(base: Entry | None) -> Mapping[str, Json]:
    """Return the members of the base; none if it is absent or not an object."""
    if base is None:
        return {}
    if not isinstance(base.value, dict):
        return {}
    return base.value


def _changes(
    before: Mapping[str, Json],
    after: Mapping[str, Json],
) -> dict[str, bytes | None]:
    """Find the changed members: name to canonical new value, None if removed."""
    old = _canonical_members(before)
    new = _canonical_members(after)
    changes: dict[str, bytes | None] = {}
    for name in old.keys() | new.keys():
        now = new.get(name)
        if now != old.get(name):
            changes[name] = now
    return changes


def _canonical_members(members: Mapping[str, Json]) -> dict[str, bytes]:
    return {name: canonical(value) for name, value in members.items()}


def _joined(
    members: dict[str, Json],
    ours: Version,
    theirs: Version,
) -> Entry:
    """Make the entry of case 2."""
    later = ours
    earlier = theirs
    if theirs.rank > ours.rank:
        later = theirs
        earlier = ours
    assert later.entry is not None  # noqa: S101  case 2 applies to entries only
    assert earlier.entry is not None  # noqa: S101
    people = {
        *_people(later.entry),
        *_people(earlier.entry),
    }
    authors: tuple[str, ...] = ()
    if len(people) > 1:
        authors = tuple(sorted(people))
    return Entry(
        value=members,
        session=later.session,
        time=later.time,
        authors=authors,
        full_name=later.entry.full_name,
        extra={
            **earlier.entry.extra,
            **later.entry.extra,
        },
    )


def _people(entry: Entry) -> tuple[str, ...]:
    return entry.authors or (entry.session,)
