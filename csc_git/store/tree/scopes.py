"""The scopes that hold keys, derived from trees and remembered by their ids.

Each write makes new trees for the few directories on its way, so the scopes are derived again only
there. What a directory has is its shape. The fan-out of a large scope has tens of thousands of
parts, so their shapes are remembered separately.
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
"""Parts whose shapes are remembered, and directories in them."""

_MANY: Final = 64
"""Unknown parts of one directory above which git lists all its parts at once."""

_NOTHING: Final = Shape(holds_keys=False, below=())


class _Directory(NamedTuple):
    """A directory as of one tree.

    Attributes:
        tree: The tree.
        texts: The scopes in it and below it, beginning with its own segment, in order.
        inner: The directories in it, by their names.
    """

    tree: str
    texts: tuple[str, ...]
    inner: Mapping[bytes, "_Directory"]


class Scopes:
    """The scopes of one repository, as of the trees that were read last. Not thread-safe."""

    def __init__(self) -> None:
        self._root: _Directory | None = None
        self._parts: dict[str, Shape] = {}
        self._older_parts: dict[str, Shape] = {}
        self._weight = 0

    def of(self, snapshot: "Snapshot", tree: str) -> tuple[str, ...]:
        """Return the scopes that hold keys, as text, in order, without what can't be read.

        Args:
            snapshot: Where to read.
            tree: The directory of all scopes.
        """
        try:
            found = self._directory(snapshot, tree, self._root)
        except StoreDamaged:
            # It is reported elsewhere, and may be repaired: remember nothing.
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
        """Derive a directory, and again only those below it that have new trees.

        Args:
            snapshot: Where to read.
            tree: The directory's tree.
            known: The directory as of an older tree; None if it was not read before.
            depth: How many directories it is below that of all scopes.
            segment: Its segment of a scope; empty at depth 0.
            is_damaged: Whether to leave out what can't be read.
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
        """Return a directory's shape; an empty one if it can't be read."""
        try:
            return self._shape(snapshot, tree)
        except StoreDamaged:
            return _NOTHING

    def _shape(self, snapshot: "Snapshot", tree: str) -> Shape:
        """Return what a directory has, the parts of its fan-out included.

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
        # The parts come last: of a name that is there twice, the one in the fan-out counts.
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
        """Return the shapes of the parts of a directory."""
        missing = [part for part in parts if part not in self._parts]
        if not missing:
            return [self._parts[part] for part in parts]
        # Remembering a shape may forget others, so those that are known are taken first.
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
        """Remember the shapes of all parts of a directory, by one call of git."""
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
        """Keep a shape. When the younger of two generations is full, the older one is dropped."""
        if self._weight > _MOST_PARTS:
            self._older_parts = self._parts
            self._parts = {}
            self._weight = 0
        self._parts[tree] = shape
        self._weight += 1 + len(shape.below)


def _is_flat(line: TreeEntry) -> bool:
    """Return whether a line is not foreign and not a part of the fan-out."""
    return not is_fan_name(line.name) and not why_foreign(line)
