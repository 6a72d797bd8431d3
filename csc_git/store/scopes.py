"""The scopes that hold keys, derived from trees and remembered by their ids.

Each write makes new trees of the few directories on its way, so the scopes are derived again only
there. What a directory has is its shape; those of the parts that fan-out splits it into, of which
a large scope has tens of thousands, are remembered apart.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from csc_git.core.key import SEPARATOR
from csc_git.errors import StoreDamaged
from csc_git.git.objects.database import Unlisted
from csc_git.git.objects.tree import TREE_MODE, TreeEntry
from csc_git.store.layout import (
    FAN_NAMES,
    Shape,
    is_fan_name,
    shapes_below,
    why_foreign,
)

if TYPE_CHECKING:
    from csc_git.store.snapshot import Snapshot

_MOST_PARTS: Final = 1 << 18
"""Parts whose shapes are remembered, and directories in them."""

_MANY: Final = 64
"""Parts of one directory from which on git lists them all."""

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
    """The scopes of one repository, as of the trees that were looked at last. Not thread-safe."""

    def __init__(self) -> None:
        self._root: _Directory | None = None
        self._parts: dict[str, Shape] = {}
        self._older_parts: dict[str, Shape] = {}
        self._weight = 0

    def of(self, snapshot: "Snapshot", tree: str) -> tuple[str, ...]:
        """The scopes that hold keys, as text, in order; what can't be read is left out.

        Args:
            snapshot: Where to read.
            tree: The directory of all scopes.
        """
        try:
            found = self._directory(snapshot, tree, self._root)
        except (
            StoreDamaged
        ):  # reported elsewhere; it may be mended, so it is not remembered
            return self._directory(snapshot, tree, None, is_damaged=True).texts
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
        if known is not None and known.tree == tree:
            return known
        shape = (
            self._readable(snapshot, tree)
            if is_damaged
            else self._shape(snapshot, tree)
        )
        inner: dict[bytes, _Directory] = {}
        for name, child in shape.below:
            old = known.inner.get(name) if known is not None else None
            if old is None or old.tree != child:
                below = snapshot.segment(name, child, depth)
                if below is None:
                    continue
                old = self._directory(
                    snapshot,
                    child,
                    old,
                    depth + 1,
                    below,
                    is_damaged=is_damaged,
                )
            inner[name] = old
        texts = sorted(chain.from_iterable(one.texts for one in inner.values()))
        if depth:
            texts = [f"{segment}{SEPARATOR}{text}" for text in texts]
            texts[:0] = [segment] if shape.holds_keys else []
        return _Directory(tree, tuple(texts), inner)

    def _readable(self, snapshot: "Snapshot", tree: str) -> Shape:
        try:
            return self._shape(snapshot, tree)
        except StoreDamaged:
            return _NOTHING

    def _shape(self, snapshot: "Snapshot", tree: str) -> Shape:
        """What a directory has, with what is in the parts of its fan-out; raises StoreDamaged."""
        lines = snapshot.objects.tree(tree).lines
        parts = [
            one.id
            for one in lines
            if one.name in FAN_NAMES and one.mode == TREE_MODE
        ]
        flat: list[TreeEntry] = []
        if len(parts) < len(lines):
            flat = [
                one
                for one in lines
                if not is_fan_name(one.name) and not why_foreign(one)
            ]
        below = [(line.name, line.id) for line in flat if line.is_tree]
        inside = self._inside(snapshot, tree, parts)
        below += chain.from_iterable(
            shape.below for shape in inside
        )  # these win over the flat
        holds_keys = any(shape.holds_keys for shape in inside)
        return Shape(
            holds_keys or any(line.is_file for line in flat), tuple(below)
        )

    def _inside(
        self, snapshot: "Snapshot", tree: str, parts: Sequence[str]
    ) -> list[Shape]:
        """The shapes of the parts of a directory."""
        known = list(map(self._parts.get, parts))
        missing = [
            part
            for part, shape in zip(parts, known, strict=True)
            if shape is None
        ]
        if not missing:
            return [shape for shape in known if shape is not None]
        if sum(part not in self._older_parts for part in missing) > _MANY:
            self._list_parts(snapshot, tree)
        return [
            shape or self._part(part) or self._read_part(snapshot, part)
            for part, shape in zip(parts, known, strict=True)
        ]

    def _read_part(self, snapshot: "Snapshot", tree: str) -> Shape:
        shape = self._shape(snapshot, tree)
        if snapshot.objects.is_stored(tree):
            self._remember(tree, shape)
        return shape

    def _list_parts(self, snapshot: "Snapshot", tree: str) -> None:
        """Learn the shapes of all parts of a directory by one call of git."""
        with suppress(Unlisted):
            for part, shape in shapes_below(
                tree, snapshot.objects.stored.list_below(tree)
            ):
                self._remember(part, shape)

    def _part(self, tree: str) -> Shape | None:
        found = self._parts.get(tree)
        if found is None and (found := self._older_parts.get(tree)) is not None:
            self._remember(tree, found)
        return found

    def _remember(self, tree: str, shape: Shape) -> None:
        """Keep a shape; of two generations the older one goes when the younger one is full."""
        if self._weight > _MOST_PARTS:
            self._older_parts, self._parts, self._weight = self._parts, {}, 0
        self._parts[tree] = shape
        self._weight += 1 + len(shape.below)
