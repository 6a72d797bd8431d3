"""The object database: the files that contain the packs and loose objects of a repository.

csc-git writes packs only. But csc-git also reads loose objects, which other programs or an older
csc-git may have written. Packs can appear and disappear at any time, since other processes of the
clone write and repack. If no known pack contains an object, the directory is listed again, and the
object is searched for in the packs that exist then.

A new pack has a file `pack-*.keep` (see gitrepository-layout) until a ref points to its objects.
git also makes such a file for each pack that it receives. Without this file, two git processes that
repack at the same time could lose the pack's objects. One process would unpack the objects as loose
objects, since no ref points to them. The other process would delete the loose objects, since it had
found the same objects in the pack.
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
"""If the directory of packs keeps changing, it is listed at most this many times."""

_PAUSE: Final = 0.005
"""Seconds to wait between two listings of the directory of packs."""

_SETTLED_NS: Final = 50_000_000
"""A listing counts as complete if the directory was unchanged for more nanoseconds than this."""

_MOST_OPEN: Final = 64
"""The files of at most this many large packs are kept open."""

_HEADER: Final = 64
_MOST_AT_ONCE: Final = 128 << 20
"""One call of git may print at most this many bytes. In a typical store, a hundred thousand objects
together have a tenth of this size."""

_KEEP: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC


ListedLine = tuple[bytes, str, bytes]
"""One line that `git ls-tree` prints: mode, object id and path."""

_DESCRIBED: Final = re.compile(rb"([0-9a-f]+) ([a-z]+) ([0-9]+)")
"""Matches the line that `git cat-file --batch` prints before the content of an object."""

_LISTED: Final = re.compile(rb"([0-7]{6}) [a-z]+ ([0-9a-f]+)\t([^\0]*)\0")


class ObjectDatabase:
    """The `objects` directory of a repository. Not safe to share between threads.

    Args:
        directory: Path of the `objects` directory.
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
            object_id: Full id of the object.
            limit: The object may have at most this many bytes. If the object is stored as a delta,
                this limit also applies to each object on which the delta is based.

        Raises:
            KeyError: the object is missing.
            ObjectTooLarge: the object has more bytes than the limit.
            OSError: the disk refused to read.
            Exception: the object is damaged. Errors of zlib, of the format and of checksums have no
                common base class.
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
        """Check whether the repository has an object, by the object's full id."""
        name = RawObjectID(bytes.fromhex(object_id))
        # The object is read, since a pack that lists it may have been deleted.
        if self._small.read(name) is not None:
            return True
        self._discover()  # forgets packs that were deleted
        for _ in self._looks():
            if self._is_packed(name):
                return True
        return self._path(object_id).exists()

    def read_many(
        self,
        object_ids: Collection[str],
        kind: int,
    ) -> dict[str, bytes]:
        """Read the bytes of several objects of one type by one call of git.

        Args:
            object_ids: Full ids of the objects.
            kind: Git's number for the type of the objects.

        Returns:
            The bytes by id, for each object that git can read. Empty if git fails, or if the
            objects have too many bytes for one call.
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
        """List everything below a tree by one call of git. A directory comes before its content.

        Raises:
            TreeNotListed: git fails, or the list has too many bytes for one call.
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
        """Write objects to disk durably in one pack. git keeps it until `allow_repack` is called.

        Args:
            objects: At least one object. No object may appear twice.
            name: The name for the pack, without `pack-` and file extension. If this name is the id
                of an object in the pack, other processes find this object at once. If another pack
                has this name already, the new pack is named after its checksum.

        Returns:
            The name of the pack without file extension, for `allow_repack`.
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
        """Allow git to repack a pack.

        The call is safe if a ref points to the pack's objects, or if no ref will ever point to
        them.

        Args:
            base: Name of the pack without file extension.
        """
        with suppress(
            OSError
        ):  # if this fails, maintenance removes the file later
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
        """Run git and return its output; None if git fails, prints too much, or is missing."""
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
        """Add the pack that is named after an object's id, if there is one. No pack is listed."""
        if self._small.has(name):
            return
        base = f"pack-{object_id}"
        if self._has_index(base):
            with suppress(OSError):
                self._small.add(base)

    def _looks(self) -> Iterator[None]:
        """Yield once for the known packs, and then again whenever there may be new packs.

        While a new pack replaces old packs, a listing of the directory can miss the old and the new
        ones. So a listing without new packs is regarded as complete only if the directory has been
        unchanged for longer than `_SETTLED_NS`.
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
        """Return the last time at which the names in the directory of packs changed.

        The time is in nanoseconds since the epoch, by the clock of the file system.
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
        """Read an object from the large packs; None if no large pack contains the object."""
        for pack in self._packs():
            try:
                if not _lists(pack, name):
                    continue
                size = self._sizes.inflated(pack, name)
                if size > limit:
                    raise ObjectTooLarge(size)
                return pack.get_raw(name)
            except (PackFileDisappeared, FileNotFoundError):
                continue  # `_discover` finds out that this pack was deleted
        return None

    def _packs(self) -> list[Pack]:
        """Return the large packs, beginning with the pack that was opened last."""
        packs = self._large.values()
        return list(reversed(packs))

    def _discover(self) -> bool:
        """List the directory to update the known packs; return whether the known packs changed."""
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
        """Add a pack to the known packs, unless the pack was deleted.

        The name of the pack is given without file extension.
        """
        with suppress(FileNotFoundError):
            if self._small.add(base):
                return
            path = self._pack_directory / base
            self._large[base] = Pack(
                str(path),
                object_format=self.object_format,
            )
            for oldest in self._packs()[_MOST_OPEN:]:
                oldest.close()  # closes the files; the pack opens them again when it is read

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
        """Return the path at which a loose object with this id is stored."""
        directory = self._directory / object_id[:2]
        return directory / object_id[2:]

    def _read_loose(
        self,
        object_id: str,
        limit: int,
    ) -> tuple[int, bytes]:
        """Read a loose object; raises KeyError if there is no such object."""
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
            raise ValueError(f"there is no type {head[:20]!r}")
        return kind.type_num, data


def _batch(
    output: bytes,
    kind: int,
) -> Iterator[tuple[str, bytes]]:
    """Yield the objects of one type in the output of git-cat-file.

    The section "BATCH OUTPUT" of git-cat-file's manual describes this output. A line without type
    and size means that git does not have the object.
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
