"""Objects: reading trees, blobs and commits, each at most once.

What was read is cached in bounded memory; objects never change, so the caches need no invalidation.
"""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from dulwich.lru_cache import LRUCache, LRUSizeCache
from dulwich.object_format import ObjectFormat

from csc_git.errors import CscError, StoreDamaged, ValueTooLarge, WrongType
from csc_git.git.objects.commit import CommitInfo, read_commit
from csc_git.git.objects.database import ListedLine, Oversize
from csc_git.git.objects.packing import BLOB, COMMIT, TREE, NewObject
from csc_git.git.objects.tree import Tree

MAX_BLOB: Final = 16 << 20
"""Largest blob that is read at all; a larger one is somebody's mistake or an attack."""


_FEW: Final = 64
"""Blobs that are read sooner one by one than a process is started."""


class Database(Protocol):
    """Where objects are: see `git.objects.reader.database.ObjectDatabase`."""

    object_format: ObjectFormat

    def read(self, object_id: str, limit: int) -> tuple[int, bytes]:
        """Type and bytes of an object."""

    def has(self, object_id: str) -> bool:
        """Whether an object is there."""

    def read_many(
        self, object_ids: Collection[str], kind: int
    ) -> dict[str, bytes]:
        """The bytes of objects of one type, of those that can be read so."""

    def list_below(self, tree_id: str) -> Iterator[ListedLine]:
        """What stands below a tree; raises Unlisted."""

    def write(self, objects: Sequence[NewObject], name: str) -> str:
        """Put objects on disk, durably; what `let_go` takes."""

    def let_go(self, base: str) -> None:
        """Allow what was written to be repacked."""


class Objects:
    """Cached reads from our repository's object database. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.object_format = database.object_format
        self._mutex = threading.RLock()
        self._trees: LRUCache[str, Tree] = LRUCache(max_cache=1024)
        self._commits: LRUCache[str, CommitInfo] = LRUCache(max_cache=16384)
        self.shared: dict[str, Any] = {}
        """What other layers derive from objects, which never change; each under its own name."""
        self._blobs: LRUSizeCache[str, bytes] = LRUSizeCache(
            8 << 20, compute_size=len
        )

    def tree(self, tree_id: str) -> Tree:
        """The lines of a tree.

        Raises:
            StoreDamaged: it is missing, unreadable, or over `MAX_BLOB`.
        """
        with self._mutex:
            cached = self._trees.get(tree_id)
            if cached is None:
                cached = self._trees[tree_id] = self._parsed(
                    tree_id, self._raw(tree_id, TREE)
                )
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
                cached = self._blobs[blob_id] = self._raw(blob_id, BLOB)
            return cached

    def commit(self, commit_id: str) -> CommitInfo:
        """The content of a commit.

        Raises:
            StoreDamaged: missing or unreadable.
        """
        with self._mutex:
            cached = self._commits.get(commit_id)
            if cached is None:
                raw = self._raw(commit_id, COMMIT)
                cached = self._commits[commit_id] = read_commit(commit_id, raw)
            return cached

    def has(self, object_id: str) -> bool:
        """Whether an object is there."""
        with self._mutex, suppress(ValueError):  # no id at all, or abbreviated
            return self._database.has(object_id)
        return False

    @property
    def stored(self) -> "Objects":
        """These: what is staged on top of them is a batch's."""
        return self

    def is_stored(self, object_id: str) -> bool:  # noqa: ARG002  a batch has others
        """Whether an object that was read here is on disk: it is."""
        return True

    def read_ahead(self, blob_ids: Collection[str]) -> None:
        """Read many blobs that are asked for next, which is ten times as fast as one by one.

        Those that are damaged, very large or no blobs are left to `blob`.
        """
        if len(blob_ids) > _FEW:
            self.remember({}, {}, self._database.read_many(blob_ids, BLOB))

    def list_below(self, tree_id: str) -> Iterator[ListedLine]:
        """What stands below a tree, each directory before what is in it: fast where it is much.

        Raises:
            Unlisted: it can't be listed so; it can be read tree by tree.
        """
        return self._database.list_below(tree_id)

    def write(self, objects: Sequence[NewObject], name: str) -> str:
        """Put objects on disk, in a pack called `name`; what `let_go` takes."""
        return self._database.write(objects, name)

    def let_go(self, base: str) -> None:
        """Allow a pack to be repacked."""
        self._database.let_go(base)

    def remember(
        self,
        trees: Mapping[str, Tree],
        commits: Mapping[str, CommitInfo],
        blobs: Mapping[str, bytes],
    ) -> None:
        """Cache objects that are on disk now, so that they need not be read."""
        with self._mutex:
            for tree_id, lines in trees.items():
                self._trees[tree_id] = lines
            for commit_id, commit in commits.items():
                self._commits[commit_id] = commit
            for blob_id, raw in blobs.items():
                self._blobs[blob_id] = raw

    def _raw(self, object_id: str, kind: int) -> bytes:
        try:
            found, data = self._database.read(object_id, MAX_BLOB)
        except KeyError:
            raise StoreDamaged(f"The object {object_id} is missing") from None
        except Oversize as huge:
            raise _refusal(
                f"The object {object_id} takes {huge} to read", kind
            ) from huge
        except OSError:
            raise
        except (
            Exception
        ) as error:  # zlib, format and checksum errors have no common base
            error.__traceback__ = (
                None  # its frames would keep the pack's file mapped
            )
            raise StoreDamaged(
                f"The object {object_id} can't be read: {error}"
            ) from error
        if found != kind:
            raise WrongType(
                f"The object {object_id} is of another type than expected"
            )
        return data

    def _parsed(self, tree_id: str, raw: bytes) -> Tree:
        try:
            return Tree.parse(raw, self.object_format.oid_length)
        except ValueError as error:
            raise StoreDamaged(
                f"The tree {tree_id} can't be read: {error}"
            ) from error


def _refusal(what: str, kind: int) -> CscError:
    """Of an object that is too large to be read."""
    if kind == BLOB:
        return ValueTooLarge(what)
    return StoreDamaged(
        what,
        then="Somebody pushed it: see who with csc-git log, and use another scope",
    )
