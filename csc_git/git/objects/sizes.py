"""The size of an object, found before any of it is inflated.

A few hundred kilobytes of a pack can be gigabytes of zeros, and dulwich inflates every object that
it is asked for. The size of an object precedes its data (gitformat-pack, "Object encoding"). Where
it is stored as a delta, the size of the result precedes the delta, and each object that it is made
from counts as well: a small one can be cut from a huge one.
"""

import mmap
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from dulwich.objects import RawObjectID
from dulwich.pack import OFS_DELTA, REF_DELTA, Pack

_MORE: Final = 0x80
_BITS: Final = 0x7F
_FIRST_BITS: Final = 0x0F
_DELTA_HEAD: Final = 24
"""Bytes of a delta that contain both of its sizes."""

_LOOSE_HEAD: Final = 64
"""Bytes of a loose object that contain its header."""

_ENOUGH: Final = 1024
"""Deflated bytes that inflate to at least that many: the codes that precede them are shorter."""

_MOST_OPEN: Final = 64
"""Packs that are kept open."""

_DEEPEST: Final = 10_000
"""Most deltas that are followed from one object."""


class EntryHead(NamedTuple):
    """The head of an entry of a pack.

    Attributes:
        kind: Git's number of its type.
        size: Bytes of the object or of the delta, inflated.
        end: The offset in bytes of what follows the head.
    """

    kind: int
    size: int
    end: int


class PackedSizes:
    """Sizes of packed objects. Keeps packs, which never change, open until it is closed."""

    def __init__(self) -> None:
        self._open: dict[str, mmap.mmap] = {}

    def inflated(
        self,
        pack: Pack,
        name: RawObjectID,
    ) -> int:
        """Find the size in bytes of the largest object that reading one object inflates.

        Args:
            pack: The pack that has it.
            name: Its id in binary.

        Raises:
            KeyError: it is not in this pack.
            ValueError: the pack is not well-formed.
            OSError: the pack can't be read.
        """
        offset = pack.index.object_offset(name)
        try:
            path = os.fspath(pack.data.path)
            data = self._contents(path)
            sizes = _chain(
                pack,
                data,
                offset,
                len(name),
            )
            return max(sizes)
        except (IndexError, KeyError, zlib.error) as error:
            what = f"A pack can't be read at {offset}: {error}"
            raise ValueError(what) from error

    def close(self) -> None:
        """Close the packs."""
        while self._open:
            _, contents = self._open.popitem()
            contents.close()

    def _contents(self, path: str) -> mmap.mmap:
        if path in self._open:
            return self._open[path]
        if len(self._open) > _MOST_OPEN:
            # Most of them were repacked and are gone.
            self.close()
        with open(path, "rb") as file:  # noqa: PTH123  dulwich's own path
            contents = mmap.mmap(
                file.fileno(),
                0,
                access=mmap.ACCESS_READ,
            )
        self._open[path] = contents
        return contents


def loose_size(path: Path) -> int:
    """Read the size in a loose object's header; 0 if there is no such file.

    Raises:
        ValueError: it has no header.
    """
    inflater = zlib.decompressobj()
    try:
        with path.open("rb") as file:
            deflated = file.read(_ENOUGH)
        head = inflater.decompress(deflated, _LOOSE_HEAD)
    except FileNotFoundError:
        return 0
    except zlib.error as error:
        raise ValueError(str(error)) from error
    type_and_size, _, _ = head.partition(b"\0")
    _, _, size = type_and_size.rpartition(b" ")
    return int(size)


def _chain(
    pack: Pack,
    data: mmap.mmap,
    offset: int,
    id_length: int,
) -> Iterator[int]:
    """Yield the sizes of an object and of all the objects that it is a delta of."""
    for _ in range(_DEEPEST):
        kind, size, at = entry_head(data, offset)
        yield size
        if kind == OFS_DELTA:
            back, at = _distance(data, at)
            base = offset - back
        elif kind == REF_DELTA:
            end = at + id_length
            base_id = RawObjectID(data[at:end])
            base = pack.index.object_offset(base_id)
            at = end
        else:
            return
        delta = data[at : at + _ENOUGH]
        yield _result_size(delta)
        offset = base
    raise ValueError("deltas of deltas without end")


def entry_head(
    data: bytes | mmap.mmap,
    at: int,
) -> EntryHead:
    """Read the head of an entry of a pack.

    Args:
        data: The pack.
        at: The offset in bytes at which the entry begins.
    """
    byte = data[at]
    kind = (byte >> 4) & 7
    size = byte & _FIRST_BITS
    shift = 4
    while byte & _MORE:
        at += 1
        byte = data[at]
        size |= (byte & _BITS) << shift
        shift += 7
    return EntryHead(kind, size, at + 1)


def _distance(
    data: mmap.mmap,
    at: int,
) -> tuple[int, int]:
    """Read how far back the base of a delta is, and at which offset the delta begins."""
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
    """Read the size of a delta's result: its second number, behind the size of its base."""
    inflater = zlib.decompressobj()
    delta = inflater.decompress(deflated, _DELTA_HEAD)
    at = 0
    while delta[at] & _MORE:
        at += 1
    size = 0
    shift = 0
    for byte in delta[at + 1 :]:
        size |= (byte & _BITS) << shift
        shift += 7
        if not byte & _MORE:
            break
    return size
