"""Packing: write the few objects of an edit as one pack and its index; see gitformat-pack(5).

With one pack for each edit, only two files must be made durable, however many objects the edit has.
With loose objects, one file and one directory would have to be made durable for each object.
`git.maintenance` combines small packs.
"""

import struct
import zlib
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from dulwich.object_format import ObjectFormat
from dulwich.objects import Blob, Commit, Tree
from dulwich.pack import OFS_DELTA, pack_object_header

from csc_git.git.objects.sizes import entry_head

BLOB: Final = Blob.type_num
COMMIT: Final = Commit.type_num
TREE: Final = Tree.type_num
_MORE: Final = 0x80
"""A number is written as one or several bytes. This bit is set in each byte except the last."""

_LITERAL: Final = 127
"""One instruction of a delta can insert at most this many bytes."""

_MOST_COPIED: Final = 0xFFFF
"""One instruction of a delta copies at most this many bytes in csc-git's packs."""

_COPIED: Final = struct.Struct("<LH")
"""Encodes the offset and the size in an instruction that copies bytes."""

_DEEPEST: Final = 40
"""An object may be stored as a delta of another delta, and so on. Such a chain has at most this
many deltas. It ends at an object that is stored in full."""

_KINDS: Final = {
    BLOB: b"blob",
    TREE: b"tree",
    COMMIT: b"commit",
}
_MOST_INFLATED: Final = 1 << 20
"""All objects of a small pack together may have at most this many bytes when they are inflated."""

_PACK_HEAD: Final = struct.Struct(">4sLL")
_PACK_VERSION: Final = 2
_INDEX_HEAD: Final = b"\xfftOc\x00\x00\x00\x02"
_STORED: Final = 0
"""The level of compression for trees. Trees contain mostly ids, which can't be compressed. git
makes deltas of trees when it repacks."""

_QUICK: Final = 1
"""The level of compression for all objects except trees."""


class NewObject(NamedTuple):
    """An object to be written.

    Attributes:
        id: Full id of the object.
        kind: Git's number for the type of the object.
        raw: The bytes of the object.
        base: The earlier object on which the object's delta is based; None if the object is stored
            in full.
        depth: The number of deltas from this object to an object that is stored in full.
    """

    id: str
    kind: int
    raw: bytes
    base: "NewObject | None" = None
    depth: int = 0

    @classmethod
    def of(
        cls,
        name: str,
        kind: int,
        raw: bytes,
        base: "NewObject | None",
    ) -> "NewObject":
        """Make an object. If possible, the new object is stored as a delta of another object.

        The new object is stored in full if the other object has another type, or if the chain of
        deltas would be too long.

        Args:
            name: Full id of the new object.
            kind: Git's number for the type of the new object.
            raw: The bytes of the new object.
            base: The other object. If None, the new object is stored in full.
        """
        whole = cls(name, kind, raw)
        if base is None or base.kind != kind:
            return whole
        if base.depth >= _DEEPEST:
            return whole
        return cls(
            id=name,
            kind=kind,
            raw=raw,
            base=base,
            depth=base.depth + 1,
        )


class Packed(NamedTuple):
    """A new pack: the bytes of the pack, the bytes of its index, and the checksum for its name."""

    data: bytes
    listing: bytes
    checksum: str


class _Placed(NamedTuple):
    """The place of an object in a pack, as an index lists it. Places are sorted by object id."""

    name: bytes
    offset: int
    crc: int


def pack_up(
    objects: Sequence[NewObject],
    object_format: ObjectFormat,
) -> Packed:
    """Put objects into a pack.

    Args:
        objects: The objects. No object may appear twice. An object must come after its base.
        object_format: The object format of the repository.
    """
    placed: dict[str, _Placed] = {}
    data = bytearray()
    data += _PACK_HEAD.pack(
        b"PACK",
        _PACK_VERSION,
        len(objects),
    )
    for one in objects:
        offset = len(data)
        distance = None
        if one.base is not None and one.base.id in placed:
            base = placed[one.base.id]
            distance = offset - base.offset
        stored = _stored(
            one,
            distance,
            object_format,
        )
        data += stored
        placed[one.id] = _Placed(
            name=bytes.fromhex(one.id),
            offset=offset,
            crc=zlib.crc32(stored),
        )
    checksum = _digest(data, object_format)
    in_order = sorted(placed.values())
    index = _index(in_order, checksum)
    index_checksum = _digest(index, object_format)
    return Packed(
        data=bytes(data + checksum),
        listing=index + index_checksum,
        checksum=checksum.hex(),
    )


