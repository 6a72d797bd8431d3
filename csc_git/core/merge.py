"""Merging: the decision about a key that was changed on two sides.

Two sides have changed the same key. The last version that both sides know is called the base. Our
side is the edit that is being replayed. Their side is the value in the newer history of the branch.
The following cases are tried in order, and the first case that applies decides:

1. If both sides have equal values, or both sides deleted the key, there is nothing to do.
2. If both values are objects, and no top-level member was changed differently on the two sides, the
   changes of both sides are combined, member by member. The combined value has both authors, and
   the later one of the two times.
3. In all other cases, the version with the later time wins. The time of a deletion is the time of
   its commit. The version that lost is kept in full in a conflict record, so nothing gets lost.

If the times are equal, the names of the authors are compared. If the names are equal too, the bytes
of the values are compared. So every clone decides in the same way. Each member of a combined value
comes unchanged from one of the two sides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from csc_git.core.edit import Outcome
from csc_git.core.value import Entry, Json, canonical


@dataclass(frozen=True)
class Version:
    """The state of a key on one of the two sides.

    Attributes:
        entry: The key's entry, or None if this side deleted the key.
        session: Author of the version.
        time: When the version was made.
    """

    entry: Entry | None
    session: str
    time: datetime

    @classmethod
    def of(cls, entry: Entry) -> "Version":
        """Make a version from an entry, with the author and time of the entry."""
        return cls(
            entry=entry,
            session=entry.session,
            time=entry.time,
        )

    @property
    def rank(self) -> tuple[datetime, str, bytes]:
        """The rank of this version. The version with the higher rank wins."""
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
        outcome: The outcome of our edit: equal, merged, applied (our version won) or lost (their
            version won).
        entry: The key's entry after the decision; None if the key is deleted.
        lost: The version that must be kept in a conflict record; None if no version lost.
    """

    outcome: Outcome
    entry: Entry | None
    lost: Version | None = None


def merge(
    base: Entry | None,
    ours: Version,
    theirs: Version,
) -> Merge:
    """Decide about a key that two sides have changed. The module's docstring lists the cases.

    Args:
        base: The entry before both changes; None if the key was absent.
        ours: The version of the edit that is being replayed.
        theirs: The version in the newer history of the branch.
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
    """Merge two objects member by member; return None if case 2 of this module does not apply."""
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
    """Return the members of the base; an empty mapping if the base is absent or not an object."""
    if base is None:
        return {}
    if not isinstance(base.value, dict):
        return {}
    return base.value


def _changes(
    before: Mapping[str, Json],
    after: Mapping[str, Json],
) -> dict[str, bytes | None]:
    """Map each changed member to its new value as bytes, and each removed member to None."""
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
    """Make the entry for case 2 of this module: both authors, and the later one of the times."""
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
