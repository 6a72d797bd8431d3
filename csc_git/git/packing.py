"""Packing: the few objects of an edit as one pack with its index, in git's format (gitformat-pack).

One pack an edit costs two files to be made durable, however many objects the edit has; loose
objects cost one each, and each its directory. `Repository.maintain` puts small packs together.
"""

import struct
import zlib
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from dulwich.object_format import ObjectFormat
from dulwich.objects import Blob, Commit, Tree
from dulwich.pack import pack_object_header

from csc_git.git.size import entry_head

BLOB: Final = Blob.type_num
COMMIT: Final = Commit.type_num
TREE: Final = Tree.type_num
_KINDS: Final = {BLOB: b"blob", TREE: b"tree", COMMIT: b"commit"}
_MOST_INFLATED: Final = 4 << 20
_PACK_HEAD: Final = struct.Struct(">4sLL")
_PACK_VERSION: Final = 2
_INDEX_HEAD: Final = b"\xfftOc\x00\x00\x00\x02"
_STORED: Final = 0
"""Trees are mostly ids, which nothing compresses; git makes deltas of them when it repacks."""
_QUICK: Final = 1


class NewObject(NamedTuple):
    """An object to be written: its id, git's number of its type, and its bytes."""

    id: str
    kind: int
    raw: bytes


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


def pack_up(objects: Sequence[NewObject], object_format: ObjectFormat) -> Packed:
    """Objects, each once, as a pack of whole ones."""
    placed: list[_Placed] = []
    data = bytearray(_PACK_HEAD.pack(b"PACK", _PACK_VERSION, len(objects)))
    for obj in objects:
        stored = _stored(obj, object_format)
        placed.append(_Placed(bytes.fromhex(obj.id), len(data), zlib.crc32(stored)))
        data += stored
    checksum = _digest(data, object_format)
    index = _index(sorted(placed), checksum)
    return Packed(bytes(data + checksum), index + _digest(index, object_format), checksum.hex())


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
            found.append(NewObject(object_id(kind, raw, object_format), kind, raw))
    except (IndexError, struct.error, zlib.error) as error:
        raise ValueError(f"a pack can't be read: {error}") from error
    return found


def object_id(kind: int, raw: bytes, object_format: ObjectFormat) -> str:
    """What git calls an object."""
    return _digest(b"%b %d\0%b" % (_KINDS[kind], len(raw), raw), object_format).hex()


def _stored(obj: NewObject, object_format: ObjectFormat) -> bytes:
    level = _STORED if obj.kind == TREE else _QUICK
    head = pack_object_header(obj.kind, None, len(obj.raw), object_format)
    return bytes(head) + zlib.compress(obj.raw, level)


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
