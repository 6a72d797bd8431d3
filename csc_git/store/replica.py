"""A replica: one clone's copy of the branch, and what it takes to write to it."""

from dataclasses import dataclass
from datetime import datetime

from csc_git.core.claim import Tracked
from csc_git.core.edit import Outcome, Record
from csc_git.errors import FormatTooNew
from csc_git.git.objects.batch import Batch
from csc_git.git.objects.commit import CommitInfo
from csc_git.git.repository import Repository
from csc_git.store.branch import Branch
from csc_git.store.commit_walk import record_of
from csc_git.store.pending_answers import Waiting
from csc_git.store.replay import Refusal, Replay
from csc_git.store.transaction import Identity


@dataclass(frozen=True)
class Replica:
    """One clone's side of a sync.

    Attributes:
        repository: Ours.
        branch: The branch in it.
        identity: Who places commits.
        waiting: The edits that somebody waits for.
        tracked: The files of the user's repository, for claims that are patterns.
        dedicated: Whether a remote without any branch may get ours as its first.
    """

    repository: Repository
    branch: Branch
    identity: Identity
    waiting: Waiting
    tracked: Tracked
    dedicated: bool = False

    def replay_on(
        self, batch: Batch, onto: str, fork: str | None, now: datetime
    ) -> Replay:
        """A replay on a commit; see `Replay`."""
        return Replay(
            batch, onto, fork, self.identity, now, tracked=self.tracked
        )

    def replay(
        self,
        onto: Replay,
        queue: list[CommitInfo],
        *,
        placed: frozenset[str] = frozenset(),
        aside: frozenset[str] = frozenset(),
        heeding: bool = False,
    ) -> list[str]:
        """Replay a queue, oldest first.

        Args:
            onto: Where, and on what.
            queue: Commits of the local branch.
            placed: Ops that the remote has already.
            aside: Ops to leave out.
            heeding: Leave no conflict record where the author waits for the answer. The caller
                asks again under the repository's lock before it moves the branch.

        Returns:
            The ops that were refused without a record because their authors wait.
        """
        silent: list[str] = []
        done = set(placed)
        for commit in queue:
            record = record_of(commit)
            if record.op in done:
                continue
            done.add(record.op)
            if record.needs_later:
                what = (
                    f"The queued edit {record.op} was made by a later csc-git"
                )
                raise FormatTooNew(
                    f"{what} ({record.needs_later})",
                    safe="The edit is safe in this clone and stays queued",
                )
            original = self._original(commit, record)
            if record.op in aside:
                onto.set_aside(original)
                continue
            before = self._refusal(commit, record)
            waits = (
                heeding
                and not before.stays
                and self.waiting.includes(record.op)
            )
            outcome = onto.apply(
                original,
                record,
                Refusal(before.stays, before.is_answered or waits),
            )
            if waits and outcome is Outcome.REFUSED:
                silent.append(record.op)
        return silent

    def _refusal(self, commit: CommitInfo, record: Record) -> Refusal:
        """What an edit's last replay, if there was one, obliges the next to."""
        if record.outcome is not Outcome.REFUSED or commit.parent is None:
            return Refusal()
        before = self.repository.objects.commit(commit.parent)
        return Refusal(stays=True, is_answered=before.tree == commit.tree)

    def _original(self, commit: CommitInfo, record: Record) -> CommitInfo:
        """The commit first acknowledged; a replayed one names it."""
        if record.origin and self.repository.objects.has(record.origin):
            return self.repository.objects.commit(record.origin)
        return commit
