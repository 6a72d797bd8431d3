"""Small packs, such as each edit leaves one: read whole, and found by one look at their indexes.

dulwich takes a millisecond to open a pack: little for one of a million objects, too much where
eight processes leave a hundred packs of five objects a second for each other to read.
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
"""Bytes of an index and of a pack that are small."""

_FIRST_NAME: Final = 8 + 256 * 4
_COUNT: Final = struct.Struct(">L")
_KEPT: Final = 16
_VERSION_2: Final = b"\xfftOc\x00\x00\x00\x02"


class SmallPacks:
    """The small packs of a directory that were added.

    Args:
        directory: Where they are.
        object_format: Of the repository.
    """

    def __init__(self, directory: Path, object_format: ObjectFormat) -> None:
        self._directory = directory
        self._format = object_format
        self._names: dict[str, Sequence[bytes]] = {}
        self._where: dict[bytes, str] = {}
        self._read: dict[str, dict[bytes, NewObject]] = {}
        self._unfit: set[str] = set()

    @property
    def known(self) -> set[str]:
        """Their names, without ending."""
        return set(self._names)

    def add(self, base: str) -> bool:
        """Take a pack in; False if it isn't small, or is not of whole objects.

        Raises:
            OSError: it can't be read, or is gone.
        """
        if base in self._unfit:
            return False
        listing = self._content(f"{base}.idx", _MOST_LISTED)
        if listing is None or not listing.startswith(_VERSION_2):
            return False
        if os.stat(f"{self._directory}/{base}.pack").st_size > _MOST_STORED:  # noqa: PTH116
            return False
        (count,) = _COUNT.unpack_from(listing, _FIRST_NAME - _COUNT.size)
        width = self._format.oid_length
        ends = range(
            _FIRST_NAME + width, _FIRST_NAME + width * (count + 1), width
        )
        names = self._names[base] = [listing[end - width : end] for end in ends]
        self._where.update(dict.fromkeys(names, base))
        return True

    def has(self, name: bytes) -> bool:
        """Whether an object is in one of them."""
        return name in self._where

    def read(self, name: bytes) -> NewObject | None:
        """An object; None if it is in none of them, any more."""
        base = self._where.get(name)
        if base is None:
            return None
        if base not in self._read:
            self._load(base)
        return self._read.get(base, {}).get(name)

    def forget(self, base: str) -> None:
        """Let go of a pack."""
        self._read.pop(base, None)
        for name in self._names.pop(base, ()):
            if self._where.get(name) == base:
                del self._where[name]

    def _load(self, base: str) -> None:
        try:
            data = self._content(f"{base}.pack", _MOST_STORED)
            objects = unpack(data, self._format) if data is not None else None
        except FileNotFoundError:
            self.forget(base)
            return
        except (
            ValueError
        ):  # the other way of reading reports what is wrong with it
            objects = None
        if objects is None:
            self.forget(base)
            self._unfit.add(base)
            return
        for oldest in list(self._read)[: 1 - _KEPT]:
            del self._read[oldest]
        self._read[base] = {bytes.fromhex(obj.id): obj for obj in objects}

    def _content(self, name: str, limit: int) -> bytes | None:
        """A file's bytes; None if they are more than that."""
        with open(f"{self._directory}/{name}", "rb") as file:  # noqa: PTH123  the hot path
            content = file.read(limit + 1)
        return content if len(content) <= limit else None
