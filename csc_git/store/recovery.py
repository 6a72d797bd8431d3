"""Recovery: when the remote's branch is no longer a continuation of what it had confirmed.

Four things can have happened, and each has its own state:

1. `remote-behind`: the remote was rewound or restored from a backup. Its tip is an ancestor of
   what it had confirmed. Pushing forward gives everything back (`Permit.restore`).
2. `history-rewritten`: it has other commits in place of confirmed ones. A person either takes the
   remote's side (`Permit.rewrite`) or makes the missing edits again on it (`Permit.restore`).
3. `branch-deleted`: it has no branch. A person puts this clone's back (`Permit.recreate`).
4. `other-store`: somebody founded a new store there. Both are joined key by key (`Permit.join`).

None of them is done without a person: the loss may be meant, for instance to remove a secret.
`Divergence` is what the person is shown before the decision.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from csc_git.core.claim import CLAIMS
from csc_git.core.conflict import CONFLICTS, Conflict, stands
from csc_git.core.edit import Kind, Outcome, Record, path_text
from csc_git.core.key import Key
from csc_git.core.lease import SESSIONS
from csc_git.core.merge import Version, merge
from csc_git.core.value import Entry
from csc_git.git.objects.batch import Batch
from csc_git.git.objects.commit import CommitInfo
from csc_git.store.branch import Branch
from csc_git.store.commit_walk import high_water, since
from csc_git.store.difference import changed_keys
from csc_git.store.snapshot import Reads, Snapshot, Stored, revision_of
from csc_git.store.transaction import Identity, with_changes

_NOT_JOINED: Final = frozenset({*SESSIONS, *CLAIMS})
"""Scopes of records that mean nothing in another store."""


@dataclass(frozen=True)
class Permit:
    """What a person has decided.

    Attributes:
        rewrite: Take the remote's rewritten history; confirmed edits that it lacks are dropped.
        recreate: Put back a branch that the remote no longer has.
        restore: Push confirmed edits that the remote lost, on top of what it has now.
        join: Bring this clone's values into the other store that the remote has now.
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
        remote: The tip that the remote has; None: it has no such branch.
        lost: Confirmed edits that the remote no longer has, oldest first.
        unknown: Edits of the remote that this clone has not seen, oldest first.
        queued: Edits of this clone that were never confirmed.
        changes: Each key whose confirmed value differs: the value here, the value there.
    """

    remote: str | None
    lost: Sequence[CommitInfo]
    unknown: Sequence[CommitInfo]
    queued: int
    changes: Sequence[tuple[Key, Stored | None, Stored | None]]


def divergence(
    objects: Reads, branch: Branch, remote: str | None
) -> Divergence:
    """Compare what the remote had confirmed with what it has.

    Args:
        objects: Where to read; what the remote has must have been fetched.
        branch: This clone's side.
        remote: The remote's tip, or None.
    """
    base = branch.base
    here, there = Snapshot(objects, base), Snapshot(objects, remote)
    differing = changed_keys(objects, here, there)
    return Divergence(
        remote=remote,
        lost=_edits(since(objects, remote, base)),
        unknown=_edits(since(objects, base, remote)),
        queued=len(branch.queue()),
        changes=[
            change
            for change in differing
            if change[0].scope[0] not in _NOT_JOINED
        ],
    )


def fork_of(objects: Reads, one: str, other: str) -> str | None:
    """The newest commit that two histories share; None if they share none."""
    ahead = since(objects, other, one)
    return ahead[0].parent if ahead else one


def joined(
    batch: Batch, ours: Snapshot, onto: str, identity: Identity, now: datetime
) -> str:
    """A commit on another store's tip that adds the values of ours.

    A key that both stores have is merged as two concurrent values are: equal values stay, objects
    are merged by member, otherwise the later time wins and the other value becomes a conflict
    record. Sessions and claims are left out.

    Args:
        batch: Takes the new objects.
        ours: The snapshot whose values are added.
        onto: The other store's tip.
        identity: Who places the commit.
        now: The wall clock.

    Returns:
        The new commit, or `onto` where there is nothing to add.
    """
    op = uuid.uuid4().hex
    there = Snapshot(batch, onto)
    clock = high_water(batch, onto, now) or now
    blobs: dict[Key, str | None] = {}
    for key, theirs, mine in list(changed_keys(batch, there, ours)):
        if mine is None or key.scope[0] in _NOT_JOINED:
            continue
        if theirs is None:
            blobs[key] = mine.revision
            continue
        entry, conflict = _both(key, mine, theirs)
        if entry is not None:
            blobs[key] = batch.add_blob(entry.encode())
        if conflict is not None:
            entry = Entry(conflict.to_json(), conflict.lost.session, clock)
            blobs[_record_key(key, mine, theirs)] = batch.add_blob(
                entry.encode()
            )
    if not blobs:
        return onto
    tree = with_changes(batch, there, blobs, [])
    subject = f"join another store: {len(blobs)} keys"
    record = Record(subject, op, identity.machine, clock, kind=Kind.JOIN)
    signature = identity.committer(now)
    return batch.add_commit(tree, onto, signature, signature, record.message())


def _both(
    key: Key, mine: Stored, theirs: Stored
) -> tuple[Entry | None, Conflict | None]:
    """What a key holds that both stores have (None: theirs, as it is), and what lost."""
    ours, other = Version.of(mine.entry), Version.of(theirs.entry)
    decision = merge(None, ours, other)
    takes = decision.outcome in {Outcome.APPLIED, Outcome.MERGED}
    if decision.lost is None:
        return (decision.entry if takes else None), None
    winner, revision = (
        (ours, mine.revision) if takes else (other, revision_of(theirs))
    )
    conflict = Conflict(
        key, Outcome.LOST, decision.lost, *stands(revision, winner)
    )
    return (decision.entry if takes else None), conflict


def _record_key(key: Key, mine: Stored, theirs: Stored) -> Key:
    """The conflict record of two values: the same one, whichever clone joins the two stores."""
    revisions = sorted((mine.revision, theirs.revision))
    text = "\n".join([path_text(key), *revisions])
    return Key(CONFLICTS, f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.0")


def _edits(commits: Sequence[CommitInfo]) -> list[CommitInfo]:
    return [commit for commit in commits if commit.parent is not None]
