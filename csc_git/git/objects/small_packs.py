"""Small packs, such as the pack of one edit. They are read into memory as a whole.

dulwich takes a millisecond to open a pack. For a pack of a million objects, this does not matter.
But eight processes may write a hundred packs of five objects each second, and each process has to
read all these packs. For that, dulwich is too slow.
"""

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dulwich.object_format import ObjectFormat

from csc_git.git.objects.packing import NewObject, unpack

_MOST_LISTED: Final = 16 << 10
_MOST_STORED: Final = 256 << 10
"""A pack is small if it has at most `_MOST_STORED` bytes and its index has at most `_MOST_LISTED`
bytes."""

_FIRST_NAME: Final = 8 + 256 * 4
"""Offset of the first object id in an index, after the header and the table of counts."""

_COUNT: Final = struct.Struct(">L")
_LAST_COUNT: Final = _FIRST_NAME - _COUNT.size
"""Offset of the number of all objects, which is the last number in the table of counts."""

_KEPT: Final = 16
"""The objects of at most this many packs are kept in memory."""

_VERSION_2: Final = b"\xfftOc\x00\x00\x00\x02"


class SmallPacks:
    """The small packs of a directory. Each pack is added with `add`.

    Args:
        directory: The directory that contains the packs.
        object_format: The object format of the repository.
    """

    def __init__(
        self,
        directory: Path,
        object_format: ObjectFormat,
    ) -> None:
        self._directory = directory
        self._format = object_format
        self._names: dict[str, Sequence[bytes]] = {}
        self._where: dict[bytes, str] = {}
        self._read: dict[str, dict[bytes, NewObject]] = {}
        self._unfit: set[str] = set()

    @property
    def known(self) -> set[str]:
        """The names of the packs that were added, without file extension."""
        return set(self._names)

    def add(self, base: str) -> bool:
        """Add a pack by its name without file extension.

        Returns:
            Whether the pack was added. A pack is not added if it is not small, or is known to
            contain deltas.

        Raises:
            OSError: the pack can't be read, or was deleted.
        """
        if base in self._unfit:
            return False
        index = self._content(f"{base}.idx", _MOST_LISTED)
        if index is None:
            return False
        if not index.startswith(_VERSION_2):
            return False
        path = f"{self._directory}/{base}.pack"
        pack = os.stat(path)  # noqa: PTH116  the hot path
        if pack.st_size > _MOST_STORED:
            return False
        names = self._listed(index)
        self._names[base] = names
        for name in names:
            self._where[name] = base
        return True

    def has(self, name: bytes) -> bool:
        """Check whether one of the packs lists the object with this binary id."""
        return name in self._where

    def read(self, name: bytes) -> NewObject | None:
        """Read the object with this binary id; None if no pack contains the object."""
        base = self._where.get(name)
        if base is None:
            return None
        if base not in self._read:
            self._load(base)
        objects = self._read.get(base, {})
        return objects.get(name)

    def forget(self, base: str) -> None:
        """Forget a pack that was added."""
        self._read.pop(base, None)
        names = self._names.pop(base, ())
        for name in names:
            if self._where.get(name) == base:
                del self._where[name]

    def _listed(self, index: bytes) -> list[bytes]:
        """Return the object ids in an index, in binary."""
        (count,) = _COUNT.unpack_from(index, _LAST_COUNT)
        width = self._format.oid_length
        names = []
        start = _FIRST_NAME
        for _ in range(count):
            end = start + width
            names.append(index[start:end])
            start = end
        return names

    def _load(self, base: str) -> None:
        """Read all objects of a pack into memory, unless the pack is not small or has deltas."""
        try:
            objects = self._unpacked(base)
        except FileNotFoundError:
            self.forget(base)
            return
        if objects is None:
            self.forget(base)
            self._unfit.add(base)
            return
        kept = list(self._read)
        for oldest in kept[: 1 - _KEPT]:
            del self._read[oldest]
        by_name = {}
        for one in objects:
            name = bytes.fromhex(one.id)
            by_name[name] = one
        self._read[base] = by_name

    def _unpacked(self, base: str) -> list[NewObject] | None:
        """Return the objects of a pack; None if dulwich must read the pack instead.

        A damaged pack also gives None. Then dulwich reads the pack and reports the error.
        """
        data = self._content(f"{base}.pack", _MOST_STORED)
        if data is None:
            return None
        try:
            return unpack(data, self._format)
        except ValueError:
            return None

    def _content(
        self,
        name: str,
        limit: int,
    ) -> bytes | None:
        """Return the content of a file; None if the file has more than `limit` bytes."""
        path = f"{self._directory}/{name}"
        with open(path, "rb") as file:  # noqa: PTH123  the hot path
            content = file.read(limit + 1)
        if len(content) > limit:
            return None
        return content
