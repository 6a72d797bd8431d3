"""Objects: reading trees, blobs and commits, and writing new ones durably.

Reads are cached in bounded memory; objects never change, so the caches need no invalidation.
Writes are gathered in a `Batch`, which nobody else sees until `flush` has put all of it on disk.
"""

import os
import threading
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from dulwich.errors import ObjectFormatException
from dulwich.file import FileLocked
from dulwich.lru_cache import LRUCache, LRUSizeCache
from dulwich.object_store import DiskObjectStore
from dulwich.objects import (
    Blob,
    Commit,
    ObjectID,
    RawObjectID,
    ShaFile,
    Tree,
    object_class,
    parse_tree,
    serialize_tree,
)
from dulwich.pack import PackFileDisappeared

from csc_git.errors import StoreDamaged, ValueTooLarge
from csc_git.git.commit import CommitInfo, Signature, read_commit
from csc_git.git.durable import sync_directory
from csc_git.git.size import PackedSizes, loose_size

FILE_MODE: Final = 0o100644
TREE_MODE: Final = 0o040000
MAX_BLOB: Final = 16 << 20
"""Largest blob that is read at all; a larger one is somebody's mistake or an attack."""

_PACK_FROM: Final = 24
"""A batch of this many objects becomes one pack instead of loose files."""


class TreeEntry(NamedTuple):
    """One line of a tree."""

    name: bytes
    mode: int
    id: str

    @property
    def is_tree(self) -> bool:
        """Whether it is a directory, by the one mode that git writes for one."""
        return self.mode == TREE_MODE

    @property
    def is_file(self) -> bool:
        """Whether it is a plain file: not executable, no link, no submodule."""
        return self.mode == FILE_MODE


_HEADER: Final = 64
_TRIES: Final = 10


class Objects:
    """Cached reads from our repository's object store. Safe to share between threads."""

    def __init__(self, store: DiskObjectStore) -> None:
        self._store = store
        self._store.fsync_object_files = True
        self._store.loose_object_size_limit = MAX_BLOB
        self._sizes = PackedSizes()
        self._mutex = threading.RLock()
        self._trees: LRUCache[str, tuple[TreeEntry, ...]] = LRUCache(max_cache=1024)
        self._commits: LRUCache[str, CommitInfo] = LRUCache(max_cache=4096)
        self._blobs: LRUSizeCache[str, bytes] = LRUSizeCache(8 << 20, compute_size=len)

    def tree(self, tree_id: str) -> tuple[TreeEntry, ...]:
        """The lines of a tree, in its order, whatever they are.

        Raises:
            StoreDamaged: missing, unreadable, or over `MAX_BLOB`.
        """
        with self._mutex:
            cached = self._trees.get(tree_id)
            if cached is None:
                cached = self._trees[tree_id] = self.parse(self._raw(tree_id, Tree.type_num))
            return cached

    def blob(self, blob_id: str) -> bytes:
        """The bytes of a blob.

        Raises:
            StoreDamaged: missing or unreadable.
            ValueTooLarge: over `MAX_BLOB`.
        """
        with self._mutex:
            cached = self._blobs.get(blob_id)
            if cached is None:
                cached = self._blobs[blob_id] = self._raw(blob_id, Blob.type_num)
            return cached

    def commit(self, commit_id: str) -> CommitInfo:
        """What a commit says.

        Raises:
            StoreDamaged: missing or unreadable.
        """
        with self._mutex:
            cached = self._commits.get(commit_id)
            if cached is None:
                cached = self._commits[commit_id] = read_commit(
                    commit_id, self._raw(commit_id, Commit.type_num)
                )
            return cached

    def parse(self, raw: bytes) -> tuple[TreeEntry, ...]:
        """The lines of a tree's raw bytes.

        Raises:
            StoreDamaged: not the form of a tree.
        """
        try:
            lines = parse_tree(raw, self._store.object_format.oid_length)
            return tuple(TreeEntry(name, mode, oid.decode()) for name, mode, oid in lines)
        except (ObjectFormatException, ValueError) as error:
            raise StoreDamaged(f"A tree can't be read: {error}") from error

    def make(self, kind: type[ShaFile], raw: bytes) -> ShaFile:
        """An object of raw bytes, in the repository's own object format."""
        return ShaFile.from_raw_string(kind.type_num, raw, object_format=self._store.object_format)

    def id_of(self, obj: ShaFile) -> str:
        """An object's id in the repository's own object format."""
        return obj.get_id(self._store.object_format).decode()

    def has(self, object_id: str) -> bool:
        """Whether an object is there."""
        with self._mutex, suppress(ValueError):  # no id at all, or abbreviated
            return ObjectID(object_id.encode()) in self._store
        return False

    def batch(self) -> "Batch":
        """A new, empty batch of writes."""
        return Batch(self)

    def close(self) -> None:
        """Close the packs."""
        with self._mutex:
            self._sizes.close()
            self._store.close()

    def _raw(self, object_id: str, kind: int) -> bytes:
        self._refuse_huge(object_id, kind)
        try:
            found, data = self._store.get_raw(ObjectID(object_id.encode()))
        except KeyError:
            raise StoreDamaged(f"The object {object_id} is missing") from None
        except ObjectFormatException:  # dulwich reads all of a loose object, not just its bytes
            found, data = self._loose(object_id)
        except OSError:
            raise
        except Exception as error:  # zlib, format and checksum errors have no common base
            raise StoreDamaged(f"The object {object_id} can't be read: {error}") from error
        if found != kind:
            raise StoreDamaged(f"The object {object_id} is of another type than expected")
        return data

    def _refuse_huge(self, object_id: str, kind: int) -> None:
        """Raise where reading an object would inflate more than `MAX_BLOB`."""
        try:
            size = self._size(object_id)
        except ValueError as error:
            raise StoreDamaged(f"The object {object_id} can't be read: {error}") from error
        what = f"The object {object_id} takes {size:,} bytes to read"
        if size > MAX_BLOB and kind == Blob.type_num:
            raise ValueTooLarge(what)
        if size > MAX_BLOB:
            raise StoreDamaged(
                what, then="Somebody pushed it: see who with csc-git log, and use another scope"
            )

    def _size(self, object_id: str) -> int:
        """How much reading an object inflates; 0 for a missing one."""
        name = RawObjectID(bytes.fromhex(object_id))
        for pack in self._store.packs:
            with suppress(KeyError, PackFileDisappeared, FileNotFoundError):
                return self._sizes.inflated(pack, name)
        return loose_size(self._path(object_id))

    def _path(self, object_id: str) -> Path:
        return Path(os.fsdecode(self._store.path), object_id[:2], object_id[2:])

    def _loose(self, object_id: str) -> tuple[int, bytes]:
        """Type and bytes of a loose object whose content has not the form of its type."""
        try:
            packed = self._path(object_id).read_bytes()
            raw = zlib.decompressobj().decompress(packed, MAX_BLOB + _HEADER)
            head, _, data = raw.partition(b"\0")
            return object_class(head.split()[0]).type_num, data  # type: ignore[union-attr]
        except (OSError, zlib.error, IndexError, AttributeError) as error:
            raise StoreDamaged(f"The object {object_id} can't be read: {error}") from error

    def write(self, objects: Sequence[ShaFile]) -> None:
        """Put objects on disk with their names. The caller holds the repository's lock."""
        with self._mutex:
            if len(objects) >= _PACK_FROM:
                self._store.add_objects([(obj, None) for obj in objects])
                sync_directory(self._store.pack_dir)
            else:
                self._write_loose(objects)

    def _write_one(self, obj: ShaFile) -> None:
        for _ in range(_TRIES):
            try:
                self._store.add_object(obj)
            except FileLocked as stale:
                # Only the holder of our lock writes here, so whoever left this file is dead.
                os.unlink(stale.lockfilename)  # noqa: PTH108  the name may be bytes
            except FileNotFoundError:
                # `git gc` removes a directory that it emptied; dulwich makes it again.
                continue
            else:
                return
        self._store.add_object(obj)

    def _write_loose(self, objects: Sequence[ShaFile]) -> None:
        for obj in objects:
            self._write_one(obj)
        root = Path(os.fsdecode(self._store.path))
        for name in {self.id_of(obj)[:2] for obj in objects}:
            sync_directory(root / name)
        sync_directory(root)


