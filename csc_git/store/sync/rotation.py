"""Rotation: replacing a history that has become too long by a new, short history.

1. All queued edits are pushed, so that the remote's branch has all edits of this clone.
2. A new first commit with the same data becomes the tip of the branch. The commit is pushed with a
   lease, so the push fails if another clone has pushed meanwhile. In the new commit, the member
   `previous` of `format.json` names the last commit of the old history.
3. In the same push, the old history is kept as a branch `<branch>-before-<previous>` of the remote.
   The old history is needed for audits, and for clones that have not yet fetched all commits of the
   old history.

In other clones, a person need not do anything. In each other clone, the function `continued` finds
out that the new history continues the old history. Then the queue of the clone is replayed on the
new history. If another clone pushes during a rotation, the rotation starts again, so the pushed
edits are not lost.
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from csc_git.core.commit import CommitInfo
from csc_git.core.edit import Record
from csc_git.core.remote_failure import RemoteFailure
from csc_git.core.remote_state import RemoteState
from csc_git.core.value import canonical
from csc_git.errors import LostRace, StoreDamaged
from csc_git.git.objects.batch import Batch
from csc_git.git.objects.tree import FILE_MODE, TreeEntry
from csc_git.git.remote import Remote
from csc_git.git.repository import Repository
from csc_git.store.commit_walk import ancestry, descent, high_water
from csc_git.store.sync.replica import Replica
from csc_git.store.tree.snapshot import FORMAT_FILE, Snapshot

_TRIES: Final = 30
_MOST_ROTATIONS: Final = 100
_SHORT: Final = 12


@dataclass(frozen=True)
class Rotation:
    """The result of a rotation.

    Attributes:
        root: The first commit of the new history.
        previous: The last commit of the old history.
        archive: The short name of the remote branch that keeps the old history.
    """

    root: str
    previous: str
    archive: str


def archive_of(branch: str, previous: str) -> str:
    """Return the short name of the remote branch that keeps a replaced history.

    Args:
        branch: The short name of the branch that was rotated.
        previous: The last commit of the replaced history.
    """
    return f"{branch}-before-{previous[:_SHORT]}"


def rotate(
    replica: Replica,
    remote: Remote,
    now: datetime,
    drain: Callable[[], None],
) -> Rotation:
    """Rotate the branch.

    Args:
        replica: This clone's copy of the branch; see `Replica`.
        remote: The remote.
        now: The current time by this machine's clock.
        drain: A function that syncs until the queue is empty. The function is called before and
            after the rotation.

    Raises:
        RemoteFailure: the remote refused the push, or another clone pushed first in every try. The
            branch was not rotated.
    """
    branch = replica.branch
    for _ in range(_TRIES):
        drain()  # step 1
        previous = branch.base
        if previous is None:
            raise RemoteFailure(RemoteState.DELETED)
        archive = archive_of(branch.name, previous)
        root = _new_root(replica, previous, now)
        try:
            remote.replace(root, previous, archive)  # steps 2 and 3
        except LostRace as lost:
            if remote.fetch() == previous:
                raise RemoteFailure(RemoteState.PROTECTED, lost.what) from lost
            continue
        drain()
        return Rotation(root, previous, archive)
    raise RemoteFailure(RemoteState.CONTENDED, f"{_TRIES} tries")


def continued(
    repository: Repository,
    remote: Remote,
    branch: str,
    base: str,
    fetched: str,
) -> list[CommitInfo] | None:
    """Return the commits after `base` up to `fetched`, including histories that rotations replaced.

    Args:
        repository: The store's own repository.
        remote: The remote. If this clone lacks a history that a rotation has replaced, the history
            is fetched from the remote's branch that `archive_of` names.
        branch: The short name of the branch.
        base: The older commit.
        fetched: The newer commit.

    Returns:
        The commits, oldest first; None if rotations do not lead from `base` to `fetched`.
    """
    objects = repository.objects
    found: list[CommitInfo] = []
    for _ in range(_MOST_ROTATIONS):
        format_file = Snapshot(objects, fetched).format()
        if format_file is None or format_file.previous is None:
            return None
        previous = format_file.previous
        newest_first = list(ancestry(objects, fetched))
        found = [*reversed(newest_first), *found]
        if previous == base:
            return found
        if not objects.has(previous):
            archive = archive_of(branch, previous)
            if remote.fetch(archive) != previous:
                return None
        before = descent(objects, base, previous)
        if before is not None:
            return [*before, *found]
        fetched = previous
    return None


def _new_root(replica: Replica, previous: str, now: datetime) -> str:
    """Make a first commit with the data of `previous`. Its `format.json` names `previous`."""
    batch = replica.repository.batch()
    snapshot = Snapshot(batch, previous)
    if snapshot.tree is None or snapshot.format() is None:
        raise StoreDamaged(f"Commit {previous} is not a csc-git store")
    lines: list[TreeEntry] = []
    for line in batch.tree(snapshot.tree):
        if line.name == FORMAT_FILE:
            lines.append(_continuing(line, previous, batch))
        else:
            lines.append(line)
    tree = batch.add_tree(lines)
    clock = high_water(batch, previous, now) or now
    record = Record(
        f"continue {previous[:_SHORT]}",
        uuid.uuid4().hex,
        replica.identity.machine,
        clock,
    )
    signature = replica.identity.committer(now)
    root = batch.add_commit(tree, None, signature, signature, record.message())
    with replica.repository.writing():
        replica.branch.name_for_now(root, batch)
    return root


def _continuing(file: TreeEntry, previous: str, batch: Batch) -> TreeEntry:
    """Make a copy of `format.json` with a new member `previous`, and return its tree line."""
    members = json.loads(batch.blob(file.id))
    members["previous"] = previous
    content = canonical(members) + b"\n"
    return TreeEntry.of(FORMAT_FILE, FILE_MODE, batch.add_blob(content))
