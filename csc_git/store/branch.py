"""The branch in this clone: the tip, the base, and the queue between them.

`tip` is the newest commit in this clone. `base` is the last commit that the remote confirmed. The
queue is `base..tip`: the edits that the remote has not confirmed. There are also the *parked*
edits, which the remote declined because of their content. When a replay replaces the tip, the old
tip is kept for thirty days.
"""

import time
import uuid
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

from csc_git.core.commit import CommitInfo
from csc_git.core.edit import Outcome, Record
from csc_git.git.objects.batch import Batch
from csc_git.git.remote import FETCHED
from csc_git.git.repository import Repository
from csc_git.store.commit_walk import lineage, record_of, since

# The refs of parked edits are called `held`, because existing clones already have this name.
_PARKED: Final = "refs/csc/held/"
_KEPT: Final = "refs/csc/kept/"
_KEEP_SECONDS: Final = 30 * 24 * 3600
_FATE_SEARCH: Final = 5000


@dataclass(frozen=True)
class Fate:
    """The current state of an edit.

    Attributes:
        where: `local` (queued), `synced` (confirmed by the remote), `parked`, or `unknown`.
        outcome: The outcome of the edit's last replay; None if the edit was never replayed.
    """

    where: Literal["local", "synced", "parked", "unknown"]
    outcome: Outcome | None = None


class Branch:
    """Reads and moves the refs that make up the branch.

    A ref may be moved only under the repository's lock.

    Args:
        repository: The store's own repository.
        name: The branch's short name.
    """

    def __init__(self, repository: Repository, name: str) -> None:
        self._repository = repository
        self.name = name
        self.ref = f"refs/heads/{name}"
        self._base_ref = f"refs/csc/base/{name}"

    @property
    def tip(self) -> str | None:
        """The newest commit of the branch in this clone; None if there is no commit yet."""
        return self._repository.read_ref(self.ref)

    @property
    def base(self) -> str | None:
        """The last commit that the remote confirmed; None if there is no such commit."""
        return self._repository.read_ref(self._base_ref)

    def queue(self, tip: str | None = None) -> list[CommitInfo]:
        """Return the edits that the remote has not confirmed, oldest first.

        The root commit is left out.

        Args:
            tip: The commit at which the queue ends. If None, the queue ends at the branch's tip.
        """
        return self._edits(self.base, tip or self.tip)

    def unbased_queue(self, tip: str) -> list[CommitInfo]:
        """Return all edits up to `tip`, oldest first.

        This is the queue for a remote that has no edits yet.
        """
        return self._edits(None, tip)

    def after(self, seen: str | None) -> list[CommitInfo]:
        """Return the edits that were made after the commit `seen`, oldest first."""
        tip = self.tip
        if tip == seen:
            return []
        return self._edits(seen, tip)

    def parked(self) -> dict[str, str]:
        """Return a dict from the op of each parked edit to the edit's commit."""
        return self._repository.refs(_PARKED)

    def queued_ops(self) -> set[str]:
        """Return the ops of all edits in the queue."""
        return {record_of(commit).op for commit in self.queue()}

    def keep_tip(self) -> None:
        """Protect the commit that is the tip now from deletion for thirty days."""
        tip = self.tip
        if tip is not None:
            self._keep(tip)

    def fate(self, op: str) -> Fate:
        """Return the current state of an edit, from the data in this clone."""
        for commit in reversed(self.queue()):
            record = _record_of(op, commit)
            if record is not None:
                return Fate("local", record.outcome)
        if op in self.parked():
            return Fate("parked")
        confirmed = lineage(self._repository.objects, self.base)
        for commit in islice(confirmed, _FATE_SEARCH):
            record = _record_of(op, commit)
            if record is not None:
                return Fate("synced", record.outcome)
        return Fate("unknown")

    def name_for_now(self, commit: str, batch: Batch) -> None:
        """Write a batch to disk, and make a temporary ref to a commit of the batch.

        A commit can be pushed only if a ref points to the commit. The temporary ref exists until
        `tidy` deletes it.

        Args:
            commit: The commit to which the ref points.
            batch: The batch that contains the commit.
        """
        ref = FETCHED + uuid.uuid4().hex
        self._repository.set_ref(ref, None, commit, batch)

    def move(
        self,
        tip: str,
        base: str,
        batch: Batch,
        *,
        rewritten: bool,
    ) -> None:
        """Write a batch to disk, and move both the tip and the base.

        The process may crash between the two moves. Even then, the queue `base..tip` must contain
        only unconfirmed edits. So the base is normally moved first. If the remote's history was
        rewritten, moving the base first would put confirmed edits into the queue, so the tip is
        moved first.

        Args:
            tip: The new tip.
            base: The new base.
            batch: The batch of new objects.
            rewritten: False if the remote only added commits to the history that this clone knows;
                otherwise True.
        """
        try:
            batch.flush()
            self._move(tip, base, rewritten=rewritten)
        finally:
            batch.release()

    def _move(self, tip: str, base: str, *, rewritten: bool) -> None:
        old = self.tip
        if old is not None and old not in {tip, base}:
            known = {commit.id for commit in self._edits(self.base, tip)}
            is_needed = rewritten or bool(self.queue())
            if old not in known and is_needed:
                self._keep(old)
        if rewritten:
            self._set(self.ref, tip)
            self._set(self._base_ref, base)
        else:
            self._set(self._base_ref, base)
            self._set(self.ref, tip)

    def confirm(self, commit: str) -> None:
        """Record that the remote has confirmed `commit`."""
        self._set(self._base_ref, commit)

    def park(self, op: str, commit: str) -> None:
        """Park an edit.

        Args:
            op: The op of the edit.
            commit: The commit of the edit.
        """
        self._set(_PARKED + op, commit)

    def unpark(self, op: str) -> None:
        """Stop parking an edit. The edit's commit is kept for thirty days."""
        ref = _PARKED + op
        commit = self._repository.read_ref(ref)
        if commit is not None:
            self._keep(commit)
            self._repository.delete_ref(ref)

    def tidy(self) -> None:
        """Delete temporary refs of ended attempts, and refs that were kept for over thirty days."""
        for name in self._repository.refs(FETCHED):
            self._repository.delete_ref(FETCHED + name)
        if self.queue():
            return  # replaying the queue may need original commits of any age
        now = time.time()
        for name in self._repository.refs(_KEPT):
            stamp = name.partition("-")[0]
            if not stamp.isdigit() or now - int(stamp) > _KEEP_SECONDS:
                self._repository.delete_ref(_KEPT + name)

    def _edits(self, base: str | None, tip: str | None) -> list[CommitInfo]:
        commits = since(self._repository.objects, base, tip)
        return [commit for commit in commits if commit.parent is not None]

    def _keep(self, commit: str) -> None:
        now = int(time.time())
        self._set(f"{_KEPT}{now}-{commit[:16]}", commit)

    def _set(self, ref: str, commit: str) -> None:
        """Make a ref point to a commit, without checking the ref's old value."""
        known = self._repository.read_ref(ref)
        self._repository.set_ref(ref, known, commit)


def _record_of(op: str, commit: CommitInfo) -> Record | None:
    """Return a commit's record if the commit belongs to the edit `op`, otherwise None."""
    if op not in commit.message:
        return None
    record = Record.parse(commit.message)
    if record is None or record.op != op:
        return None
    return record
