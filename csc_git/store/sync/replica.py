"""Replica: one clone's copy of the branch, with the objects that are needed to change it."""

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
    """One clone's copy of the branch, with the objects that are needed to change it.

    Attributes:
        repository: The store's own repository.
        branch: The branch in that repository.
        identity: The committer of new commits.
        pending: The edits whose authors still wait for the outcome.
        tracked: A function that returns the files of the user's repository. The files are needed to
            compare claims on patterns.
        dedicated: Whether our branch may be the first branch of a remote that has no branches.
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
        """Start a replay of edits on top of a commit.

        Args:
            batch: The batch to which the new objects are added.
            onto: The commit on which edits are replayed.
            fork: The last commit that both the edits' history and the history of `onto` contain;
                None if there is no such commit.
            now: The current time by this machine's clock.
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
            queue: The queued commits of the local branch.
            placed: The ops of edits that the remote already has.
            aside: The ops of edits to leave out.
            answers_pending: If True, no conflict record is made for a refused edit whose author
                still waits. The author gets the refusal as the answer instead. Before moving the
                branch, the caller must check under the repository's lock that the author still
                waits.

        Returns:
            The ops of the refused edits for which no conflict record was made, because their
            authors still wait.

        Raises:
            FormatTooNew: an edit in the queue was made by a later version of csc-git.
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
        """Return the `Refusal` for an edit's next replay, from the outcome of the last replay."""
        if record.outcome is not Outcome.REFUSED or commit.parent is None:
            return Refusal()
        before = self.repository.objects.commit(commit.parent)
        left_no_record = before.tree == commit.tree
        return Refusal(is_final=True, is_answered=left_no_record)

    def _original(self, commit: CommitInfo, record: Record) -> CommitInfo:
        """Return the commit that was made when an edit was first stored.

        Each replayed commit records the id of this original commit.
        """
        objects = self.repository.objects
        if record.origin and objects.has(record.origin):
            return objects.commit(record.origin)
        return commit


def _check_format(record: Record) -> None:
    """Raise FormatTooNew if an edit was made by a later version of csc-git."""
    if record.needs_later:
        raise FormatTooNew(
            f"The queued edit {record.op} was made by a later csc-git ({record.needs_later})",
            safe="The edit is safe in this clone and stays queued",
        )
