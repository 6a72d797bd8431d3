"""Packing: the few objects of an edit as one pack with its index, in git's format (gitformat-pack).

One pack an edit costs two files to be made durable, however many objects the edit has; loose
objects cost one each, and each its directory. `git.maintenance` puts small packs together.
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
_LITERAL: Final = 127
_MOST_COPIED: Final = 0xFFFF
_DEEPEST: Final = 40
_KINDS: Final = {BLOB: b"blob", TREE: b"tree", COMMIT: b"commit"}
_MOST_INFLATED: Final = 1 << 20
_PACK_HEAD: Final = struct.Struct(">4sLL")
_PACK_VERSION: Final = 2
_INDEX_HEAD: Final = b"\xfftOc\x00\x00\x00\x02"
_STORED: Final = 0
"""Trees are mostly ids, which nothing compresses; git makes deltas of them when it repacks."""
_QUICK: Final = 1


class NewObject(NamedTuple):
    """An object to be written: its id, git's number of its type, and its bytes.

    `base` is an object written before it, as a difference from which it is stored, and `depth` how
    many such steps there are to a whole one.
    """

    id: str
    kind: int
    raw: bytes
    base: "NewObject | None" = None
    depth: int = 0

    @classmethod
    def of(
        cls, name: str, kind: int, raw: bytes, base: "NewObject | None"
    ) -> "NewObject":
        """An object, as a difference from another of its kind unless that takes too many steps."""
        if base is None or base.kind != kind or base.depth >= _DEEPEST:
            return cls(name, kind, raw)
        return cls(name, kind, raw, base, base.depth + 1)


class Packed(NamedTuple):
    """The bytes of a pack and of its index, and the checksum by which packs are known."""

    data: bytes
    listing: bytes
    checksum: str


class _Placed(NamedTuple):
    """Where an object is in a pack, as the index lists it: in the order of names."""

    name: bytes
    offset: int
    crc: int


def pack_up(
    objects: Sequence[NewObject], object_format: ObjectFormat
) -> Packed:
    """Objects, each once and behind its base, as a pack."""
    placed: dict[str, _Placed] = {}
    data = bytearray(_PACK_HEAD.pack(b"PACK", _PACK_VERSION, len(objects)))
    for obj in objects:
        base = placed.get(obj.base.id) if obj.base else None
        distance = len(data) - base.offset if base else None
        stored = _stored(obj, distance, object_format)
        placed[obj.id] = _Placed(
            bytes.fromhex(obj.id), len(data), zlib.crc32(stored)
        )
        data += stored
    checksum = _digest(data, object_format)
    index = _index(sorted(placed.values()), checksum)
    return Packed(
        bytes(data + checksum),
        index + _digest(index, object_format),
        checksum.hex(),
    )


def unpack(data: bytes, object_format: ObjectFormat) -> list[NewObject] | None:
    """The objects of a small pack of whole ones; None if it has deltas, or is not small inflated.

    Raises:
        ValueError: it has not the form of a pack.
    """
    found, at, left = list[NewObject](), _PACK_HEAD.size, _MOST_INFLATED
    try:
        _, _, count = _PACK_HEAD.unpack_from(data)
        for _ in range(count):
            kind, size, at = entry_head(data, at)
            left -= size
            if kind not in _KINDS or left < 0:
                return None
            inflater = zlib.decompressobj()
            raw = inflater.decompress(data[at:], size + 1)
            at = len(data) - len(inflater.unused_data)
            found.append(
                NewObject(object_id(kind, raw, object_format), kind, raw)
            )
    except (IndexError, struct.error, zlib.error) as error:
        raise ValueError(f"a pack can't be read: {error}") from error
    return found


def object_id(kind: int, raw: bytes, object_format: ObjectFormat) -> str:
    """What git calls an object."""
    return _digest(
        b"%b %d\0%b" % (_KINDS[kind], len(raw), raw), object_format
    ).hex()


def _stored(
    obj: NewObject, distance: int | None, object_format: ObjectFormat
) -> bytes:
    """An object as it stands in a pack: as a delta if its base is so many bytes before it."""
    if distance is None or obj.base is None:
        head = pack_object_header(obj.kind, None, len(obj.raw), object_format)
        return bytes(head) + zlib.compress(
            obj.raw, _STORED if obj.kind == TREE else _QUICK
        )
    delta = splice(obj.base.raw, obj.raw)
    head = pack_object_header(OFS_DELTA, distance, len(delta), object_format)
    return bytes(head) + zlib.compress(delta, _QUICK)


def splice(old: bytes, new: bytes) -> bytes:
    """What makes `new` of `old`, which begin and end alike: the form of git's deltas.

    dulwich's looks for more likeness than there is here, and takes its time.
    """
    start = _alike(old, new)
    end = _alike(old[start:][::-1], new[start:][::-1])
    middle = new[start : len(new) - end]
    literals = (
        middle[at : at + _LITERAL] for at in range(0, len(middle), _LITERAL)
    )
    return b"".join(
        (
            _number(len(old)),
            _number(len(new)),
            _copy(0, start),
            *(bytes([len(part)]) + part for part in literals),
            _copy(len(old) - end, end),
        )
    )


def _alike(one: bytes, other: bytes) -> int:
    """How many bytes two begin with alike."""
    least, most = 0, min(len(one), len(other))
    while least < most:
        middle = (least + most + 1) // 2
        if one[least:middle] == other[least:middle]:
            least = middle
        else:
            most = middle - 1
    return least


def _number(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    found = bytearray()
    while value >= _MORE:
        found.append(value % _MORE | _MORE)
        value //= _MORE
    return bytes([*found, value])


def _copy(offset: int, size: int) -> bytes:
    """Instructions to copy a part of the old bytes; a size has two bytes here, so it may be two."""
    found = b""
    while size:
        length = min(size, _MOST_COPIED)
        numbers = offset.to_bytes(4, "little") + length.to_bytes(2, "little")
        present = [place for place, byte in enumerate(numbers) if byte]
        command = _MORE | sum(1 << place for place in present)
        found += bytes([command, *(numbers[place] for place in present)])
        offset, size = offset + length, size - length
    return found


def _index(placed: Sequence[_Placed], checksum: bytes) -> bytes:
    """An index of version 2, without its checksum; dulwich's writer takes a third of an edit."""
    firsts = [0] * 256
    for one in placed:
        firsts[one.name[0]] += 1
    return b"".join(
        (
            _INDEX_HEAD,
            struct.pack(">256L", *accumulate(firsts)),
            *(one.name for one in placed),
            struct.pack(f">{len(placed)}L", *(one.crc for one in placed)),
            struct.pack(f">{len(placed)}L", *(one.offset for one in placed)),
            checksum,
        )
    )


def _digest(data: bytes | bytearray, object_format: ObjectFormat) -> bytes:
    made = object_format.new_hash()
    made.update(data)
    return made.digest()
