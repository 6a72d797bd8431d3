"""Batches: new objects, gathered in memory until all of them are put on disk at once.

No other process sees them before, and nothing that names them is written before `flush` has
returned. From then until `release`, no git that repacks touches them: by then a ref names them.
"""

from collections.abc import Iterable
from typing import Any, Final

from csc_git.core.commit import CommitInfo
from csc_git.git.objects.commit import Signature, encode_commit, read_commit
from csc_git.git.objects.objects import Objects
from csc_git.git.objects.packing import BLOB, COMMIT, TREE, NewObject, object_id
from csc_git.git.objects.tree import Tree, TreeEntry

_MOST_STAGED: Final = 16 << 20
"""Bytes of staged objects from which `relieve` puts them on disk."""


class Batch:
    """New objects. They can be read here at once, and are on disk only after `flush`.

    Args:
        objects: The objects that are on disk.
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
        """What other layers derive from objects; see `Objects.shared`."""
        return self._objects.shared

    @property
    def stored(self) -> Objects:
        """The objects that are on disk."""
        return self._objects

    def is_stored(self, object_id: str) -> bool:
        """Check whether an object that was read here is on disk already."""
        return object_id not in self._new

    def tree(self, tree_id: str) -> Tree:
        """Read a tree as `Objects.tree` does, new trees included."""
        new = self._trees.get(tree_id)
        if new is not None:
            return new
        seen = self._seen.get(tree_id)
        if seen is None:
            seen = self._objects.tree(tree_id)
            self._seen[tree_id] = seen
        return seen

    def blob(self, blob_id: str) -> bytes:
        """Read a blob as `Objects.blob` does, new blobs included."""
        staged = self._new.get(blob_id)
        if staged is None:
            return self._objects.blob(blob_id)
        return staged.raw

    def commit(self, commit_id: str) -> CommitInfo:
        """Read a commit as `Objects.commit` does, new commits included."""
        staged = self._commits.get(commit_id)
        if staged is None:
            return self._objects.commit(commit_id)
        return staged

    def add_blob(self, data: bytes) -> str:
        """Stage a blob and return its id."""
        return self._add(BLOB, data)

    def add_tree(
        self,
        lines: Iterable[TreeEntry],
        like: str | None = None,
    ) -> str:
        """Stage a tree and return its id.

        Args:
            lines: What it holds, in any order.
            like: Id of a tree that it differs little from. If that tree is in the batch too, only
                the difference is stored. None to store it whole.
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
        """Stage a commit and return its id.

        Args:
            tree: Id of its tree.
            parent: Id of its only parent; None if it is the first commit.
            author: Who made the edit.
            committer: Who places it on the branch.
            message: Subject, body and trailers.
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
        """Put what is staged on disk if it is a lot, so that memory stays bounded."""
        if self._bytes > _MOST_STAGED:
            self.flush()

    def flush(self) -> None:
        """Make everything staged durable."""
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
        """Allow git to repack what was put on disk."""
        while self._kept:
            pack = self._kept.pop()
            self._objects.allow_repack(pack)

    def _add(
        self,
        kind: int,
        raw: bytes,
        like: str | None = None,
    ) -> str:
        """Stage an object; `like` is the id of one that it differs little from."""
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