class Batch:
    """New objects, readable here at once, on disk only after `flush`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._new: dict[str, ShaFile] = {}

    def tree(self, tree_id: str) -> tuple[TreeEntry, ...]:
        """As `Objects.tree`, new trees included."""
        staged = self._new.get(tree_id)
        if staged is None:
            return self._objects.tree(tree_id)
        return self._objects.parse(staged.as_raw_string())

    def blob(self, blob_id: str) -> bytes:
        """As `Objects.blob`, new blobs included."""
        staged = self._new.get(blob_id)
        return self._objects.blob(blob_id) if staged is None else staged.as_raw_string()

    def commit(self, commit_id: str) -> CommitInfo:
        """As `Objects.commit`, new commits included."""
        staged = self._new.get(commit_id)
        if staged is None:
            return self._objects.commit(commit_id)
        return read_commit(commit_id, staged.as_raw_string())

    def add_blob(self, data: bytes) -> str:
        """Stage a blob; its id."""
        return self._add(Blob, data)

    def add_tree(self, entries: Sequence[TreeEntry]) -> str:
        """Stage a tree of lines that are already in git's order; its id."""
        lines = ((name, mode, ObjectID(oid.encode())) for name, mode, oid in entries)
        return self._add(Tree, b"".join(serialize_tree(lines)))

    def add_commit(
        self, tree: str, parent: str | None, author: Signature, committer: Signature, message: str
    ) -> str:
        """Stage a commit; its id."""
        commit = Commit()
        commit.tree = ObjectID(tree.encode())
        commit.parents = [ObjectID(parent.encode())] if parent else []
        commit.author, commit.committer = author.encode(), committer.encode()
        commit.author_time = int(author.time.timestamp())
        commit.commit_time = int(committer.time.timestamp())
        commit.author_timezone = commit.commit_timezone = 0
        commit.message = message.encode(errors="replace")
        return self._add(Commit, commit.as_raw_string())

    def flush(self) -> None:
        """Make everything staged durable. The caller holds the repository's lock."""
        self._objects.write(list(self._new.values()))
        self._new.clear()

    def _add(self, kind: type[ShaFile], raw: bytes) -> str:
        obj = self._objects.make(kind, raw)
        object_id = self._objects.id_of(obj)
        self._new[object_id] = obj
        return object_id
