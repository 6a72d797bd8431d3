"""Recovery: how to go on when the remote has lost commits that it had confirmed.

There are four cases, and each has its own state:

1. `remote-behind`: the remote was rewound or restored from a backup. The remote's tip is an
   ancestor of this clone's base. A person allows csc-git to push the confirmed edits again
   (`Permit.restore`).
2. `history-rewritten`: the remote has other commits in place of confirmed commits. A person
   either accepts the remote's history (`Permit.rewrite`), or allows csc-git to make the missing
   edits again on top of that history (`Permit.restore`).
3. `branch-deleted`: the remote no longer has the branch. A person allows csc-git to push this
   clone's branch again (`Permit.recreate`).
4. `other-store`: somebody made a new store on the remote. A person allows csc-git to join both
   stores key by key (`Permit.join`).

Nothing is done before a person has decided, because the loss may be intended, for instance to
remove a secret. Before the decision, the person is shown a `Divergence`.
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
"""Scopes that are not joined, because their records have no meaning in another store."""


@dataclass(frozen=True)
class Permit:
    """A person's decisions on what to do if the remote has lost commits.

    Attributes:
        rewrite: Whether to accept the remote's rewritten history. Confirmed edits that are missing
            in that history are dropped (case 2).
        recreate: Whether to push the branch again after the remote has lost it (case 3).
        restore: Whether the confirmed edits that the remote has lost are pushed again, on top of
            the remote's tip (cases 1 and 2).
        join: Whether to add this clone's values to the new store on the remote (case 4).
    """

    rewrite: bool = False
    recreate: bool = False
    restore: bool = False
    join: bool = False

    @property
    def is_given(self) -> bool:
        """Whether a person has made at least one of the decisions."""
        return self.rewrite or self.recreate or self.restore or self.join


@dataclass(frozen=True)
class Divergence:
    """How the remote's branch differs from the commits that the remote had confirmed.

    Attributes:
        remote: The tip of the remote's branch; None if the remote does not have the branch.
        lost: Confirmed edits that the remote no longer has, oldest first.
        unknown: Edits of the remote that this clone has not seen, oldest first.
        queued: The number of edits of this clone that were never confirmed.
        changes: Each key whose confirmed value differs from the value on the remote, with both
            values.
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
    """Compare the commits that the remote had confirmed with the remote's branch.

    Args:
        objects: The Git objects to read from. The remote's tip must already be fetched.
        branch: The branch in this clone.
        remote: The tip of the remote's branch; None if the remote does not have the branch.
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
        objects: The Git objects to read from.
        one: The tip of one history.
        other: The tip of the other history.

    Returns:
        The commit; None if the histories share no commit.
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
    """On top of another store's tip, make a commit that adds the values of our store.

    For each key, the first of these rules that applies is used:

    1. Sessions and claims of the other store are not changed. Keys that only the other store has
       are not changed.
    2. A key that only our store has is added.
    3. A key that both stores have is merged like two concurrent edits. Equal values are not
       changed, and objects are merged member by member. Otherwise the value with the later time
       wins, and the other value is kept in a conflict record.

    Args:
        batch: The batch to which the new objects are added.
        ours: The snapshot of our store, whose values are added.
        onto: The other store's tip.
        identity: The committer of the new commit.
        now: The current time by this machine's clock.

    Returns:
        The id of the new commit; `onto` if there is nothing to add.
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
        A pair of the key's new entry and the conflict. The entry is None if the other store's entry
        stays, and the conflict is None if no value lost.
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
    """Return the key of the conflict record for two values.

    All clones that join the same two stores use the same key.
    """
    revisions = sorted((mine.revision, theirs.revision))
    text = "\n".join([path_text(key), *revisions])
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Key(CONFLICTS, f"{digest[:32]}.0")


def _edits(commits: Sequence[CommitInfo]) -> list[CommitInfo]:
    return [commit for commit in commits if commit.parent is not None]