def unpack(
    data: bytes,
    object_format: ObjectFormat,
) -> list[NewObject] | None:
    """Read the objects of a small pack.

    Args:
        data: The bytes of the pack.
        object_format: The object format of the repository.

    Returns:
        The objects; None if the pack contains deltas, or if it is too large when it is inflated.

    Raises:
        ValueError: the bytes are not a well-formed pack.
    """
    found = list[NewObject]()
    at = _PACK_HEAD.size
    left = _MOST_INFLATED
    try:
        _, _, count = _PACK_HEAD.unpack_from(data)
        for _ in range(count):
            kind, size, at = entry_head(data, at)
            left -= size
            if kind not in _KINDS or left < 0:
                return None
            inflater = zlib.decompressobj()
            rest = data[at:]
            raw = inflater.decompress(rest, size + 1)
            at = len(data) - len(inflater.unused_data)
            name = object_id(
                kind,
                raw,
                object_format,
            )
            found.append(NewObject(name, kind, raw))
    except (IndexError, struct.error, zlib.error) as error:
        raise ValueError(f"a pack can't be read: {error}") from error
    return found


def object_id(
    kind: int,
    raw: bytes,
    object_format: ObjectFormat,
) -> str:
    """Compute the id that git gives an object.

    Args:
        kind: Git's number for the type of the object.
        raw: The bytes of the object.
        object_format: The object format of the repository.
    """
    head = b"%b %d\0" % (_KINDS[kind], len(raw))
    digest = _digest(head + raw, object_format)
    return digest.hex()


def _stored(
    one: NewObject,
    distance: int | None,
    object_format: ObjectFormat,
) -> bytes:
    """Encode an object for a pack. If `distance` is given, the object is encoded as a delta.

    The distance is the number of bytes from the beginning of the delta's base to the beginning of
    the delta.
    """
    kind = one.kind
    content = one.raw
    level = _QUICK
    if distance is not None and one.base is not None:
        kind = OFS_DELTA
        content = splice(one.base.raw, one.raw)
    elif kind == TREE:
        level = _STORED
    head = pack_object_header(
        kind,
        distance,
        len(content),
        object_format,
    )
    return bytes(head) + zlib.compress(content, level)


def splice(
    old: bytes,
    new: bytes,
) -> bytes:
    """Encode the difference between two byte strings as a delta in git's format.

    The function looks only for equal bytes at the beginning and at the end. dulwich's function for
    this also searches for equal parts in the middle, which takes too long.

    Args:
        old: The bytes to which the delta will be applied.
        new: The bytes that result when the delta is applied.
    """
    start = _alike(old, new)
    old_rest = old[start:]
    new_rest = new[start:]
    end = _alike(old_rest[::-1], new_rest[::-1])
    middle = new_rest[: len(new_rest) - end]
    instructions = (
        _number(len(old)),
        _number(len(new)),
        _copy(0, start),
        _insert(middle),
        _copy(len(old) - end, end),
    )
    return b"".join(instructions)


def _alike(
    one: bytes,
    other: bytes,
) -> int:
    """Count the bytes at the beginning that two byte strings have in common."""
    least = 0
    most = min(len(one), len(other))
    while least < most:
        middle = (least + most + 1) // 2
        part = one[least:middle]
        if other[least:middle] == part:
            least = middle
        else:
            most = middle - 1
    return least


def _number(value: int) -> bytes:
    """Encode a number with seven bits in each byte, beginning with the lowest bits."""
    found = bytearray()
    while value >= _MORE:
        value, low = divmod(value, _MORE)
        found.append(low | _MORE)
    found.append(value)
    return bytes(found)


def _insert(new: bytes) -> bytes:
    """Encode a delta's insert instructions, which add new bytes."""
    found = bytearray()
    for at in range(0, len(new), _LITERAL):
        part = new[at : at + _LITERAL]
        found.append(len(part))
        found += part
    return bytes(found)


def _copy(
    offset: int,
    size: int,
) -> bytes:
    """Encode a delta's copy instructions, which copy a part of the old bytes."""
    found = bytearray()
    while size:
        length = min(size, _MOST_COPIED)
        found += _copy_once(offset, length)
        offset += length
        size -= length
    return bytes(found)


def _copy_once(
    offset: int,
    size: int,
) -> bytes:
    """Encode one instruction that copies bytes.

    The first byte has a flag for each byte of `offset` and `size` that is not 0. After the first
    byte, the bytes that are not 0 are written.
    """
    numbers = _COPIED.pack(offset, size)
    flags = _MORE
    present = bytearray()
    for place, byte in enumerate(numbers):
        if byte:
            flags |= 1 << place
            present.append(byte)
    return bytes([flags]) + present


def _index(
    placed: Sequence[_Placed],
    checksum: bytes,
) -> bytes:
    """Encode an index of version 2, without the index's own checksum.

    dulwich has a function for this too, but it would take a third of the time of an edit.
    """
    counts = [0] * 256
    for one in placed:
        first = one.name[0]
        counts[first] += 1
    totals = accumulate(counts)
    names = [one.name for one in placed]
    checksums = [one.crc for one in placed]
    offsets = [one.offset for one in placed]
    numbers = struct.Struct(f">{len(placed)}L")
    parts = (
        _INDEX_HEAD,
        struct.pack(">256L", *totals),
        *names,
        numbers.pack(*checksums),
        numbers.pack(*offsets),
        checksum,
    )
    return b"".join(parts)


def _digest(
    data: bytes | bytearray,
    object_format: ObjectFormat,
) -> bytes:
    made = object_format.new_hash()
    made.update(data)
    return made.digest()
