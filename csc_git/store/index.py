"""The index: what is derived from trees, remembered by their ids.

Trees never change, so what was derived from one holds for ever. Each write makes a new tree of the
few directories on its way; all others keep their ids, and with them what is remembered here. So
listing a hundred thousand keys again after one write costs the difference, not the whole.

Only trees that are on disk are remembered: those of an edit that is being made may never get there.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from csc_git.core.key import Key, Scope
from csc_git.errors import StoreDamaged
from csc_git.store.scopes import Scopes

if TYPE_CHECKING:
    from csc_git.store.snapshot import Snapshot, Stored

_MOST_DIRECTORIES: Final = 64


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

    _listings: OrderedDict[Scope, Listing] = field(default_factory=OrderedDict)
    _scopes: Scopes = field(default_factory=Scopes)
    _mutex: RLock = field(default_factory=RLock)

    def names(
        self, snapshot: "Snapshot", scope: Scope, tree: str
    ) -> Sequence[str]:
        """The names of a scope's keys, in order."""
        return self._listing(snapshot, scope, tree, with_records=False).names

    def records(
        self, snapshot: "Snapshot", scope: Scope, tree: str
    ) -> Mapping[str, "Stored"]:
        """What the keys of a scope hold, those left out that can't be read."""
        return (
            self._listing(snapshot, scope, tree, with_records=True).records
            or {}
        )

    def scopes(self, snapshot: "Snapshot", tree: str) -> tuple[str, ...]:
        """The scopes that hold keys, of the directory of all scopes; see `Scopes.of`."""
        with self._mutex:
            return self._scopes.of(snapshot, tree)

    def _listing(
        self,
        snapshot: "Snapshot",
        scope: Scope,
        tree: str,
        *,
        with_records: bool,
    ) -> Listing:
        with self._mutex:
            known = self._listings.get(scope)
            try:
                if known is None or (with_records and known.records is None):
                    known = _whole(snapshot, tree, with_records=with_records)
                elif known.tree != tree:
                    known = _updated(known, snapshot, scope, tree)
            except (
                StoreDamaged
            ):  # reported elsewhere; it may be mended, so it is not remembered
                return _readable(snapshot, scope, tree)
            if snapshot.objects.is_stored(tree):
                self._listings[scope] = known
                self._listings.move_to_end(scope)
                while len(self._listings) > _MOST_DIRECTORIES:
                    self._listings.popitem(last=False)
            return known


def index_of(shared: dict[str, Any]) -> Index:
    """The index of a repository, which its objects keep."""
    found: Index = shared.setdefault("index", Index())
    return found


def _whole(snapshot: "Snapshot", tree: str, *, with_records: bool) -> Listing:
    """Make a listing by reading the whole directory."""
    names = sorted(snapshot.files_in(tree))
    return Listing(
        tree, names, dict(snapshot.records_in(tree)) if with_records else None
    )


def _changed_names(
    snapshot: "Snapshot", before: str, after: str
) -> Iterator[str]:
    """The names of the keys in which two trees of a directory may differ."""
    from csc_git.store.difference import changed_files  # noqa: PLC0415  it needs snapshots

    for path in changed_files(snapshot.objects, before, after, below=False):
        found = (snapshot.named(tree, path[0]) for tree in (before, after))
        yield from {name for name in found if name is not None}


def _readable(snapshot: "Snapshot", scope: Scope, tree: str) -> Listing:
    """What can be read of a damaged directory."""
    names = sorted(snapshot.readable_names(tree))
    found = {name: snapshot.get(Key(scope, name)) for name in names}
    return Listing(
        tree,
        names,
        {name: one for name, one in found.items() if one is not None},
    )


def _updated(
    known: Listing, snapshot: "Snapshot", scope: Scope, tree: str
) -> Listing:
    """A listing as of a newer tree, by the difference between the two."""
    try:
        changed = set(_changed_names(snapshot, known.tree, tree))
    except StoreDamaged:  # what it was made of may be gone from the disk by now
        return _whole(snapshot, tree, with_records=known.records is not None)
    names, records = (
        known.names,
        None if known.records is None else dict(known.records),
    )
    for name in changed:
        place = bisect_left(names, name)
        was_there = place < len(names) and names[place] == name
        is_there = snapshot.revision(Key(scope, name)) is not None
        if was_there != is_there and names is known.names:
            names = list(names)  # callers may still use the other one
        if was_there and not is_there:
            del names[place]
        elif is_there and not was_there:
            names.insert(place, name)
        if records is not None:
            records.pop(name, None)
            if (
                is_there
                and (stored := snapshot.read(Key(scope, name))) is not None
            ):
                records[name] = stored
    return Listing(tree, names, records)
