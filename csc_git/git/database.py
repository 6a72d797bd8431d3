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
from csc_git.git.packing import NewObject, pack_up
from csc_git.git.size import PackedSizes, loose_size

_TRIES: Final = 10
_MOST_OPEN: Final = 96
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

    def expect(self, name: str) -> None:
        """Look first into the pack of that name, if there is one."""
        base = f"pack-{name}"
        if base not in self._packs and self._has_pack(base):
            self._open(base)

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
                    pack.index.object_offset(name)
                except KeyError:
                    continue
                except PackFileDisappeared:
                    self._forget(base)
                    continue
                self._packs[base] = self._packs.pop(base)
                yield pack
                self._forget(base)  # asked again, so it is gone
            if not self._discover():
                return

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
