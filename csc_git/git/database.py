"""The object database: the packs and loose objects of a repository, as files.

We write packs only. Loose objects come from a fetch, or from an older csc-git; they are read. Packs
appear and vanish at any time, since other processes of the clone write and repack; what was found
in none is looked for again among those that are there now.
"""

import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from dulwich.object_format import ObjectFormat
from dulwich.objects import RawObjectID, object_class
from dulwich.pack import Pack, PackFileDisappeared

from csc_git.git.durable import write_files
from csc_git.git.packing import NewObject, pack_up, unpack
from csc_git.git.size import PackedSizes, loose_size

_TRIES: Final = 10
_MOST_OPEN: Final = 96
_SMALL: Final = 256 << 10
"""Bytes of a pack, or of an index, up to which it is read whole."""

_HEADER: Final = 64


class ObjectDatabase:
    """The `objects` directory of a repository. Not safe to share between threads.

    Args:
        directory: Its path.
        object_format: Of the repository.
    """

    def __init__(self, directory: Path, object_format: ObjectFormat) -> None:
        self.object_format = object_format
        self._directory = directory
        self._pack_directory = directory / "pack"
        self._packs: dict[str, Pack] = {}
        self._names: dict[str, bytes] = {}
        self._sizes = PackedSizes()

    def size(self, object_id: str) -> int:
        """How many bytes reading an object inflates; 0 for a missing one.

        Raises:
            ValueError: it has not the form of an object.
            OSError: the disk refused.
        """
        name = RawObjectID(bytes.fromhex(object_id))
        for pack in self._holding(name):
            with suppress(PackFileDisappeared, FileNotFoundError):
                return self._sizes.inflated(pack, name)
        return loose_size(self._path(object_id))

    def read(self, object_id: str, limit: int) -> tuple[int, bytes]:
        """Type and bytes of an object.

        Args:
            object_id: Its name.
            limit: Bytes of a loose object that are read at most.

        Raises:
            KeyError: it is missing.
            OSError: the disk refused.
            Exception: it can't be read; errors of zlib, form and checksum have no common base.
        """
        name = RawObjectID(bytes.fromhex(object_id))
        for pack in self._holding(name):
            with suppress(PackFileDisappeared):
                return pack.get_raw(name)
        return self._read_loose(object_id, limit)

    def has(self, object_id: str) -> bool:
        """Whether an object is there."""
        name = RawObjectID(bytes.fromhex(object_id))
        return any(True for _ in self._holding(name)) or self._path(object_id).exists()

    def write(self, objects: Sequence[NewObject], name: str) -> None:
        """Put objects on disk, durably, as one pack.

        Args:
            objects: At least one, each once.
            name: What the pack is called, so that others find at once what they look for; unless
                there is a pack of that name already.
        """
        packed = pack_up(objects, self.object_format)
        base = f"pack-{name}"
        if self._has_pack(base):
            base = f"pack-{packed.checksum}"
        files = {f"{base}.pack": packed.data, f"{base}.idx": packed.listing}
        write_files(self._pack_directory, files)

    def edit(self, commit_id: str) -> Sequence[NewObject]:
        """All objects of an edit whose pack is named after its commit; none if there is no such.

        Raises:
            OSError: the disk refused.
        """
        try:
            with open(f"{self._pack_directory}/pack-{commit_id}.pack", "rb") as file:  # noqa: PTH123
                data = file.read(_SMALL + 1)
            return (unpack(data, self.object_format) or ()) if len(data) <= _SMALL else ()
        except (FileNotFoundError, ValueError):  # what is damaged says so when it is asked for
            return ()

    def close(self) -> None:
        """Close all files."""
        self._sizes.close()
        while self._packs:
            self._packs.popitem()[1].close()

    def _holding(self, name: RawObjectID) -> Iterator[Pack]:
        """Packs that hold an object, as long as one is asked for."""
        for _ in range(_TRIES):
            for base, pack in reversed(list(self._packs.items())):
                try:
                    if not self._may_hold(base, name):
                        continue
                    pack.index.object_offset(name)
                except KeyError:
                    continue
                except (PackFileDisappeared, FileNotFoundError):
                    self._forget(base)
                    continue
                self._packs[base] = self._packs.pop(base)
                yield pack
                self._forget(base)  # asked again, so it is gone
            if not self._discover():
                return

    def _may_hold(self, base: str, name: RawObjectID) -> bool:
        """False if a small pack does not hold an object: told by its index as it is on disk.

        dulwich takes a millisecond to open an index, and there may be two hundred.
        """
        if base not in self._names:
            with open(f"{self._pack_directory}/{base}.idx", "rb") as file:  # noqa: PTH123
                listing = file.read(_SMALL + 1)
            self._names[base] = listing if len(listing) <= _SMALL else b""
        listing = self._names[base]
        return not listing or bytes(name) in listing

    def _discover(self) -> bool:
        """Open packs that are new here; whether there are any."""
        listed = self._listed()
        for base in self._packs.keys() - listed:
            self._forget(base)
        found = listed - self._packs.keys()
        for base in found:
            self._open(base)
        return bool(found)

    def _listed(self) -> set[str]:
        names = os.listdir(self._pack_directory)  # noqa: PTH208  names are enough
        return {name[: -len(".idx")] for name in names if name.endswith(".idx")}

    def _open(self, base: str) -> None:
        path = self._pack_directory / base
        self._packs[base] = Pack(str(path), object_format=self.object_format)
        for oldest in list(self._packs)[:-_MOST_OPEN]:
            self._packs[oldest].close()  # its files only: it opens them again when asked

    def _forget(self, base: str) -> None:
        pack = self._packs.pop(base, None)
        self._names.pop(base, None)
        if pack is not None:  # its truth would be its length, which opens it
            pack.close()

    def _has_pack(self, base: str) -> bool:
        return os.path.exists(f"{self._pack_directory}/{base}.idx")  # noqa: PTH110  hot path

    def _path(self, object_id: str) -> Path:
        return self._directory / object_id[:2] / object_id[2:]

    def _read_loose(self, object_id: str, limit: int) -> tuple[int, bytes]:
        try:
            packed = self._path(object_id).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise KeyError(object_id) from None
        raw = zlib.decompressobj().decompress(packed, limit + _HEADER)
        head, _, data = raw.partition(b"\0")
        kind = object_class(head.split()[0])
        if kind is None:
            raise ValueError(f"no type is called {head[:20]!r}")
        return kind.type_num, data
