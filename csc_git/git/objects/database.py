"""The object database: the packs and loose objects of a repository, as files.

We write packs only. Loose objects come from others, or from an older csc-git; they are read. Packs
appear and vanish at any time, since other processes of the clone write and repack; what was found
in none is looked for again among those that are there now.

A pack of ours is kept (gitrepository-layout: `pack-*.keep`) until a ref names what is in it, as git
keeps those it receives. Without that, two gits that repack at once may lose it between them: one
takes its objects out, as loose ones that nothing names, the other removes those as packed ones.
"""

import os
import re
import tempfile
import time
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from dulwich.object_format import ObjectFormat
from dulwich.objects import RawObjectID, object_class
from dulwich.pack import Pack, PackFileDisappeared

from csc_git.files.durable import write_files
from csc_git.git.child import GitMissing, run_git
from csc_git.git.objects.packing import NewObject, pack_up
from csc_git.git.objects.sizes import PackedSizes, loose_size
from csc_git.git.objects.small_packs import SmallPacks

_LOOKS: Final = 40
_PAUSE: Final = 0.005
_SETTLED_NS: Final = 50_000_000
_MOST_OPEN: Final = 64
_HEADER: Final = 64
_MOST_AT_ONCE: Final = 128 << 20
"""Bytes of all the objects of one call of git; a hundred thousand of ours are a tenth of that."""

_KEEP: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC


ListedLine = tuple[bytes, str, bytes]
"""Mode, object and path of a line of a tree."""

_LISTED: Final = re.compile(rb"([0-7]{6}) [a-z]+ ([0-9a-f]+)\t([^\0]*)\0")


class Unlisted(Exception):
    """Git can't list a tree."""


