"""Trees: directories of the branch, as lists of lines in git's format.

Each line also has its encoded bytes, so an unchanged line need not be encoded again. It is fast to
make a tree of 256 lines if only one line is new, since the bytes of the lines are joined.
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
    """One line of a tree.

    Attributes:
        name: Name of the file or directory.
        mode: Type and permissions of the file or directory.
        id: Id of the blob or tree that has the content.
        encoded: The bytes of the line in git's format.
    """

    name: bytes
    mode: int
    id: str
    encoded: bytes

    @classmethod
    def of(
        cls,
        name: bytes,
        mode: int,
        object_id: str,
    ) -> "TreeEntry":
        """Make a new line of a tree.

        Args:
            name: Name of the file or directory.
            mode: Type and permissions of the file or directory, such as `FILE_MODE`.
            object_id: Id of the blob or tree that has the content.
        """
        raw_id = bytes.fromhex(object_id)
        encoded = b"%o %b\0%b" % (mode, name, raw_id)
        return cls(
            name=name,
            mode=mode,
            id=object_id,
            encoded=encoded,
        )

    @property
    def is_tree(self) -> bool:
        """Whether the line names a directory with the mode that git writes for directories."""
        return self.mode == TREE_MODE

    @property
    def is_file(self) -> bool:
        """Whether the line names a plain file: not an executable file, a link or a submodule."""
        return self.mode == FILE_MODE

    @property
    def is_ours(self) -> bool:
        """Whether the line names a directory or a plain file. csc-git makes only such lines."""
        return self.mode in _OURS


@dataclass(frozen=True)
class Tree:
    """All lines of a tree. The lines are in the tree's order."""

    lines: tuple[TreeEntry, ...]

    def __iter__(self) -> Iterator[TreeEntry]:
        return iter(self.lines)

    @classmethod
    def parse(
        cls,
        raw: bytes,
        id_length: int,
    ) -> "Tree":
        """Parse the bytes of a tree.

        Args:
            raw: The bytes of the tree.
            id_length: Length of an object id in bytes: 20 or 32.

        Raises:
            ValueError: the bytes are not the lines of a tree.
        """
        lines = list[TreeEntry]()
        end = 0
        for found in _LINE[id_length].finditer(raw):
            if found.start() != end:
                break
            end = found.end()
            octal, name, raw_id = found.groups()
            line = TreeEntry(
                name,
                int(octal, 8),
                raw_id.hex(),
                found[0],
            )
            lines.append(line)
        if end != len(raw):
            raise ValueError(f"there is no line of a tree at byte {end}")
        return cls(tuple(lines))

    @classmethod
    def sorted(cls, lines: Iterable[TreeEntry]) -> "Tree":
        """Make a tree from lines in any order.

        git sorts the lines by name, and compares the name of a directory as if it ended in `/`.
        """
        in_order = sorted(lines, key=_order)
        return cls(tuple(in_order))

    @property
    def raw(self) -> bytes:
        """The bytes of the tree, as git stores them."""
        encoded = map(_ENCODED, self.lines)
        return b"".join(encoded)

    @cached_property
    def ours(self) -> dict[bytes, TreeEntry]:
        """The directories and plain files by name. Of several equal names, the last is used."""
        found = {}
        for line in self.lines:
            if line.mode in _OURS:
                found[line.name] = line
        return found


def _order(line: TreeEntry) -> bytes:
    if line.mode == TREE_MODE:
        return line.name + b"/"
    return line.name
