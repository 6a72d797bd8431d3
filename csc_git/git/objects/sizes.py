"""Find the size of an object before the object is inflated.

A few hundred kilobytes of a pack can inflate to gigabytes of zeros, and dulwich inflates an object
without a limit. In a pack, the size of an object is stored before its data (gitformat-pack, "Object
encoding"). If an object is stored as a delta, the size of the result is stored at the beginning of
the delta. The sizes of all objects on which the delta is based are checked too, because a small
object can be made from a huge object.
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
"""A delta begins with two sizes. To read both sizes, this many bytes of the delta are enough."""

_LOOSE_HEAD: Final = 64
"""A loose object begins with a header. To read it, this many bytes of the object are enough."""

_ENOUGH: Final = 1024
"""Only this many deflated bytes are read. They are enough to inflate any of the headers. Deflated
data begins with tables of codes, and the tables have fewer bytes than this."""

_MOST_OPEN: Final = 64
"""At most about this many packs are kept open."""

_DEEPEST: Final = 10_000
"""To find the sizes for one object, at most this many deltas are read."""


class EntryHead(NamedTuple):
    """The head of an entry of a pack.

    Attributes:
        kind: Git's number for the type of the entry.
        size: Size of the inflated object or of the inflated delta, in bytes.
        end: Offset in bytes at which the head ends.
    """

    kind: int
    size: int
    end: int


class PackedSizes:
    """Finds the sizes of packed objects. The packs remain open until `close` is called."""

    def __init__(self) -> None:
        self._open: dict[str, mmap.mmap] = {}

    def inflated(
        self,
        pack: Pack,
        name: RawObjectID,
    ) -> int:
        """Find the size in bytes of the largest object that must be inflated to read an object.

        Args:
            pack: The pack that contains the object.
            name: The object's id in binary.

        Raises:
            KeyError: the object is not in this pack.
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
        """Close all packs that are open."""
        while self._open:
            _, contents = self._open.popitem()
            contents.close()

    def _contents(self, path: str) -> mmap.mmap:
        if path in self._open:
            return self._open[path]
        if len(self._open) > _MOST_OPEN:
            # Most of the open packs have been repacked and deleted.
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
    """Read the size from the header of a loose object; 0 if there is no such file.

    Raises:
        ValueError: the file has no valid header.
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
    """Yield the size of an object, and the sizes of all deltas and objects that it is made from."""
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
    raise ValueError("the chain of deltas is too long")


def entry_head(
    data: bytes | mmap.mmap,
    at: int,
) -> EntryHead:
    """Read the head of an entry of a pack.

    Args:
        data: The bytes of the pack.
        at: Offset in bytes at which the entry begins.
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
    """Return the distance in bytes from a delta to its base, and the offset of the delta's data."""
    byte = data[at]
    back = byte & _BITS
    while byte & _MORE:
        at += 1
        byte = data[at]
        back = ((back + 1) << 7) | (byte & _BITS)
    if back <= 0:
        raise ValueError("an object is stored as a delta of itself")
    return back, at + 1


def _result_size(deflated: bytes) -> int:
    """Read the size of a delta's result: the second number in the delta, after the base's size."""
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
