"""Objects: read trees, blobs and commits, and cache them.

The caches have a bounded size. Objects never change, so a cached object is never out of date.
"""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from dulwich.lru_cache import LRUCache, LRUSizeCache
from dulwich.object_format import ObjectFormat

from csc_git.core.commit import CommitInfo
from csc_git.core.value import MAX_FILE
from csc_git.errors import (
    CscError,
    ObjectTooLarge,
    StoreDamaged,
    ValueTooLarge,
    WrongType,
)
from csc_git.git.objects.commit import read_commit
from csc_git.git.objects.database import ListedLine
from csc_git.git.objects.packing import BLOB, COMMIT, TREE, NewObject
from csc_git.git.objects.tree import Tree

_FEW: Final = 64
"""Up to this many blobs are read one by one. To read more blobs, it is faster to start a git
process."""

_MOST_TREES: Final = 1024
_MOST_COMMITS: Final = 16384
_MOST_BLOB_BYTES: Final = 8 << 20
"""The cache has at most `_MOST_TREES` trees and `_MOST_COMMITS` commits. The cached blobs have at
most `_MOST_BLOB_BYTES` bytes."""


class Database(Protocol):
    """The interface of an object database; see `git.objects.database.ObjectDatabase`."""

    object_format: ObjectFormat

    def read(
        self,
        object_id: str,
        limit: int,
    ) -> tuple[int, bytes]:
        """Read the type and bytes of an object.

        Args:
            object_id: Full id of the object.
            limit: To read the object, at most this many bytes may be inflated.
        """

    def has(self, object_id: str) -> bool:
        """Check whether the database has an object."""

    def read_many(
        self,
        object_ids: Collection[str],
        kind: int,
    ) -> dict[str, bytes]:
        """Read several objects of one type; objects that can't be read are left out.

        Args:
            object_ids: Full ids of the objects.
            kind: Git's number for the type of the objects.
        """

    def list_below(self, tree_id: str) -> Iterator[ListedLine]:
        """List everything below a tree, or raise TreeNotListed."""

    def write(
        self,
        objects: Sequence[NewObject],
        name: str,
    ) -> str:
        """Write objects to disk durably.

        Args:
            objects: At least one object. No object may appear twice.
            name: The name for the pack, without `pack-` and file extension.

        Returns:
            The name of the pack without file extension, for `allow_repack`.
        """

    def allow_repack(self, base: str) -> None:
        """Allow git to repack a pack that `write` has written."""


