"""Rotation: going on with a new, short history, in place of one that has grown too long.

1. Everything queued is pushed, so that the remote's branch holds all that was agreed.
2. A first commit with the same data, whose `format.json` names the newest one so far as `previous`,
   takes the branch's place, by the remote's own compare-and-set.
3. In the same push the history before gets a branch of its own, `<branch>-before-<previous>`: for
   audits, and for clones that have not seen all of it yet.

Other clones go on by themselves: what they fetch continues what they know (`continued`), and what
they have queued is replayed on it. A push in between is not lost: the rotation begins
again.
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from csc_git.core.edit import Record
from csc_git.core.remote_state import RemoteState
from csc_git.core.value import canonical
from csc_git.errors import StoreDamaged
from csc_git.git.failure import RemoteFailure
from csc_git.git.objects.commit import CommitInfo
from csc_git.git.objects.tree import FILE_MODE, TreeEntry
from csc_git.git.remote import LostRace, Remote
from csc_git.git.repository import Repository
from csc_git.store.commit_walk import ancestry, descent, high_water
from csc_git.store.replica import Replica
from csc_git.store.snapshot import FORMAT_FILE, Snapshot

_TRIES: Final = 30
_MOST_ROTATIONS: Final = 100
_SHORT: Final = 12


@dataclass(frozen=True)
class Rotation:
    """What a rotation did.

    Attributes:
        root: The commit with which the branch begins now.
        previous: The last one of the history before.
        archive: Short name of the remote branch that keeps that.
    """

    root: str
    previous: str
    archive: str


def archive_of(branch: str, previous: str) -> str:
    """Short name of the branch that keeps a history which ended with `previous`."""
    return f"{branch}-before-{previous[:_SHORT]}"


def rotate(
    replica: Replica, remote: Remote, now: datetime, settle: Callable[[], None]
) -> Rotation:
    """Rotate the branch.

    Args:
        replica: This clone's side.
        remote: The other.
        now: The wall clock.
        settle: Syncs until nothing is queued; called before and after.

    Raises:
        RemoteFailure: the remote refuses, or others push all the time; nothing was rotated.
    """
    for _ in range(_TRIES):
        settle()
        previous = replica.branch.base
        if previous is None:
            raise RemoteFailure(RemoteState.DELETED)
        archive = archive_of(replica.branch.name, previous)
        root = _new_root(replica, previous, now)
        try:
            remote.replace(root, previous, archive)
        except LostRace as lost:
            if remote.fetch() == previous:
                raise RemoteFailure(RemoteState.PROTECTED, str(lost)) from lost
            continue
        settle()
        return Rotation(root, previous, archive)
    raise RemoteFailure(RemoteState.CONTENDED, f"{_TRIES} tries")


def continued(
    repository: Repository, remote: Remote, branch: str, base: str, fetched: str
) -> list[CommitInfo] | None:
    """The commits between `base` and `fetched` if that continues it across rotations, else None.

    Histories before the one fetched are asked of the remote, which keeps them under the names that
    `rotate` gave them.
    """
    objects = repository.objects
    found: list[CommitInfo] = []
    for _ in range(_MOST_ROTATIONS):
        format_file = Snapshot(objects, fetched).format()
        previous = format_file.previous if format_file else None
        if previous is None:
            return None
        found = [*reversed(list(ancestry(objects, fetched))), *found]
        if previous == base:
            return found
        if (
            not objects.has(previous)
            and remote.fetch(archive_of(branch, previous)) != previous
        ):
            return None
        before = descent(objects, base, previous)
        if before is not None:
            return [*before, *found]
        fetched = previous
    return None


def _new_root(replica: Replica, previous: str, now: datetime) -> str:
    """A first commit with the tree of `previous`, which records that it continues it."""
    batch = replica.repository.batch()
    snapshot = Snapshot(batch, previous)
    format_file = snapshot.format()
    if format_file is None or snapshot.tree is None:
        raise StoreDamaged(f"{previous} is no store of ours")
    file = next(
        line for line in batch.tree(snapshot.tree) if line.name == FORMAT_FILE
    )
    members = json.loads(batch.blob(file.id)) | {"previous": previous}
    lines = [
        line for line in batch.tree(snapshot.tree) if line.name != FORMAT_FILE
    ]
    lines.append(
        TreeEntry.of(
            FORMAT_FILE, FILE_MODE, batch.add_blob(canonical(members) + b"\n")
        )
    )
    clock = high_water(batch, previous, now) or now
    machine = replica.identity.machine
    record = Record(
        f"continue {previous[:_SHORT]}", uuid.uuid4().hex, machine, clock
    )
    signature = replica.identity.committer(now)
    tree = batch.add_tree(lines)
    root = batch.add_commit(tree, None, signature, signature, record.message())
    with replica.repository.writing():
        replica.branch.name_for_now(root, batch)
    return root
