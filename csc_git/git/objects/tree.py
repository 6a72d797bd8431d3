"""Trees: directories of the branch, line by line, as git stores them.

Each line keeps the bytes that it has in the tree. A line that does not change is written back as
it was, so making a tree of 256 lines of which one is new costs no more than joining them.
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
        name: A file's or directory's name.
        mode: Its type and permissions.
        id: The object that it names.
        encoded: The bytes of the line.
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
        """Make a new line.

        Args:
            name: A file's or directory's name.
            mode: Its type and permissions, as `FILE_MODE`.
            object_id: The blob or tree that it names.
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
        """Whether it is a directory, by the one mode that git writes for one."""
        return self.mode == TREE_MODE

    @property
    def is_file(self) -> bool:
        """Whether it is a plain file: not executable, no link, no submodule."""
        return self.mode == FILE_MODE

    @property
    def is_ours(self) -> bool:
        """Whether it is a directory or a plain file."""
        return self.mode in _OURS


@dataclass(frozen=True)
class Tree:
    """The lines of a tree, of all modes, in its order."""

    lines: tuple[TreeEntry, ...]

    def __iter__(self) -> Iterator[TreeEntry]:
        return iter(self.lines)

    @classmethod
    def parse(
        cls,
        raw: bytes,
        id_length: int,
    ) -> "Tree":
        """Read a tree's bytes.

        Args:
            raw: The bytes.
            id_length: Bytes of an object id: 20 or 32.

        Raises:
            ValueError: they are not the lines of a tree.
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
            raise ValueError(f"no line of a tree at {end}")
        return cls(tuple(lines))

    @classmethod
    def sorted(cls, lines: Iterable[TreeEntry]) -> "Tree":
        """Make a tree of lines, in git's order, in which a directory's name ends in `/`."""
        in_order = sorted(lines, key=_order)
        return cls(tuple(in_order))

    @property
    def raw(self) -> bytes:
        """Its bytes."""
        encoded = map(_ENCODED, self.lines)
        return b"".join(encoded)

    @cached_property
    def ours(self) -> dict[bytes, TreeEntry]:
        """The directories and plain files by name; of two with one name the last."""
        found = {}
        for line in self.lines:
            if line.mode in _OURS:
                found[line.name] = line
        return found


def _order(line: TreeEntry) -> bytes:
    if line.mode == TREE_MODE:
        return line.name + b"/"
    return line.name
