"""A replica: one clone's copy of the branch, and what it takes to write to it."""

from dataclasses import dataclass

from csc_git.core.edit import Record
from csc_git.git.objects import CommitInfo
from csc_git.git.repository import Repository
from csc_git.store.branch import Branch
from csc_git.store.replay import Replay
from csc_git.store.transaction import Identity


@dataclass(frozen=True)
class Replica:
    """One clone's side of a sync.

    Attributes:
        repository: Ours.
        branch: The branch in it.
        identity: Who places commits.
        dedicated: Whether a remote without any branch may get ours as its first.
    """

    repository: Repository
    branch: Branch
    identity: Identity
    dedicated: bool = False

    def replay(
        self,
        onto: Replay,
        queue: list[CommitInfo],
        *,
        placed: frozenset[str] = frozenset(),
        aside: frozenset[str] = frozenset(),
    ) -> list[str]:
        """Replay a queue, oldest first.

        Args:
            onto: Where, and on what.
            queue: Commits of the local branch.
            placed: Ops that the remote has already.
            aside: Ops to leave out.

        Returns:
            The ops that were replayed, in order.
        """
        done: list[str] = []
        for commit in queue:
            record = Record.parse(commit.message)
            if record is None or record.op in placed:
                continue
            original = self._original(commit, record)
            if record.op in aside:
                onto.set_aside(original)
            else:
                onto.apply(original, record)
                done.append(record.op)
        return done

    def _original(self, commit: CommitInfo, record: Record) -> CommitInfo:
        """The commit first acknowledged; a replayed one names it."""
        if record.origin and self.repository.objects.has(record.origin):
            return self.repository.objects.commit(record.origin)
        return commit
