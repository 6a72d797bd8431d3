"""Trees: directories of the branch, line by line, as git stores them.

Each line keeps the bytes it has in the tree: one that is not touched is written back as it was,
and making a tree of 256 lines of which one is new costs no more than joining them.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Final, NamedTuple

FILE_MODE: Final = 0o100644
TREE_MODE: Final = 0o040000
_OURS: Final = frozenset({FILE_MODE, TREE_MODE})
_LINE: Final = {
    length: re.compile(rb"([0-7]+) ([^\0]*)\0(.{%d})" % length, re.DOTALL)
    for length in (20, 32)
}
_ENCODED: Final = attrgetter("encoded")


class TreeEntry(NamedTuple):
    """One line of a tree; `encoded` is what stands there."""

    name: bytes
    mode: int
    id: str
    encoded: bytes

    @classmethod
    def of(cls, name: bytes, mode: int, object_id: str) -> "TreeEntry":
        """A new line."""
        encoded = b"%o %b\0%b" % (mode, name, bytes.fromhex(object_id))
        return cls(name, mode, object_id, encoded)

    @property
    def is_tree(self) -> bool:
        """Whether it is a directory, by the one mode that git writes for one."""
        return self.mode == TREE_MODE

    @property
    def is_file(self) -> bool:
        """Whether it is a plain file: not executable, no link, no submodule."""
        return self.mode == FILE_MODE

    @property
    def is_ours(self) -> bool:
        """Whether it is one or the other."""
        return self.mode in _OURS


@dataclass(frozen=True)
class Tree:
    """The lines of a tree, whatever they are, in its order."""

    lines: tuple[TreeEntry, ...]

    def __iter__(self) -> Iterator[TreeEntry]:
        return iter(self.lines)

    @classmethod
    def parse(cls, raw: bytes, id_length: int) -> "Tree":
        """Read a tree's bytes.

        Raises:
            ValueError: they have not the form of one.
        """
        lines, end = list[TreeEntry](), 0
        for line in _LINE[id_length].finditer(raw):
            if line.start() != end:
                break
            end = line.end()
            lines.append(
                TreeEntry(line[2], int(line[1], 8), line[3].hex(), line[0])
            )
        if end != len(raw):
            raise ValueError(f"no line of a tree at {end}")
        return cls(tuple(lines))

    @classmethod
    def sorted(cls, lines: Iterable[TreeEntry]) -> "Tree":
        """A tree of lines in git's order, in which a directory's name ends in `/`."""
        return cls(tuple(sorted(lines, key=_order)))

    @property
    def raw(self) -> bytes:
        """Its bytes."""
        return b"".join(map(_ENCODED, self.lines))

    @cached_property
    def ours(self) -> dict[bytes, TreeEntry]:
        """The lines of our modes by name; of two with one name the last."""
        return {line.name: line for line in self.lines if line.mode in _OURS}


def _order(line: TreeEntry) -> bytes:
    return line.name + b"/" if line.mode == TREE_MODE else line.name
