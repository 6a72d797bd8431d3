"""The object database: the packs and loose objects of a repository, as files.

We write packs only. Loose objects come from others, or from an older csc-git; they are read. Packs
appear and vanish at any time, since other processes of the clone write and repack. An object that
is in no known pack is searched for again in those that are there by then.

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

from csc_git.errors import GitMissing, ObjectTooLarge, TreeNotListed
from csc_git.files.durable import write_files
from csc_git.git.objects.packing import NewObject, pack_up
from csc_git.git.objects.sizes import PackedSizes, loose_size
from csc_git.git.objects.small_packs import SmallPacks
from csc_git.processes.git import run_git

_LOOKS: Final = 40
"""Most listings of the packs while they change."""

_PAUSE: Final = 0.005
"""Seconds between two listings."""

_SETTLED_NS: Final = 50_000_000
"""Nanoseconds that a directory has not changed when its listing is complete."""

_MOST_OPEN: Final = 64
"""Large packs whose files are kept open."""

_HEADER: Final = 64
_MOST_AT_ONCE: Final = 128 << 20
"""Bytes of all the objects of one call of git; a hundred thousand of ours are a tenth of that."""

_KEEP: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC


ListedLine = tuple[bytes, str, bytes]
"""Mode, object and path of a line of a tree."""

_DESCRIBED: Final = re.compile(rb"([0-9a-f]+) ([a-z]+) ([0-9]+)")
"""The line before an object in what `git cat-file --batch` prints."""

_LISTED: Final = re.compile(rb"([0-7]{6}) [a-z]+ ([0-9a-f]+)\t([^\0]*)\0")


class ObjectDatabase:
    """The `objects` directory of a repository. Not safe to share between threads.

    Args:
        directory: Its path.
        object_format: The object format of the repository.
    """

    def __init__(
        self,
        directory: Path,
        object_format: ObjectFormat,
    ) -> None:
        self.object_format = object_format
        self._directory = directory
        self._pack_directory = directory / "pack"
        self._small = SmallPacks(self._pack_directory, object_format)
        self._large: dict[str, Pack] = {}
        self._sizes = PackedSizes()

    def read(
        self,
        object_id: str,
        limit: int,
    ) -> tuple[int, bytes]:
        """Read the type and bytes of an object.

        Args:
            object_id: Its full id.
            limit: Most bytes that it, and each object it is a delta of, may have.

        Raises:
            KeyError: it is missing.
            ObjectTooLarge: it has more.
            OSError: the disk refused.
            Exception: it can't be read; errors of zlib, form and checksum have no common base.
        """
        name = RawObjectID(bytes.fromhex(object_id))
        if len(name) != self.object_format.oid_length:
            raise KeyError(object_id)
        self._add_pack_of(object_id, name)
        for _ in self._looks():
            small = self._small.read(name)
            if small is not None:
                return small.kind, small.raw
            large = self._read_large(name, limit)
            if large is not None:
                return large
        return self._read_loose(object_id, limit)

    def has(self, object_id: str) -> bool:
        """Check whether an object is there, by its full id."""
        name = RawObjectID(bytes.fromhex(object_id))
        # It is read, since a pack that lists it may be gone.
        if self._small.read(name) is not None:
            return True
        self._discover()  # forgets packs that are gone
        for _ in self._looks():
            if self._is_packed(name):
                return True
        return self._path(object_id).exists()

    def read_many(
        self,
        object_ids: Collection[str],
        kind: int,
    ) -> dict[str, bytes]:
        """Read the bytes of objects of one type by one call of git.

        Args:
            object_ids: Their full ids.
            kind: Git's number of their type.

        Returns:
            Those that git can read; empty if git fails, or if they are too many bytes for one call.
        """
        with tempfile.TemporaryFile() as names:
            for object_id in object_ids:
                names.write(f"{object_id}\n".encode())
            names.seek(0)
            printed = self._git(
                "cat-file",
                "--batch",
                "--buffer",
                stdin=names.fileno(),
            )
        if printed is None:
            return {}
        objects = _batch(printed, kind)
        return dict(objects)

    def list_below(self, tree_id: str) -> Iterator[ListedLine]:
        """List what is below a tree, each directory before what is in it, by one call of git.

        Raises:
            TreeNotListed: git fails, or the list is too many bytes for one call.
        """
        printed = self._git(
            "ls-tree",
            "-r",
            "-t",
            "-z",
            tree_id,
        )
        if printed is None:
            raise TreeNotListed
        for line in _LISTED.finditer(printed):
            mode, object_id, path = line.groups()
            yield mode, object_id.decode(), path

    def write(
        self,
        objects: Sequence[NewObject],
        name: str,
    ) -> str:
        """Put objects on disk, durably, as one pack that is kept until it is let go.

        Args:
            objects: At least one, each once.
            name: What to call the pack, without `pack-` and ending, so that other processes find
                its objects at once. If there is a pack of that name already, the new one is called
                after its content.

        Returns:
            The name of the pack, for `allow_repack`.
        """
        packed = pack_up(objects, self.object_format)
        base = f"pack-{name}"
        if self._has_index(base):
            base = f"pack-{packed.checksum}"
        files = {
            f"{base}.pack": packed.data,
            f"{base}.idx": packed.listing,
        }
        keep = os.open(
            self._keep_file(base),
            _KEEP,
            0o444,
        )
        os.close(keep)
        try:
            write_files(self._pack_directory, files)
        except BaseException:
            self.allow_repack(base)
            raise
        return base

    def allow_repack(self, base: str) -> None:
        """Allow git to repack a pack, by its name: a ref names what is in it, or never will."""
        with suppress(OSError):  # maintenance removes the file if it stays
            os.unlink(self._keep_file(base))  # noqa: PTH108  the hot path

    def close(self) -> None:
        """Close all files."""
        self._sizes.close()
        while self._large:
            _, pack = self._large.popitem()
            pack.close()

    def _git(
        self,
        *command: str,
        stdin: int | None = None,
    ) -> bytes | None:
        """Return what git prints; None if it fails, prints too much, or is missing."""
        try:
            done = run_git(
                ["--no-replace-objects", *command],
                cwd=self._directory,
                git_dir=self._directory.parent,
                stdin=stdin,
                most=_MOST_AT_ONCE,
            )
        except GitMissing:
            return None
        if not done.ok:
            return None
        return done.out

    def _add_pack_of(
        self,
        object_id: str,
        name: bytes,
    ) -> None:
        """Add the pack that is called after an object, if it is there, without listing all."""
        if self._small.has(name):
            return
        base = f"pack-{object_id}"
        if self._has_index(base):
            with suppress(OSError):
                self._small.add(base)

    def _looks(self) -> Iterator[None]:
        """Yield once for the packs that are known, then whenever there may be others.

        A listing is no snapshot: while a pack takes the place of others, it can miss both. So a
        listing with nothing new counts only if the directory has not changed for a moment.
        """
        for _ in range(_LOOKS):
            yield
            before = self._changed_at()
            if self._discover():
                continue
            unchanged = before == self._changed_at()
            age = abs(time.time_ns() - before)
            if unchanged and age > _SETTLED_NS:
                return
            time.sleep(_PAUSE)

    def _changed_at(self) -> int:
        """Return when a name was last added to or removed from the directory of packs.

        In nanoseconds since the epoch, by the clock of the file system.
        """
        return os.stat(self._pack_directory).st_mtime_ns  # noqa: PTH116

    def _is_packed(self, name: RawObjectID) -> bool:
        """Check whether one of the known packs lists an object."""
        if self._small.has(name):
            return True
        packs = self._packs()
        return any(_lists(pack, name) for pack in packs)

    def _read_large(
        self,
        name: RawObjectID,
        limit: int,
    ) -> tuple[int, bytes] | None:
        """Read an object from a large pack; None if it is in none of them."""
        for pack in self._packs():
            try:
                if not _lists(pack, name):
                    continue
                size = self._sizes.inflated(pack, name)
                if size > limit:
                    raise ObjectTooLarge(size)
                return pack.get_raw(name)
            except (PackFileDisappeared, FileNotFoundError):
                continue  # `_discover` finds out which is gone
        return None

    def _packs(self) -> list[Pack]:
        """The large packs, those opened last first."""
        packs = self._large.values()
        return list(reversed(packs))

    def _discover(self) -> bool:
        """Add packs that are new and forget those that are gone; return whether there were any."""
        listed = set[str]()
        for file in os.listdir(self._pack_directory):  # noqa: PTH208  names are enough
            if file.endswith(".idx"):
                listed.add(file.removesuffix(".idx"))
        known = self._small.known | self._large.keys()
        gone = known - listed
        for base in gone:
            self._forget(base)
        new = listed - known
        for base in new:
            self._add(base)
        return bool(new or gone)

    def _add(self, base: str) -> None:
        """Add a pack by its name without ending, unless it is gone already."""
        with suppress(FileNotFoundError):
            if self._small.add(base):
                return
            path = self._pack_directory / base
            self._large[base] = Pack(
                str(path),
                object_format=self.object_format,
            )
            for oldest in self._packs()[_MOST_OPEN:]:
                oldest.close()  # its files only: it opens them again when asked

    def _forget(self, base: str) -> None:
        self._small.forget(base)
        pack = self._large.pop(base, None)
        if pack is not None:
            pack.close()

    def _has_index(self, base: str) -> bool:
        path = f"{self._pack_directory}/{base}.idx"
        return os.path.exists(path)  # noqa: PTH110  the hot path

    def _keep_file(self, base: str) -> str:
        return f"{self._pack_directory}/{base}.keep"

    def _path(self, object_id: str) -> Path:
        """Return where an object is if it is loose."""
        directory = self._directory / object_id[:2]
        return directory / object_id[2:]

    def _read_loose(
        self,
        object_id: str,
        limit: int,
    ) -> tuple[int, bytes]:
        """Read an object that is in no pack."""
        path = self._path(object_id)
        size = loose_size(path)
        if size > limit:
            raise ObjectTooLarge(size)
        try:
            deflated = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise KeyError(object_id) from None
        inflater = zlib.decompressobj()
        raw = inflater.decompress(deflated, limit + _HEADER)
        head, _, data = raw.partition(b"\0")
        type_name = head.split()[0]
        kind = object_class(type_name)
        if kind is None:
            raise ValueError(f"no type is called {head[:20]!r}")
        return kind.type_num, data


def _batch(
    output: bytes,
    kind: int,
) -> Iterator[tuple[str, bytes]]:
    """Yield the objects of one type in what git-cat-file prints; see "BATCH OUTPUT" in its manual.

    A line without type and size names an object that git does not have.
    """
    wanted = object_class(kind)
    if wanted is None:
        return
    place = 0
    while (end := output.find(b"\n", place)) >= 0:
        head = output[place:end]
        place = end + 1
        described = _DESCRIBED.fullmatch(head)
        if described is None:
            continue
        name, type_name, digits = described.groups()
        end = place + int(digits)
        is_whole = end <= len(output)
        if type_name == wanted.type_name and is_whole:
            raw = output[place:end]
            yield name.decode(), raw
        place = end + 1


def _lists(
    pack: Pack,
    name: RawObjectID,
) -> bool:
    """Check whether a pack's index lists an object."""
    try:
        pack.index.object_offset(name)
    except (KeyError, PackFileDisappeared):
        return False
    return True
