"""Recovery: what to do when the remote's branch does not continue what it had confirmed.

Four things can have happened, and each has its own state:

1. `remote-behind`: the remote was rewound or restored from a backup. Its tip is an ancestor of
   this clone's base. A person lets the confirmed edits be pushed again (`Permit.restore`).
2. `history-rewritten`: the remote has other commits in place of confirmed ones. A person either
   accepts the remote's history (`Permit.rewrite`), or lets the edits that it lacks be made again on
   top of it (`Permit.restore`).
3. `branch-deleted`: the remote has no such branch. A person lets this clone's branch be pushed
   again (`Permit.recreate`).
4. `other-store`: somebody made a new store on the remote. A person lets both be joined key by key
   (`Permit.join`).

Nothing is done before a person has decided, because the loss may be intended, for instance to
remove a secret. `Divergence` is what the person is shown first.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from csc_git.core.claim import CLAIMS
from csc_git.core.commit import CommitInfo
from csc_git.core.conflict import CONFLICTS, Conflict, as_current
from csc_git.core.edit import Kind, Outcome, Record, path_text
from csc_git.core.key import Key
from csc_git.core.lease import SESSIONS
from csc_git.core.merge import Version, merge
from csc_git.core.value import Entry
from csc_git.git.objects.batch import Batch
from csc_git.store.branch import Branch
from csc_git.store.commit_walk import high_water, since
from csc_git.store.transaction import Identity, with_changes
from csc_git.store.tree.difference import Change, changed_keys
from csc_git.store.tree.snapshot import Reads, Snapshot, Stored

_NOT_JOINED: Final = frozenset({*SESSIONS, *CLAIMS})
"""Scopes of records that mean nothing in another store."""


@dataclass(frozen=True)
class Permit:
    """What a person has decided.

    Attributes:
        rewrite: Accept the remote's rewritten history. Confirmed edits that it lacks are dropped
            (case 2).
        recreate: Push the branch again that the remote no longer has (case 3).
        restore: Push the confirmed edits that the remote lost, on top of what it has now (cases 1
            and 2).
        join: Add this clone's values to the other store that the remote has now (case 4).
    """

    rewrite: bool = False
    recreate: bool = False
    restore: bool = False
    join: bool = False

    @property
    def is_given(self) -> bool:
        """Whether a person decided anything."""
        return self.rewrite or self.recreate or self.restore or self.join


@dataclass(frozen=True)
class Divergence:
    """How the remote's branch differs from what it had confirmed.

    Attributes:
        remote: The tip that the remote has; None if it has no such branch.
        lost: Confirmed edits that the remote no longer has, oldest first.
        unknown: Edits of the remote that this clone has not seen, oldest first.
        queued: Edits of this clone that were never confirmed.
        changes: Each key whose confirmed value differs, with the value here and the value on the
            remote.
    """

    remote: str | None
    lost: Sequence[CommitInfo]
    unknown: Sequence[CommitInfo]
    queued: int
    changes: Sequence[Change]


def divergence(
    objects: Reads,
    branch: Branch,
    remote: str | None,
) -> Divergence:
    """Compare what the remote had confirmed with what it has.

    Args:
        objects: Where to read; what the remote has must have been fetched.
        branch: This clone's side.
        remote: The remote's tip; None if it has no such branch.
    """
    base = branch.base
    here = Snapshot(objects, base)
    there = Snapshot(objects, remote)
    changed = changed_keys(objects, here, there)
    changes = [
        change for change in changed if change.key.scope[0] not in _NOT_JOINED
    ]
    return Divergence(
        remote=remote,
        lost=_edits(since(objects, remote, base)),
        unknown=_edits(since(objects, base, remote)),
        queued=len(branch.queue()),
        changes=changes,
    )


def fork_of(objects: Reads, one: str, other: str) -> str | None:
    """Return the newest commit that two histories share.

    Args:
        objects: Where to read.
        one: The tip of one history.
        other: The tip of the other.

    Returns:
        The commit; None if they share none.
    """
    ahead = since(objects, other, one)
    if not ahead:
        return one
    return ahead[0].parent


def joined(
    batch: Batch,
    ours: Snapshot,
    onto: str,
    identity: Identity,
    now: datetime,
) -> str:
    """Make a commit on another store's tip that adds the values of ours.

    Each key is treated by the first of these rules that applies:

    1. A session or a claim, or a key that only the other store has, stays as it is there.
    2. A key that only our store has is added.
    3. A key that both have is merged as two concurrent values are: equal values stay, objects are
       merged by member, otherwise the later time wins and the other value becomes a conflict
       record.

    Args:
        batch: Receives the new objects.
        ours: The snapshot whose values are added.
        onto: The other store's tip.
        identity: Who places the commit.
        now: The wall clock.

    Returns:
        The new commit, or `onto` if there is nothing to add.
    """
    op = uuid.uuid4().hex
    there = Snapshot(batch, onto)
    clock = high_water(batch, onto, now) or now
    blobs: dict[Key, str | None] = {}
    for key, theirs, mine in list(changed_keys(batch, there, ours)):
        if mine is None or key.scope[0] in _NOT_JOINED:  # rule 1
            continue
        if theirs is None:  # rule 2
            blobs[key] = mine.revision
            continue
        entry, conflict = _both(key, mine, theirs)  # rule 3
        if entry is not None:
            blobs[key] = batch.add_blob(entry.encode())
        if conflict is not None:
            author = conflict.lost.session
            record = Entry(conflict.to_json(), author, clock)
            record_key = _record_key(key, mine, theirs)
            blobs[record_key] = batch.add_blob(record.encode())
    if not blobs:
        return onto
    tree = with_changes(batch, there, blobs, [])
    edit = Record(
        f"join another store: {len(blobs)} keys",
        op,
        identity.machine,
        clock,
        kind=Kind.JOIN,
    )
    signature = identity.committer(now)
    return batch.add_commit(tree, onto, signature, signature, edit.message())


def _both(
    key: Key,
    mine: Stored,
    theirs: Stored,
) -> tuple[Entry | None, Conflict | None]:
    """Merge the values of a key that both stores have.

    Returns:
        The key's new entry, None if the other store's stays; and the conflict, None if no value
        lost.
    """
    ours = Version.of(mine.entry)
    other = Version.of(theirs.entry)
    decision = merge(None, ours, other)
    entry: Entry | None = None
    winner = other
    revision = theirs.revision
    if decision.outcome in {Outcome.APPLIED, Outcome.MERGED}:
        entry = decision.entry
        winner = ours
        revision = mine.revision
    if decision.lost is None:
        return entry, None
    current = as_current(revision, winner)
    return entry, Conflict(key, Outcome.LOST, decision.lost, *current)


def _record_key(key: Key, mine: Stored, theirs: Stored) -> Key:
    """Return the key of two values' conflict record.

    It is the same whichever clone joins the two stores.
    """
    revisions = sorted((mine.revision, theirs.revision))
    text = "\n".join([path_text(key), *revisions])
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Key(CONFLICTS, f"{digest[:32]}.0")


def _edits(commits: Sequence[CommitInfo]) -> list[CommitInfo]:
    return [commit for commit in commits if commit.parent is not None]
