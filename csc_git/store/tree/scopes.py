"""Scopes: finding the scopes that contain keys. Results are cached by the ids of Git trees.

Each write makes new trees only for the few directories on the path of the changed key, so only
these directories are read again. A `Shape` shows whether a directory contains keys, and lists the
subdirectories. The fan-out of a large scope has tens of thousands of parts, so the shapes of these
parts are cached separately.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from csc_git.core.key import SEPARATOR
from csc_git.errors import StoreDamaged, TreeNotListed
from csc_git.git.objects.tree import TREE_MODE, TreeEntry
from csc_git.store.tree.layout import (
    FAN_NAMES,
    Shape,
    is_fan_name,
    shapes_below,
    why_foreign,
)

if TYPE_CHECKING:
    from csc_git.store.tree.snapshot import Snapshot

_MOST_PARTS: Final = 1 << 18
"""A new cache generation begins when the last one has this many parts and subdirectories."""

_MANY: Final = 64
"""If more than this many parts of a directory are not cached, git lists all parts."""

_NOTHING: Final = Shape(holds_keys=False, below=())


class _Directory(NamedTuple):
    """The scopes in a directory, as computed from one tree of the directory.

    Attributes:
        tree: The id of the directory's tree.
        texts: The scopes in and below the directory, as sorted texts that begin with the
            directory's own segment.
        inner: The subdirectories, by name.
    """

    tree: str
    texts: tuple[str, ...]
    inner: Mapping[bytes, "_Directory"]


class Scopes:
    """Cache of a repository's scopes, from the trees that were read last. Not thread-safe."""

    def __init__(self) -> None:
        self._root: _Directory | None = None
        self._parts: dict[str, Shape] = {}
        self._older_parts: dict[str, Shape] = {}
        self._weight = 0

    def of(self, snapshot: "Snapshot", tree: str) -> tuple[str, ...]:
        """Return the scopes that contain keys, as sorted texts.

        Directories that can't be read are left out.

        Args:
            snapshot: The snapshot to read from.
            tree: The tree of the directory that contains all scopes.
        """
        try:
            found = self._directory(snapshot, tree, self._root)
        except StoreDamaged:
            # The damage is reported elsewhere and may be repaired later, so nothing is cached.
            found = self._directory(snapshot, tree, None, is_damaged=True)
            return found.texts
        if snapshot.objects.is_stored(tree):
            self._root = found
        return found.texts

    def _directory(
        self,
        snapshot: "Snapshot",
        tree: str,
        known: _Directory | None,
        depth: int = 0,
        segment: str = "",
        *,
        is_damaged: bool = False,
    ) -> _Directory:
        """Compute a directory's scopes; read only subdirectories whose trees are new.

        Args:
            snapshot: The snapshot to read from.
            tree: The directory's tree.
            known: The result for an older tree of this directory; None if there is no such result.
            depth: Number of levels between this directory and the directory of all scopes.
            segment: The scope segment that the directory represents; empty at depth 0.
            is_damaged: Whether to leave out unreadable directories instead of raising an error.
        """
        if known is not None and known.tree == tree:
            return known
        older: Mapping[bytes, _Directory] = {}
        if known is not None:
            older = known.inner
        read_shape = self._shape
        if is_damaged:
            read_shape = self._readable
        shape = read_shape(snapshot, tree)
        inner: dict[bytes, _Directory] = {}
        for name, child in shape.below:
            directory = older.get(name)
            if directory is None or directory.tree != child:
                below = snapshot.segment(name, child, depth)
                if below is None:
                    continue
                directory = self._directory(
                    snapshot,
                    child,
                    directory,
                    depth + 1,
                    below,
                    is_damaged=is_damaged,
                )
            inner[name] = directory
        texts = sorted(chain.from_iterable(one.texts for one in inner.values()))
        if depth:
            texts = [f"{segment}{SEPARATOR}{text}" for text in texts]
            if shape.holds_keys:
                texts.insert(0, segment)
        return _Directory(tree, tuple(texts), inner)

    def _readable(self, snapshot: "Snapshot", tree: str) -> Shape:
        """Return a directory's shape; an empty shape if the directory can't be read."""
        try:
            return self._shape(snapshot, tree)
        except StoreDamaged:
            return _NOTHING

    def _shape(self, snapshot: "Snapshot", tree: str) -> Shape:
        """Return the shape of a directory. The parts of the directory's fan-out are included.

        Raises:
            StoreDamaged: the directory or a part of it can't be read.
        """
        lines = snapshot.objects.tree(tree).lines
        parts = [
            line.id
            for line in lines
            if line.mode == TREE_MODE and line.name in FAN_NAMES
        ]
        flat: list[TreeEntry] = []
        if len(parts) < len(lines):
            flat = [line for line in lines if _is_flat(line)]
        holds_keys = any(line.is_file for line in flat)
        below = [(line.name, line.id) for line in flat if line.is_tree]
        # Parts come last: an entry in the fan-out replaces an entry of the same name outside.
        for shape in self._inside(snapshot, tree, parts):
            holds_keys = holds_keys or shape.holds_keys
            below += shape.below
        return Shape(holds_keys, tuple(below))

    def _inside(
        self,
        snapshot: "Snapshot",
        tree: str,
        parts: Sequence[str],
    ) -> list[Shape]:
        """Return how each part of a directory with fan-out is split: its shape."""
        missing = [part for part in parts if part not in self._parts]
        if not missing:
            return [self._parts[part] for part in parts]
        # Adding a shape to the cache may drop other shapes, so the cached shapes are read first.
        known = {part: self._parts.get(part) for part in parts}
        unknown = [part for part in missing if part not in self._older_parts]
        if len(unknown) > _MANY:
            self._list_parts(snapshot, tree)
        shapes: list[Shape] = []
        for part in parts:
            shape = known[part] or self._part(part)
            shapes.append(shape or self._read_part(snapshot, part))
        return shapes

    def _read_part(self, snapshot: "Snapshot", tree: str) -> Shape:
        shape = self._shape(snapshot, tree)
        if snapshot.objects.is_stored(tree):
            self._remember(tree, shape)
        return shape

    def _list_parts(self, snapshot: "Snapshot", tree: str) -> None:
        """List all parts of a directory with one call of git, and cache the shapes of the parts."""
        with suppress(TreeNotListed):
            listed = snapshot.objects.stored.list_below(tree)
            for part, shape in shapes_below(tree, listed):
                self._remember(part, shape)

    def _part(self, tree: str) -> Shape | None:
        found = self._parts.get(tree)
        if found is not None:
            return found
        found = self._older_parts.get(tree)
        if found is not None:
            self._remember(tree, found)
        return found

    def _remember(self, tree: str, shape: Shape) -> None:
        """Add a shape to the cache, which has two generations.

        When the newer generation is full, the older generation is dropped, and a new generation
        begins.
        """
        if self._weight > _MOST_PARTS:
            self._older_parts = self._parts
            self._parts = {}
            self._weight = 0
        self._parts[tree] = shape
        self._weight += 1 + len(shape.below)


def _is_flat(line: TreeEntry) -> bool:
    """Return whether a tree line is neither a foreign entry nor a part of the fan-out."""
    return not is_fan_name(line.name) and not why_foreign(line)
