"""The index: what is derived from trees, remembered by their ids.

Trees never change, so what was derived from one holds for ever. Each write makes a new tree of the
few directories on its way; all others keep their ids, and with them what is remembered here. So
listing a hundred thousand keys again after one write costs the difference, not the whole.

Only trees that are on disk are remembered: those of an edit that is being made may never get there.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from csc_git.core.key import SEPARATOR, Key, Scope
from csc_git.errors import StoreDamaged
from csc_git.git.database import Unlisted
from csc_git.store.layout import Shape, is_fan_name, shapes_below, why_foreign

if TYPE_CHECKING:
    from csc_git.store.snapshot import Reads, Snapshot, Stored

_MOST_DIRECTORIES: Final = 64
_MOST_TREES: Final = 1 << 17
_K = TypeVar("_K")
_V = TypeVar("_V")


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
    _shapes: OrderedDict[str, Shape] = field(default_factory=OrderedDict)
    _named: OrderedDict[tuple[str, int, bytes], tuple[str, ...]] = field(
        default_factory=OrderedDict
    )
    _scopes: OrderedDict[tuple[str, int], tuple[str, ...]] = field(default_factory=OrderedDict)
    _mutex: RLock = field(default_factory=RLock)

    def names(self, snapshot: "Snapshot", scope: Scope, tree: str) -> Sequence[str]:
        """The names of a scope's keys, in order."""
        return self._listing(snapshot, scope, tree, with_records=False).names

    def records(self, snapshot: "Snapshot", scope: Scope, tree: str) -> Mapping[str, "Stored"]:
        """What the keys of a scope hold, those left out that can't be read."""
        return self._listing(snapshot, scope, tree, with_records=True).records or {}

    def scopes(self, snapshot: "Snapshot", tree: str) -> tuple[str, ...]:
        """The scopes that hold keys, of a directory of scopes; what can't be read is left out."""
        with self._mutex:
            if not self._shapes:
                self._read_shapes(snapshot, tree)
            try:
                return self._below(snapshot, tree, 0)
            except StoreDamaged:  # reported elsewhere; it may be mended, so it is not remembered
                return tuple(sorted(self._readable_below(snapshot, tree, 0)))

    def _read_shapes(self, snapshot: "Snapshot", tree: str) -> None:
        """Read all shapes at once; afterwards only those of new trees are read."""
        with suppress(Unlisted):
            lines = snapshot.objects.stored.list_below(tree)
            for one, shape in shapes_below(tree, lines):
                self._keep(self._shapes, one, shape, one, snapshot.objects)

    def _below(self, snapshot: "Snapshot", tree: str, depth: int) -> tuple[str, ...]:
        """The scopes below a directory, relative to it and in order; raises StoreDamaged."""
        found = self._scopes.get((tree, depth))
        if found is None:
            _, below = self._shape(snapshot, tree)
            scopes: list[str] = []
            for name, child in below:
                scopes += self._within(snapshot, name, child, depth)
            found = tuple(sorted(scopes))
            self._keep(self._scopes, (tree, depth), found, tree, snapshot.objects)
        return found

    def _within(self, snapshot: "Snapshot", name: bytes, tree: str, depth: int) -> tuple[str, ...]:
        """The scopes of one of these directories: itself, if it holds keys, and those below."""
        place = tree, depth, name
        found = self._named.get(place)
        if found is None:
            segment, found = snapshot.segment(name, tree, depth), ()
            if segment is not None:
                here = [segment] if self._shape(snapshot, tree).holds_keys else []
                below = self._below(snapshot, tree, depth + 1)
                found = (*here, *(f"{segment}{SEPARATOR}{rest}" for rest in below))
            self._keep(self._named, place, found, tree, snapshot.objects)
        return found

    def _readable_below(self, snapshot: "Snapshot", tree: str, depth: int) -> Iterator[str]:
        for name, child in self._readable_shape(snapshot, tree)[1]:
            segment = snapshot.segment(name, child, depth)
            if segment is not None:
                if self._readable_shape(snapshot, child)[0]:
                    yield segment
                for rest in self._readable_below(snapshot, child, depth + 1):
                    yield f"{segment}{SEPARATOR}{rest}"

    def _readable_shape(self, snapshot: "Snapshot", tree: str) -> Shape:
        try:
            return self._shape(snapshot, tree)
        except StoreDamaged:
            return Shape(holds_keys=False, below=())

    def _shape(self, snapshot: "Snapshot", tree: str) -> Shape:
        """Whether a directory holds keys, and the directories in it; part of it for a fan."""
        known = self._shapes.get(tree)
        if known is not None:
            return known
        holds_keys, below = False, list[tuple[bytes, str]]()
        for line in snapshot.objects.tree(tree):
            if line.is_tree and is_fan_name(line.name):
                inside = self._shape(snapshot, line.id)
                holds_keys = holds_keys or inside[0]
                below += inside[1]
            elif not why_foreign(line):
                holds_keys = holds_keys or line.is_file
                below += [(line.name, line.id)] if line.is_tree else []
        found = Shape(holds_keys, tuple(below))
        self._keep(self._shapes, tree, found, tree, snapshot.objects)
        return found

    def _listing(
        self, snapshot: "Snapshot", scope: Scope, tree: str, *, with_records: bool
    ) -> Listing:
        with self._mutex:
            known = self._listings.get(scope)
            try:
                if known is None or (with_records and known.records is None):
                    known = _whole(snapshot, tree, with_records=with_records)
                elif known.tree != tree:
                    known = _updated(known, snapshot, scope, tree)
            except StoreDamaged:  # reported elsewhere; it may be mended, so it is not remembered
                return _readable(snapshot, scope, tree)
            if snapshot.objects.is_stored(tree):
                self._listings[scope] = known
                self._listings.move_to_end(scope)
                while len(self._listings) > _MOST_DIRECTORIES:
                    self._listings.popitem(last=False)
            return known

    @staticmethod
    def _keep(kept: OrderedDict[_K, _V], key: _K, value: _V, tree: str, objects: "Reads") -> None:
        if objects.is_stored(tree):
            kept[key] = value
            while len(kept) > _MOST_TREES:
                kept.popitem(last=False)


