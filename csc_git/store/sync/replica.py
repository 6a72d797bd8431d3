"""A replica: one clone's copy of the branch, and what is needed to write to it."""

from dataclasses import dataclass
from datetime import datetime

from csc_git.core.claim import Tracked
from csc_git.core.commit import CommitInfo
from csc_git.core.edit import Outcome, Record
from csc_git.errors import FormatTooNew
from csc_git.git.objects.batch import Batch
from csc_git.git.repository import Repository
from csc_git.store.branch import Branch
from csc_git.store.commit_walk import record_of
from csc_git.store.sync.pending_answers import PendingAnswers
from csc_git.store.sync.replay import Refusal, Replay
from csc_git.store.transaction import Identity


@dataclass(frozen=True)
class Replica:
    """One clone's side of a sync.

    Attributes:
        repository: The store's own repository.
        branch: The branch in it.
        identity: Who places commits.
        pending: The edits whose authors still wait for the answer.
        tracked: The files of the user's repository, for claims that are patterns.
        dedicated: Whether a remote without any branch may get ours as its first.
    """

    repository: Repository
    branch: Branch
    identity: Identity
    pending: PendingAnswers
    tracked: Tracked
    dedicated: bool = False

    def replay_on(
        self,
        batch: Batch,
        onto: str,
        fork: str | None,
        now: datetime,
    ) -> Replay:
        """Begin a replay on a commit.

        Args:
            batch: Receives the new objects.
            onto: The commit.
            fork: The last commit that both sides have; None if there is none.
            now: The wall clock.
        """
        return Replay(
            batch,
            onto,
            fork,
            self.identity,
            now,
            tracked=self.tracked,
        )

    def replay(
        self,
        onto: Replay,
        queue: list[CommitInfo],
        *,
        placed: frozenset[str] = frozenset(),
        aside: frozenset[str] = frozenset(),
        answers_pending: bool = False,
    ) -> list[str]:
        """Replay a queue, oldest first.

        Args:
            onto: The replay to continue.
            queue: Commits of the local branch.
            placed: Ops that the remote has already.
            aside: Ops to leave out.
            answers_pending: Whether the refusal of an edit whose author still waits is the answer,
                so that it leaves no conflict record. The caller asks again whether they wait, under
                the repository's lock, before it moves the branch.

        Returns:
            The ops that were refused without a record because their authors wait.

        Raises:
            FormatTooNew: a later csc-git made an edit of the queue.
        """
        silent: list[str] = []
        done = set(placed)
        for commit in queue:
            record = record_of(commit)
            if record.op in done:
                continue
            done.add(record.op)
            _check_format(record)
            original = self._original(commit, record)
            if record.op in aside:
                onto.set_aside(original)
                continue
            refusal = self._refusal(commit, record)
            is_pending = (
                answers_pending
                and not refusal.is_final
                and self.pending.includes(record.op)
            )
            if is_pending:
                refusal = Refusal(is_answered=True)
            outcome = onto.apply(original, record, refusal)
            if is_pending and outcome is Outcome.REFUSED:
                silent.append(record.op)
        return silent

    def _refusal(self, commit: CommitInfo, record: Record) -> Refusal:
        """Return what an earlier replay of an edit, if there was one, means for the next."""
        if record.outcome is not Outcome.REFUSED or commit.parent is None:
            return Refusal()
        before = self.repository.objects.commit(commit.parent)
        left_no_record = before.tree == commit.tree
        return Refusal(is_final=True, is_answered=left_no_record)

    def _original(self, commit: CommitInfo, record: Record) -> CommitInfo:
        """Return the commit that was first acknowledged; a replayed one names it."""
        objects = self.repository.objects
        if record.origin and objects.has(record.origin):
            return objects.commit(record.origin)
        return commit


def _check_format(record: Record) -> None:
    """Raise FormatTooNew if a later csc-git made an edit."""
    if record.needs_later:
        raise FormatTooNew(
            f"The queued edit {record.op} was made by a later csc-git ({record.needs_later})",
            safe="The edit is safe in this clone and stays queued",
        )