class Oversize(Exception):
    """Reading an object would inflate more bytes than allowed."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size:,} bytes")
        self.size = size


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
        self._small = SmallPacks(self._pack_directory, object_format)
        self._large: dict[str, Pack] = {}
        self._sizes = PackedSizes()

    def read(self, object_id: str, limit: int) -> tuple[int, bytes]:
        """Type and bytes of an object.

        Args:
            object_id: Its name.
            limit: Bytes that it, and all it is a delta of, may have.

        Raises:
            KeyError: it is missing.
            Oversize: it has more.
            OSError: the disk refused.
            Exception: it can't be read; errors of zlib, form and checksum have no common base.
        """
        name = bytes.fromhex(object_id)
        if len(name) != self.object_format.oid_length:
            raise KeyError(object_id)
        self._expect(object_id, name)
        for _ in self._looks():
            small = self._small.read(name)
            if small is not None:
                return small.kind, small.raw
            large = self._read_large(RawObjectID(name), limit)
            if large is not None:
                return large
        return self._read_loose(object_id, limit)

    def has(self, object_id: str) -> bool:
        """Whether an object is there."""
        name = RawObjectID(bytes.fromhex(object_id))
        if (
            self._small.read(name) is not None
        ):  # not only listed: its pack may be gone
            return True
        self._discover()  # lets go of packs that are gone
        for _ in self._looks():
            if self._small.has(name) or any(
                _holds(pack, name) for pack in self._packs()
            ):
                return True
        return self._path(object_id).exists()

    def read_many(
        self, object_ids: Collection[str], kind: int
    ) -> dict[str, bytes]:
        """The bytes of objects of one type, by one call of git; of those that it can read.

        Args:
            object_ids: Their names.
            kind: Their type.

        Returns:
            What could be read; nothing if git fails, or all of it is very much.
        """
        with tempfile.TemporaryFile() as names:
            names.write("".join(f"{name}\n" for name in object_ids).encode())
            names.seek(0)
            try:
                found = run_git(
                    ["--no-replace-objects", "cat-file", "--batch", "--buffer"],
                    cwd=self._directory,
                    git_dir=self._directory.parent,
                    stdin=names.fileno(),
                    most=_MOST_AT_ONCE,
                )
            except GitMissing:
                return {}
        return dict(_batch(found.out, kind)) if found.ok else {}

    def list_below(self, tree_id: str) -> Iterator[ListedLine]:
        """What stands below a tree, each directory before what is in it, by one call of git.

        Raises:
            Unlisted: git fails, or it is very much.
        """
        arguments = [
            "--no-replace-objects",
            "ls-tree",
            "-r",
            "-t",
            "-z",
            tree_id,
        ]
        try:
            found = run_git(
                arguments,
                cwd=self._directory,
                git_dir=self._directory.parent,
                most=_MOST_AT_ONCE,
            )
        except GitMissing:
            raise Unlisted from None
        if not found.ok:
            raise Unlisted
        for line in _LISTED.finditer(found.out):
            yield line[1], line[2].decode(), line[3]

    def write(self, objects: Sequence[NewObject], name: str) -> str:
        """Put objects on disk, durably, as one pack that is kept until it is let go.

        Args:
            objects: At least one, each once.
            name: What the pack is called, so that others find at once what they look for; unless
                there is a pack of that name already.

        Returns:
            What `let_go` takes.
        """
        packed = pack_up(objects, self.object_format)
        base = f"pack-{name}"
        if self._is_there(base):
            base = f"pack-{packed.checksum}"
        files = {f"{base}.pack": packed.data, f"{base}.idx": packed.listing}
        os.close(os.open(f"{self._pack_directory}/{base}.keep", _KEEP, 0o444))
        try:
            write_files(self._pack_directory, files)
        except BaseException:
            self.let_go(base)
            raise
        return base

    def let_go(self, base: str) -> None:
        """Allow a pack to be repacked: a ref names what is in it, or nobody will."""
        with suppress(OSError):  # what is kept too long, maintenance finds
            os.unlink(f"{self._pack_directory}/{base}.keep")  # noqa: PTH108  the hot path

    def close(self) -> None:
        """Close all files."""
        self._sizes.close()
        while self._large:
            self._large.popitem()[1].close()

    def _expect(self, object_id: str, name: bytes) -> None:
        """Look for the pack of an edit where it is, without listing all."""
        base = f"pack-{object_id}"
        if not self._small.has(name) and self._is_there(base):
            with suppress(OSError):
                self._small.add(base)

    def _looks(self) -> Iterator[None]:
        """One look at the packs that are known, then one whenever others may be there.

        A listing is no snapshot: while a pack takes the place of others, it can miss both. So one
        that shows nothing new counts only if the directory has been left alone for a moment.
        """
        for _ in range(_LOOKS):
            yield
            before = self._touched()
            changed = self._discover()
            if changed:
                continue
            if (
                before == self._touched()
                and abs(time.time_ns() - before) > _SETTLED_NS
            ):
                return
            time.sleep(_PAUSE)

    def _touched(self) -> int:
        """When a name was last added to or removed from the directory of packs."""
        return os.stat(self._pack_directory).st_mtime_ns  # noqa: PTH116

    def _read_large(
        self, name: RawObjectID, limit: int
    ) -> tuple[int, bytes] | None:
        for pack in self._packs():
            try:
                if not _holds(pack, name):
                    continue
                size = self._sizes.inflated(pack, name)
                if size > limit:
                    raise Oversize(size)
                return pack.get_raw(name)
            except (PackFileDisappeared, FileNotFoundError):
                continue  # `_discover` finds out which is gone
        return None

    def _packs(self) -> list[Pack]:
        """The large packs, those opened last first."""
        return list(reversed(self._large.values()))

    def _discover(self) -> bool:
        """Take in packs that are new here, let go of those that are gone; whether some were."""
        names = os.listdir(self._pack_directory)  # noqa: PTH208  names are enough
        listed = {
            name[: -len(".idx")] for name in names if name.endswith(".idx")
        }
        gone = (self._small.known | self._large.keys()) - listed
        for base in gone:
            self._small.forget(base)
            if (pack := self._large.pop(base, None)) is not None:
                pack.close()
        new = listed - self._small.known - self._large.keys()
        for base in new:
            self._take_in(base)
        return bool(new or gone)

    def _take_in(self, base: str) -> None:
        with suppress(FileNotFoundError):
            if not self._small.add(base):
                path = str(self._pack_directory / base)
                self._large[base] = Pack(path, object_format=self.object_format)
                for oldest in self._packs()[_MOST_OPEN:]:
                    oldest.close()  # its files only: it opens them again when asked

    def _is_there(self, base: str) -> bool:
        return os.path.exists(f"{self._pack_directory}/{base}.idx")  # noqa: PTH110  the hot path

    def _path(self, object_id: str) -> Path:
        return self._directory / object_id[:2] / object_id[2:]

    def _read_loose(self, object_id: str, limit: int) -> tuple[int, bytes]:
        path = self._path(object_id)
        if (size := loose_size(path)) > limit:
            raise Oversize(size)
        try:
            packed = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise KeyError(object_id) from None
        raw = zlib.decompressobj().decompress(packed, limit + _HEADER)
        head, _, data = raw.partition(b"\0")
        kind = object_class(head.split()[0])
        if kind is None:
            raise ValueError(f"no type is called {head[:20]!r}")
        return kind.type_num, data


def _batch(output: bytes, kind: int) -> Iterator[tuple[str, bytes]]:
    """The objects of one type in what git-cat-file prints; see "BATCH OUTPUT" in its manual.

    A line without type and size names an object that git has not.
    """
    wanted, place = object_class(kind), 0
    while (end := output.find(b"\n", place)) >= 0:
        name, *rest = output[place:end].split(b" ")
        place = end + 1
        if len(rest) == 2:  # noqa: PLR2004  type and size
            size = int(rest[1])
            if (
                wanted is not None
                and rest[0] == wanted.type_name
                and size <= len(output) - place
            ):
                yield name.decode(), output[place : place + size]
            place += size + 1


def _holds(pack: Pack, name: RawObjectID) -> bool:
    try:
        pack.index.object_offset(name)
    except (KeyError, PackFileDisappeared):
        return False
    return True