def index_of(shared: dict[str, Any]) -> Index:
    """The index of a repository, which its objects keep."""
    found: Index = shared.setdefault("index", Index())
    return found


def _whole(snapshot: "Snapshot", tree: str, *, with_records: bool) -> Listing:
    """Make a listing by reading the whole directory."""
    names = sorted(snapshot.files_in(tree))
    return Listing(tree, names, dict(snapshot.records_in(tree)) if with_records else None)


def _changed_names(snapshot: "Snapshot", before: str, after: str) -> Iterator[str]:
    """The names of the keys in which two trees of a directory may differ."""
    from csc_git.store.difference import changed_files  # noqa: PLC0415  it needs snapshots

    for path in changed_files(snapshot.objects, before, after, below=False):
        found = (snapshot.named(tree, path[0]) for tree in (before, after))
        yield from {name for name in found if name is not None}


def _readable(snapshot: "Snapshot", scope: Scope, tree: str) -> Listing:
    """What can be read of a damaged directory."""
    names = sorted(snapshot.readable_names(tree))
    found = {name: snapshot.get(Key(scope, name)) for name in names}
    return Listing(tree, names, {name: one for name, one in found.items() if one is not None})


def _updated(known: Listing, snapshot: "Snapshot", scope: Scope, tree: str) -> Listing:
    """A listing as of a newer tree, by the difference between the two."""
    try:
        changed = set(_changed_names(snapshot, known.tree, tree))
    except StoreDamaged:  # what it was made of may be gone from the disk by now
        return _whole(snapshot, tree, with_records=known.records is not None)
    names, records = list(known.names), None if known.records is None else dict(known.records)
    for name in changed:
        place = bisect_left(names, name)
        was_there = place < len(names) and names[place] == name
        is_there = snapshot.revision(Key(scope, name)) is not None
        if was_there and not is_there:
            del names[place]
        elif is_there and not was_there:
            insort(names, name)
        if records is not None:
            records.pop(name, None)
            if is_there and (stored := snapshot.read(Key(scope, name))) is not None:
                records[name] = stored
    return Listing(tree, names, records)
