"""Batches: new objects, gathered in memory until all of them are put on disk at once.

Nobody else sees them before, and nothing that names them is written before `flush` has returned.
From then until `release`, no git that repacks touches them: by then a ref names them.
"""

from collections.abc import Iterable
from typing import Any, Final

from csc_git.git.objects.commit import (
    CommitInfo,
    Signature,
    encode_commit,
    read_commit,
)
from csc_git.git.objects.packing import BLOB, COMMIT, TREE, NewObject, object_id
from csc_git.git.objects.reader import Objects
from csc_git.git.objects.tree import Tree, TreeEntry

_MOST_STAGED: Final = 16 << 20


class Batch:
    """New objects, readable here at once, on disk only after `flush`."""

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
        """As `Objects.shared`."""
        return self._objects.shared

    @property
    def stored(self) -> Objects:
        """The objects that are on disk."""
        return self._objects

    def is_stored(self, object_id: str) -> bool:
        """Whether an object that was read here is on disk already."""
        return object_id not in self._new

    def tree(self, tree_id: str) -> Tree:
        """As `Objects.tree`, new trees included."""
        found = self._trees.get(tree_id) or self._seen.get(tree_id)
        if found is None:
            found = self._seen[tree_id] = self._objects.tree(tree_id)
        return found

    def blob(self, blob_id: str) -> bytes:
        """As `Objects.blob`, new blobs included."""
        staged = self._new.get(blob_id)
        return self._objects.blob(blob_id) if staged is None else staged.raw

    def commit(self, commit_id: str) -> CommitInfo:
        """As `Objects.commit`, new commits included."""
        return self._commits.get(commit_id) or self._objects.commit(commit_id)

    def add_blob(self, data: bytes) -> str:
        """Stage a blob; its id."""
        return self._add(BLOB, data)

    def add_tree(
        self, lines: Iterable[TreeEntry], like: str | None = None
    ) -> str:
        """Stage a tree; its id.

        Args:
            lines: What it holds.
            like: A tree that it differs little from. If that is in the batch too, only the
                difference is stored.
        """
        tree = Tree.sorted(lines)
        made = self._add(TREE, tree.raw, like)
        self._trees[made] = tree
        return made

    def add_commit(
        self,
        tree: str,
        parent: str | None,
        author: Signature,
        committer: Signature,
        message: str,
    ) -> str:
        """Stage a commit; its id."""
        raw = encode_commit(tree, parent, author, committer, message)
        made = self._add(COMMIT, raw)
        self._commits[made] = read_commit(made, raw)
        return made

    def relieve(self) -> None:
        """Put what is staged on disk if it is a lot, so that memory stays bounded."""
        if self._bytes > _MOST_STAGED:
            self.flush()

    def flush(self) -> None:
        """Make everything staged durable."""
        if self._new:
            new = list(self._new.values())
            self._kept.append(self._objects.write(new, new[-1].id))
            blobs = {obj.id: obj.raw for obj in new if obj.kind == BLOB}
            self._objects.remember(self._trees, self._commits, blobs)
            self._new, self._trees, self._commits, self._seen = {}, {}, {}, {}
            self._bytes = 0

    def release(self) -> None:
        """Allow what was put on disk to be repacked."""
        while self._kept:
            self._objects.let_go(self._kept.pop())

    def _add(self, kind: int, raw: bytes, like: str | None = None) -> str:
        name = object_id(kind, raw, self._objects.object_format)
        base = (
            self._new.get(like) if like is not None and like != name else None
        )
        made = NewObject.of(name, kind, raw, base)
        self._new.setdefault(made.id, made)
        self._bytes += len(raw)
        return made.id
