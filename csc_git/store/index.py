"""The index: what is derived from trees, remembered by their ids.

Trees never change, so what was derived from one holds for ever. Each write makes a new tree of the
few directories on its way; all others keep their ids, and with them what is remembered here. So
listing a hundred thousand keys again after one write costs the difference, not the whole.

Only trees that are on disk are remembered: those of an edit that is being made may never get there.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from csc_git.errors import StoreDamaged
from csc_git.git.objects import Objects

if TYPE_CHECKING:
    from csc_git.core.key import Scope
    from csc_git.store.snapshot import Snapshot, Stored

_MOST_DIRECTORIES: Final = 64
_MOST_TREES: Final = 1 << 15


@dataclass
class Listing:
    """The keys of one scope, as of one tree.

    Attributes:
        tree: The directory's tree.
        names: The names of its keys, in order.
        records: What the keys hold, of those that were asked for.
    """

    tree: str
    names: list[str]
    records: dict[str, "Stored"] | None = None


@dataclass
class Index:
    """What was derived from the trees of one repository. Safe to share between threads."""

    _listings: OrderedDict["Scope", Listing] = field(default_factory=OrderedDict)
    _scopes: OrderedDict[tuple[str, int], tuple["Scope", ...]] = field(default_factory=OrderedDict)
    _mutex: RLock = field(default_factory=RLock)

    def names(self, snapshot: "Snapshot", scope: "Scope", tree: str) -> Sequence[str]:
        """The names of a scope's keys, in order."""
        return self._listing(snapshot, scope, tree, with_records=False).names

    def records(self, snapshot: "Snapshot", scope: "Scope", tree: str) -> Mapping[str, "Stored"]:
        """What the keys of a scope hold, those left out that can't be read."""
        return self._listing(snapshot, scope, tree, with_records=True).records or {}

    def scopes(self, snapshot: "Snapshot", tree: str, depth: int) -> tuple["Scope", ...]:
        """The scopes that hold keys, of a directory and those below it, relative to it."""
        with self._mutex:
            found = self._scopes.get((tree, depth))
            if found is None:
                found = tuple(self._scopes_of(snapshot, tree, depth))
                self._keep(self._scopes, (tree, depth), found, snapshot)
            return found

    def _scopes_of(self, snapshot: "Snapshot", tree: str, depth: int) -> Iterator["Scope"]:
        files, below = snapshot.contents(tree)
        if files and depth:
            yield ()
        for name, child in below:
            segment = snapshot.segment(name, child, depth)
            if segment is not None:
                for rest in self.scopes(snapshot, child, depth + 1):
                    yield (segment, *rest)

    def _listing(
        self, snapshot: "Snapshot", scope: "Scope", tree: str, *, with_records: bool
    ) -> Listing:
        with self._mutex:
            known = self._listings.get(scope)
            if known is None or (with_records and known.records is None):
                known = _whole(snapshot, tree, with_records=with_records)
            elif known.tree != tree:
                known = _updated(known, snapshot, scope, tree)
            if isinstance(snapshot.objects, Objects):
                self._listings[scope] = known
                self._listings.move_to_end(scope)
                while len(self._listings) > _MOST_DIRECTORIES:
                    self._listings.popitem(last=False)
            return known

    @staticmethod
    def _keep(kept: OrderedDict[Any, Any], key: object, value: object, of: "Snapshot") -> None:
        if isinstance(of.objects, Objects):
            kept[key] = value
            while len(kept) > _MOST_TREES:
                kept.popitem(last=False)


def index_of(shared: dict[str, Any]) -> Index:
    """The index of a repository, which its objects keep."""
    found: Index = shared.setdefault("index", Index())
    return found


def _whole(snapshot: "Snapshot", tree: str, *, with_records: bool) -> Listing:
    """A listing that is made anew."""
    names = sorted(snapshot.names_in(tree))
    return Listing(tree, names, dict(snapshot.records_in(tree)) if with_records else None)


def _updated(known: Listing, snapshot: "Snapshot", scope: "Scope", tree: str) -> Listing:
    """A listing as of a newer tree, by the difference between the two."""
    try:
        changed = set(snapshot.changed_names(known.tree, tree))
    except StoreDamaged:  # what it was made of is gone from the disk
        return _whole(snapshot, tree, with_records=known.records is not None)
    names, records = list(known.names), None if known.records is None else dict(known.records)
    for name in changed:
        place = bisect_left(names, name)
        was_there = place < len(names) and names[place] == name
        is_there = snapshot.revision_in(scope, name) is not None
        if was_there and not is_there:
            del names[place]
        elif is_there and not was_there:
            insort(names, name)
        if records is not None:
            records.pop(name, None)
            if is_there and (stored := snapshot.get_in(scope, name)) is not None:
                records[name] = stored
    return Listing(tree, names, records)
