"""The size of an object, found before any of it is inflated.

A few hundred kilobytes of a pack can be gigabytes of zeros, and dulwich inflates whatever it is
asked for. Sizes stand in front of the data (gitformat-pack, "Object encoding"); where an object is
stored as a delta, that of the result stands in front of the delta, and each object that it is made
from counts as well: a small one can be cut from a huge one.
"""

import mmap
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dulwich.objects import RawObjectID
from dulwich.pack import OFS_DELTA, REF_DELTA, Pack

_MORE: Final = 0x80
_BITS: Final = 0x7F
_FIRST_BITS: Final = 0x0F
_DELTA_HEAD: Final = 24
"""Bytes of a delta in which both of its sizes stand."""

_LOOSE_HEAD: Final = 64
_ENOUGH: Final = 1024
"""Deflated bytes that give at least that many: the codes that stand before them are shorter."""

_MOST_OPEN: Final = 64
_DEEPEST: Final = 10_000


class PackedSizes:
    """Sizes of packed objects. Keeps packs open, which never change, until it is closed."""

    def __init__(self) -> None:
        self._open: dict[str, mmap.mmap] = {}

    def inflated(self, pack: Pack, name: RawObjectID) -> int:
        """The size in bytes of the largest object that reading one object inflates.

        Raises:
            KeyError: it is not in this pack.
            ValueError: the pack has not the form of one.
            OSError: the pack can't be read.
        """
        offset = pack.index.object_offset(name)
        try:
            return max(
                _chain(
                    pack,
                    self._contents(os.fspath(pack.data.path)),
                    offset,
                    len(name),
                )
            )
        except (IndexError, KeyError, zlib.error) as error:
            raise ValueError(
                f"A pack can't be read at {offset}: {error}"
            ) from error

    def close(self) -> None:
        """Close the packs."""
        while self._open:
            self._open.popitem()[1].close()

    def _contents(self, path: str) -> mmap.mmap:
        if path not in self._open:
            if (
                len(self._open) > _MOST_OPEN
            ):  # most of them were repacked and are gone
                self.close()
            with open(path, "rb") as file:  # noqa: PTH123  dulwich's own path
                self._open[path] = mmap.mmap(
                    file.fileno(), 0, access=mmap.ACCESS_READ
                )
        return self._open[path]


def loose_size(path: Path) -> int:
    """The size that a loose object's header gives; 0 if there is no such file.

    Raises:
        ValueError: it has no header.
    """
    try:
        with path.open("rb") as file:
            head = zlib.decompressobj().decompress(
                file.read(_ENOUGH), _LOOSE_HEAD
            )
    except FileNotFoundError:
        return 0
    except zlib.error as error:
        raise ValueError(str(error)) from error
    return int(head.partition(b"\0")[0].rpartition(b" ")[2])


def _chain(
    pack: Pack, data: mmap.mmap, offset: int, id_length: int
) -> Iterator[int]:
    """Sizes of an object, and of all that it is a delta of."""
    for _ in range(_DEEPEST):
        kind, size, at = entry_head(data, offset)
        yield size
        if kind == OFS_DELTA:
            back, at = _distance(data, at)
            base = offset - back
        elif kind == REF_DELTA:
            base = pack.index.object_offset(
                RawObjectID(data[at : at + id_length])
            )
            at += id_length
        else:
            return
        yield _result_size(data[at : at + _ENOUGH])
        offset = base
    raise ValueError("deltas of deltas without end")


def entry_head(data: bytes | mmap.mmap, at: int) -> tuple[int, int, int]:
    """Kind and size of what stands at a place in a pack, and where its own part begins."""
    byte = data[at]
    kind, size, shift = (byte >> 4) & 7, byte & _FIRST_BITS, 4
    while byte & _MORE:
        at += 1
        byte = data[at]
        size |= (byte & _BITS) << shift
        shift += 7
    return kind, size, at + 1


def _distance(data: mmap.mmap, at: int) -> tuple[int, int]:
    """How far back the object is that a delta begins with, and where the delta begins."""
    byte = data[at]
    back = byte & _BITS
    while byte & _MORE:
        at += 1
        byte = data[at]
        back = ((back + 1) << 7) | (byte & _BITS)
    if back <= 0:
        raise ValueError("a delta of itself")
    return back, at + 1


def _result_size(deflated: bytes) -> int:
    """The size of what a delta makes: its second number, behind the size of what it is made of."""
    delta = zlib.decompressobj().decompress(deflated, _DELTA_HEAD)
    at, size, shift = 0, 0, 0
    while delta[at] & _MORE:
        at += 1
    for byte in delta[at + 1 :]:
        size |= (byte & _BITS) << shift
        shift += 7
        if not byte & _MORE:
            break
    return size
