"""The index: a cache of results that were computed from Git trees.

A tree never changes, so a cached result stays valid. Each write makes new trees only for the few
directories on the path of the changed key. All other directories keep their tree ids, so their
cached results are still used. So after a write, only changed directories are read, even if a scope
has a hundred thousand keys.

Results are cached only for trees that are on disk. While an edit is being made, the new trees are
only in memory, and they may never be written to disk.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from csc_git.core.key import Key, Scope
from csc_git.errors import StoreDamaged
from csc_git.store.tree.scopes import Scopes

if TYPE_CHECKING:
    from csc_git.store.tree.snapshot import Snapshot, Stored

_MOST_DIRECTORIES: Final = 64


@dataclass
class Listing:
    """The keys of one scope, as read from one tree of the scope's directory.

    Attributes:
        tree: The tree of the scope's directory.
        names: The names of the keys, sorted.
        records: The entries of all readable keys, by name; None if entries were not read.
    """

    tree: str
    names: list[str]
    records: dict[str, "Stored"] | None = None


@dataclass
class Index:
    """Cached results for the trees of one repository. Threads may share an index."""

    _listings: OrderedDict[Scope, Listing] = field(default_factory=OrderedDict)
    _scopes: Scopes = field(default_factory=Scopes)
    _mutex: RLock = field(default_factory=RLock)

    def names(
        self,
        snapshot: "Snapshot",
        scope: Scope,
        tree: str,
    ) -> Sequence[str]:
        """Return the sorted names of a scope's keys.

        Args:
            snapshot: The snapshot to read from.
            scope: The scope.
            tree: The tree of the scope's directory in that snapshot.
        """
        listing = self._listing(snapshot, scope, tree, with_records=False)
        return listing.names

    def records(
        self,
        snapshot: "Snapshot",
        scope: Scope,
        tree: str,
    ) -> Mapping[str, "Stored"]:
        """Return the entries of a scope's keys, by name, without keys that can't be read.

        Args:
            snapshot: The snapshot to read from.
            scope: The scope.
            tree: The tree of the scope's directory in that snapshot.
        """
        listing = self._listing(snapshot, scope, tree, with_records=True)
        return listing.records or {}

    def scopes(self, snapshot: "Snapshot", tree: str) -> tuple[str, ...]:
        """Return the scopes that contain keys, as sorted texts; see `Scopes.of`.

        Args:
            snapshot: The snapshot to read from.
            tree: The tree of the directory that contains all scopes in that snapshot.
        """
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
            except StoreDamaged:
                # The damage is reported elsewhere and may be repaired later, so nothing is cached.
                return _readable(snapshot, scope, tree)
            if snapshot.objects.is_stored(tree):
                self._remember(scope, known)
            return known

    def _remember(self, scope: Scope, listing: Listing) -> None:
        """Cache a listing, and drop the least recently used listings if there are too many."""
        self._listings[scope] = listing
        self._listings.move_to_end(scope)
        while len(self._listings) > _MOST_DIRECTORIES:
            self._listings.popitem(last=False)


def index_of(shared: dict[str, Any]) -> Index:
    """Return the index in a repository's `shared` dict. The index is made at first use."""
    found: Index = shared.setdefault("index", Index())
    return found


def _whole(
    snapshot: "Snapshot",
    tree: str,
    *,
    with_records: bool,
) -> Listing:
    """Make a listing by reading the whole directory."""
    listing = Listing(tree, sorted(snapshot.files_in(tree)))
    if with_records:
        listing.records = dict(snapshot.records_in(tree))
    return listing


def _changed_names(
    snapshot: "Snapshot",
    before: str,
    after: str,
) -> Iterator[str]:
    """Yield the names of keys that may differ between two trees of a directory."""
    from csc_git.store.tree.difference import changed_files  # noqa: PLC0415  an import cycle

    for path in changed_files(snapshot.objects, before, after, below=False):
        file = path[0]
        for tree in (before, after):
            name = snapshot.named(tree, file)
            if name is not None:
                yield name


def _readable(snapshot: "Snapshot", scope: Scope, tree: str) -> Listing:
    """Make a listing of the readable keys in a damaged directory."""
    names = sorted(snapshot.readable_names(tree))
    records: dict[str, Stored] = {}
    for name in names:
        stored = snapshot.get(Key(scope, name))
        if stored is not None:
            records[name] = stored
    return Listing(tree, names, records)


def _updated(
    known: Listing,
    snapshot: "Snapshot",
    scope: Scope,
    tree: str,
) -> Listing:
    """Make the listing of a newer tree from the listing of an older tree.

    Only keys that differ between the two trees are read.
    """
    with_records = known.records is not None
    try:
        changed = set(_changed_names(snapshot, known.tree, tree))
    except StoreDamaged:  # the older tree may be gone from the disk by now
        return _whole(snapshot, tree, with_records=with_records)
    names = known.names
    records: dict[str, Stored] | None = None
    if known.records is not None:
        records = dict(known.records)
    for name in changed:
        key = Key(scope, name)
        place = bisect_left(names, name)
        was_there = place < len(names) and names[place] == name
        is_there = snapshot.revision(key) is not None
        if was_there != is_there and names is known.names:
            names = list(names)  # callers may still use the old list
        if was_there and not is_there:
            del names[place]
        elif is_there and not was_there:
            names.insert(place, name)
        if records is None:
            continue
        records.pop(name, None)
        stored = snapshot.read(key)
        if stored is not None:
            records[name] = stored
    return Listing(tree, names, records)
