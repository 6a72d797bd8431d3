"""Objects: reading trees, blobs and commits, each at most once.

What was read is cached in bounded memory. Objects never change, so no cache is ever invalid.
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
"""Most blobs that are read faster one by one than by starting a process."""

_MOST_TREES: Final = 1024
_MOST_COMMITS: Final = 16384
_MOST_BLOB_BYTES: Final = 8 << 20
"""Sizes of the caches."""


class Database(Protocol):
    """Where objects are: see `git.objects.database.ObjectDatabase`."""

    object_format: ObjectFormat

    def read(
        self,
        object_id: str,
        limit: int,
    ) -> tuple[int, bytes]:
        """Read the type and bytes of an object.

        Args:
            object_id: Its full id.
            limit: Most bytes to inflate for it.
        """

    def has(self, object_id: str) -> bool:
        """Check whether an object is there."""

    def read_many(
        self,
        object_ids: Collection[str],
        kind: int,
    ) -> dict[str, bytes]:
        """Read objects of one type at once; those that can't be read so are left out.

        Args:
            object_ids: Their full ids.
            kind: Git's number of their type.
        """

    def list_below(self, tree_id: str) -> Iterator[ListedLine]:
        """List what is below a tree, or raise TreeNotListed."""

    def write(
        self,
        objects: Sequence[NewObject],
        name: str,
    ) -> str:
        """Put objects on disk, durably.

        Args:
            objects: At least one, each once.
            name: What to call the pack, without `pack-` and ending.

        Returns:
            The name of the pack, for `allow_repack`.
        """

    def allow_repack(self, base: str) -> None:
        """Allow git to repack what was written."""


class Objects:
    """Cached reads from our repository's object database. Safe to share between threads.

    Args:
        database: Where the objects are.
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
        """What other layers derive from objects, which never change; each under its own name."""

    def tree(self, tree_id: str) -> Tree:
        """Read the lines of a tree.

        Raises:
            StoreDamaged: it is missing, unreadable, or over `MAX_FILE`.
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
            StoreDamaged: it is missing or unreadable.
            ValueTooLarge: it is over `MAX_FILE`.
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
            StoreDamaged: it is missing or unreadable.
        """
        with self._mutex:
            cached = self._commits.get(commit_id)
            if cached is None:
                raw = self._raw(commit_id, COMMIT)
                cached = read_commit(commit_id, raw)
                self._commits[commit_id] = cached
            return cached

    def has(self, object_id: str) -> bool:
        """Check whether an object is there; False for what is not a full id."""
        with self._mutex, suppress(ValueError):
            return self._database.has(object_id)
        return False

    @property
    def stored(self) -> "Objects":
        """The objects that are on disk: these. A batch has others on top of them."""
        return self

    def is_stored(self, object_id: str) -> bool:  # noqa: ARG002  a batch has others
        """Check whether an object that was read here is on disk: it is."""
        return True

    def read_ahead(self, blob_ids: Collection[str]) -> None:
        """Read many blobs that are needed next, which is ten times as fast as one by one.

        Blobs that are damaged or very large, and objects of other types, are left to `blob`.
        """
        if len(blob_ids) <= _FEW:
            return
        blobs = self._database.read_many(blob_ids, BLOB)
        self.remember({}, {}, blobs)

    def list_below(self, tree_id: str) -> Iterator[ListedLine]:
        """List what is below a tree, each directory before what is in it. Fast for large trees.

        Raises:
            TreeNotListed: it can't be listed so; it can be read tree by tree.
        """
        return self._database.list_below(tree_id)

    def write(
        self,
        objects: Sequence[NewObject],
        name: str,
    ) -> str:
        """Put objects on disk, durably, in one pack.

        Args:
            objects: At least one, each once.
            name: What to call the pack, without `pack-` and ending.

        Returns:
            The name of the pack, for `allow_repack`.
        """
        return self._database.write(objects, name)

    def allow_repack(self, base: str) -> None:
        """Allow git to repack a pack that was written."""
        self._database.allow_repack(base)

    def remember(
        self,
        trees: Mapping[str, Tree],
        commits: Mapping[str, CommitInfo],
        blobs: Mapping[str, bytes],
    ) -> None:
        """Cache objects that are on disk now, so that they need not be read.

        Args:
            trees: Trees by id.
            commits: Commits by id.
            blobs: Bytes of blobs by id.
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
        """Read an object's bytes, and check its type."""
        try:
            found, data = self._database.read(object_id, MAX_FILE)
        except KeyError:
            raise StoreDamaged(f"The object {object_id} is missing") from None
        except ObjectTooLarge as huge:
            what = f"The object {object_id} takes {huge.size:,} bytes to read"
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
            what = f"The object {object_id} is of another type than expected"
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
        then="Somebody pushed it: see who with csc-git log, and use another scope",
    )
