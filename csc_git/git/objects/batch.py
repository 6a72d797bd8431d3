"""Batches: new objects that are collected in memory until all of them are written to disk at once.

Other processes can't see new objects before `flush` is called. A ref to a new object is written
only after `flush` has returned. Between `flush` and `release`, a git process that repacks can't
remove the new objects. The caller must not call `release` before a ref points to the new objects.
"""

from collections.abc import Iterable
from typing import Any, Final

from csc_git.core.commit import CommitInfo
from csc_git.git.objects.commit import Signature, encode_commit, read_commit
from csc_git.git.objects.objects import Objects
from csc_git.git.objects.packing import BLOB, COMMIT, TREE, NewObject, object_id
from csc_git.git.objects.tree import Tree, TreeEntry

_MOST_STAGED: Final = 16 << 20
"""If the new objects in memory have more than this many bytes, `relieve` writes them to disk."""


class Batch:
    """A batch of new objects, which can be read from the batch before `flush` writes them to disk.

    Args:
        objects: The objects that are on disk already.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._new: dict[str, NewObject] = {}
        self._trees: dict[str, Tree] = {}
        self._seen: dict[str, Tree] = {}
        self._commits: dict[str, CommitInfo] = {}
        self._bytes = 0
        self._kept: list[str] = []

    @property
    def shared(self) -> dict[str, Any]:
        """A cache of data that other layers derive from objects; see `Objects.shared`."""
        return self._objects.shared

    @property
    def stored(self) -> Objects:
        """The objects that are on disk already."""
        return self._objects

    def is_stored(self, object_id: str) -> bool:
        """Check whether an object that was read from this batch is on disk already."""
        return object_id not in self._new

    def tree(self, tree_id: str) -> Tree:
        """Read a tree from this batch, or from disk as `Objects.tree` does."""
        new = self._trees.get(tree_id)
        if new is not None:
            return new
        seen = self._seen.get(tree_id)
        if seen is None:
            seen = self._objects.tree(tree_id)
            self._seen[tree_id] = seen
        return seen

    def blob(self, blob_id: str) -> bytes:
        """Read a blob from this batch, or from disk as `Objects.blob` does."""
        staged = self._new.get(blob_id)
        if staged is None:
            return self._objects.blob(blob_id)
        return staged.raw

    def commit(self, commit_id: str) -> CommitInfo:
        """Read a commit from this batch, or from disk as `Objects.commit` does."""
        staged = self._commits.get(commit_id)
        if staged is None:
            return self._objects.commit(commit_id)
        return staged

    def add_blob(self, data: bytes) -> str:
        """Add a new blob to the batch and return the blob's id."""
        return self._add(BLOB, data)

    def add_tree(
        self,
        lines: Iterable[TreeEntry],
        like: str | None = None,
    ) -> str:
        """Add a new tree to the batch and return the tree's id.

        Args:
            lines: The lines of the tree, in any order.
            like: Id of a tree that has almost the same lines. If that tree is in the batch too,
                only the difference is stored. If None, the new tree is stored in full.
        """
        tree = Tree.sorted(lines)
        tree_id = self._add(TREE, tree.raw, like)
        self._trees[tree_id] = tree
        return tree_id

    def add_commit(
        self,
        tree: str,
        parent: str | None,
        author: Signature,
        committer: Signature,
        message: str,
    ) -> str:
        """Add a new commit to the batch and return the commit's id.

        Args:
            tree: Id of the commit's tree.
            parent: Id of the commit's only parent. None if the commit is the first of a branch.
            author: The author of the edit.
            committer: The person or session that puts the commit on the branch.
            message: The commit message: subject, body and trailers.
        """
        raw = encode_commit(
            tree,
            parent,
            author,
            committer,
            message,
        )
        commit_id = self._add(COMMIT, raw)
        self._commits[commit_id] = read_commit(commit_id, raw)
        return commit_id

    def relieve(self) -> None:
        """Write the new objects to disk if they need much memory, so that memory stays bounded."""
        if self._bytes > _MOST_STAGED:
            self.flush()

    def flush(self) -> None:
        """Write all new objects to disk, durably."""
        if not self._new:
            return
        new = list(self._new.values())
        newest = new[-1]
        pack = self._objects.write(new, newest.id)
        self._kept.append(pack)
        blobs = {one.id: one.raw for one in new if one.kind == BLOB}
        self._objects.remember(
            self._trees,
            self._commits,
            blobs,
        )
        self._new = {}
        self._trees = {}
        self._commits = {}
        self._seen = {}
        self._bytes = 0

    def release(self) -> None:
        """Allow git to repack the objects that this batch has written to disk."""
        while self._kept:
            pack = self._kept.pop()
            self._objects.allow_repack(pack)

    def _add(
        self,
        kind: int,
        raw: bytes,
        like: str | None = None,
    ) -> str:
        """Add a new object; `like` is the id of an object with almost the same bytes, or None."""
        name = object_id(
            kind,
            raw,
            self._objects.object_format,
        )
        base = None
        if like is not None and like != name:
            base = self._new.get(like)
        made = NewObject.of(
            name,
            kind,
            raw,
            base,
        )
        self._new.setdefault(name, made)
        self._bytes += len(raw)
        return name