class Objects:
    """Cached reads from our repository's object database. Safe to share between threads.

    Args:
        database: The object database from which objects are read.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.object_format = database.object_format
        self._mutex = threading.RLock()
        self._trees: LRUCache[str, Tree] = LRUCache(max_cache=_MOST_TREES)
        self._commits: LRUCache[str, CommitInfo] = LRUCache(
            max_cache=_MOST_COMMITS,
        )
        self._blobs: LRUSizeCache[str, bytes] = LRUSizeCache(
            _MOST_BLOB_BYTES,
            compute_size=len,
        )
        self.shared: dict[str, Any] = {}
        """A cache of data that other layers derive from objects. Each layer uses its own key."""

    def tree(self, tree_id: str) -> Tree:
        """Read the lines of a tree.

        Raises:
            StoreDamaged: the tree is missing, unreadable, or larger than `MAX_FILE`.
        """
        with self._mutex:
            cached = self._trees.get(tree_id)
            if cached is None:
                raw = self._raw(tree_id, TREE)
                cached = self._parsed(tree_id, raw)
                self._trees[tree_id] = cached
            return cached

    def blob(self, blob_id: str) -> bytes:
        """Read the bytes of a blob.

        Raises:
            StoreDamaged: the blob is missing or unreadable.
            ValueTooLarge: the blob is larger than `MAX_FILE`.
        """
        with self._mutex:
            cached = self._blobs.get(blob_id)
            if cached is None:
                cached = self._raw(blob_id, BLOB)
                self._blobs[blob_id] = cached
            return cached

    def commit(self, commit_id: str) -> CommitInfo:
        """Read the content of a commit.

        Raises:
            StoreDamaged: the commit is missing or unreadable.
        """
        with self._mutex:
            cached = self._commits.get(commit_id)
            if cached is None:
                raw = self._raw(commit_id, COMMIT)
                cached = read_commit(commit_id, raw)
                self._commits[commit_id] = cached
            return cached

    def has(self, object_id: str) -> bool:
        """Check whether the repository has an object; False if the text is not a full id."""
        with self._mutex, suppress(ValueError):
            return self._database.has(object_id)
        return False

    @property
    def stored(self) -> "Objects":
        """This object itself, since it reads only from the disk; see `Batch.stored`."""
        return self

    def is_stored(self, object_id: str) -> bool:  # noqa: ARG002  `Batch` uses it
        """Return True, since every object that was read here is on disk; see `Batch.is_stored`."""
        return True

    def read_ahead(self, blob_ids: Collection[str]) -> None:
        """Read and cache many blobs at once, which is ten times as fast as reading them one by one.

        Damaged blobs, very large blobs, and objects of other types are not read. The method `blob`
        raises the errors for these objects.
        """
        if len(blob_ids) <= _FEW:
            return
        blobs = self._database.read_many(blob_ids, BLOB)
        self.remember({}, {}, blobs)

    def list_below(self, tree_id: str) -> Iterator[ListedLine]:
        """List everything below a tree, fast. A directory comes before its content.

        Raises:
            TreeNotListed: git can't list everything in one call; trees must be read one by one.
        """
        return self._database.list_below(tree_id)

    def write(
        self,
        objects: Sequence[NewObject],
        name: str,
    ) -> str:
        """Write objects to disk durably, in one pack.

        Args:
            objects: At least one object. No object may appear twice.
            name: The name for the pack, without `pack-` and file extension.

        Returns:
            The name of the pack without file extension, for `allow_repack`.
        """
        return self._database.write(objects, name)

    def allow_repack(self, base: str) -> None:
        """Allow git to repack a pack that `write` has written before."""
        self._database.allow_repack(base)

    def remember(
        self,
        trees: Mapping[str, Tree],
        commits: Mapping[str, CommitInfo],
        blobs: Mapping[str, bytes],
    ) -> None:
        """Cache objects that have just been written to disk, so that they need not be read.

        Args:
            trees: The trees, by id.
            commits: The commits, by id.
            blobs: The bytes of the blobs, by id.
        """
        with self._mutex:
            for tree_id, tree in trees.items():
                self._trees[tree_id] = tree
            for commit_id, commit in commits.items():
                self._commits[commit_id] = commit
            for blob_id, raw in blobs.items():
                self._blobs[blob_id] = raw

    def _raw(
        self,
        object_id: str,
        kind: int,
    ) -> bytes:
        """Read the bytes of an object, and check the object's type."""
        try:
            found, data = self._database.read(object_id, MAX_FILE)
        except KeyError:
            raise StoreDamaged(f"The object {object_id} is missing") from None
        except ObjectTooLarge as huge:
            what = (
                f"The object {object_id} is too large: "
                f"it takes {huge.size:,} bytes to read"
            )
            raise _refusal(what, kind) from huge
        except OSError:
            raise
        # Errors of zlib, of the format and of checksums have no common base.
        except Exception as error:
            # The frames of the traceback would keep the pack's file mapped.
            error.__traceback__ = None
            what = f"The object {object_id} can't be read: {error}"
            raise StoreDamaged(what) from error
        if found != kind:
            what = f"The object {object_id} has another type than expected"
            raise WrongType(what)
        return data

    def _parsed(
        self,
        tree_id: str,
        raw: bytes,
    ) -> Tree:
        try:
            return Tree.parse(raw, self.object_format.oid_length)
        except ValueError as error:
            what = f"The tree {tree_id} can't be read: {error}"
            raise StoreDamaged(what) from error


def _refusal(
    what: str,
    kind: int,
) -> CscError:
    """Make the error for an object that is too large to be read."""
    if kind == BLOB:
        return ValueTooLarge(what)
    return StoreDamaged(
        what,
        then=(
            "Somebody pushed this object. Find out who it was with csc-git log, "
            "and use another scope"
        ),
    )
