"""Continuation: how the remote's branch continues the commits that this clone already knows.

These cases are checked in this order:

1. This clone has no base, because the clone is new. The new clone takes over the remote's branch.
2. The remote's branch belongs to another store.
3. The remote's tip is the base, or descends from the base. So the remote may have newer edits.
4. There are rotations between the base and the remote's tip.
5. The remote has lost commits that it had confirmed.

In cases 2 and 5, the sync goes on only after a person's decision; see `store.sync.recovery`.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from csc_git.core.commit import CommitInfo
from csc_git.core.pace import Pace
from csc_git.core.remote_failure import RemoteFailure
from csc_git.core.remote_state import RemoteState
from csc_git.errors import FormatTooNew
from csc_git.git.remote import Remote
from csc_git.store.commit_walk import (
    Commits,
    ancestry,
    descent,
    made_since,
    since,
)
from csc_git.store.sync.recovery import Permit, fork_of
from csc_git.store.sync.replica import Replica
from csc_git.store.sync.rotation import continued
from csc_git.store.tree.snapshot import Format, Snapshot
from csc_git.text import count

_NEAR: Final = 5000
"""If the base is not among this many newest commits, git checks if the base is an ancestor."""


@dataclass(frozen=True)
class Continuation:
    """How a fetched commit continues the commits that this clone knows.

    Attributes:
        news: Commits of the remote that may be copies of edits in the queue.
        fork: The last commit that both this clone and the remote have; None if there is no such
            commit. After a rotation, this commit may be in the replaced history.
        queue: The edits to replay on the fetched commit, oldest first.
        rewritten: False if the remote only added commits to the history that this clone knows;
            otherwise True.
        joins: Whether this clone's confirmed values must be joined with the remote's store before
            the replay.
    """

    news: list[CommitInfo]
    fork: str | None
    queue: list[CommitInfo]
    rewritten: bool = True
    joins: bool = False


def contains(commits: Commits, tip: str | None, commit: str) -> bool:
    """Return whether a history contains a commit.

    Args:
        commits: The Git objects to read from.
        tip: The history's newest commit; None if the history is empty.
        commit: The commit to look for.
    """
    if tip is None:
        return False
    return descent(commits, commit, tip) is not None


@dataclass(frozen=True)
class Continuations:
    """Finds out how a fetched commit continues the commits that a clone knows.

    Attributes:
        replica: This clone's copy of the branch; see `Replica`.
        remote: The remote. If a rotation has replaced a history, the old history is fetched from
            the remote.
        now: The current time by this machine's clock.
        permit: A person's decisions on what to do if the remote has lost commits.
        pace: The object that decides when this clone syncs. This object is also notified of the
            machines that made the fetched edits.
    """

    replica: Replica
    remote: Remote
    now: datetime
    permit: Permit
    pace: Pace

    def of(
        self,
        fetched: str,
        base: str | None,
        queue: list[CommitInfo],
    ) -> Continuation:
        """Find out how a fetched commit continues the commits that the clone knows.

        Args:
            fetched: The remote's tip.
            base: The clone's base; None if the clone has no base.
            queue: The clone's queue.

        Raises:
            RemoteFailure: the fetched commit does not continue the commits that the clone knows,
                and no person has decided how to go on.
        """
        theirs = self._format(fetched)
        if theirs is None:
            raise RemoteFailure(RemoteState.NOT_A_STORE)
        if base is None:  # case 1
            return self._begin(fetched, queue)
        ours = self._format(base)
        if ours is not None and ours.store != theirs.store:  # case 2
            return self._join(fetched, queue)
        found = self._newer(fetched, base, queue)  # case 3
        if found is not None:
            return found
        repository = self.replica.repository
        branch = self.replica.branch.name
        news = continued(repository, self.remote, branch, base, fetched)
        if news is not None:  # case 4
            return Continuation(news, base, queue)
        return self._rewrite(fetched, base, queue)  # case 5

    def _begin(self, fetched: str, queue: list[CommitInfo]) -> Continuation:
        """Handle case 1: this clone has no base.

        The remote's history is read only to find queued edits that the remote already has. So a
        clone with an empty queue does not read the remote's history.
        """
        news: list[CommitInfo] = []
        if queue:
            objects = self.replica.repository.objects
            news = made_since(objects, fetched, queue, self.now)
        return Continuation(news, None, queue)

    def _join(self, fetched: str, queue: list[CommitInfo]) -> Continuation:
        """Handle case 2: join both stores if a person decided to join them."""
        if not self.permit.join:
            raise RemoteFailure(RemoteState.OTHER_STORE)
        news = list(ancestry(self.replica.repository.objects, fetched))
        return Continuation(news, None, queue, joins=True)

    def _newer(
        self,
        fetched: str,
        base: str,
        queue: list[CommitInfo],
    ) -> Continuation | None:
        """Handle case 3. Return None if the fetched commit does not descend from the base."""
        repository = self.replica.repository
        objects = repository.objects
        news = descent(objects, base, fetched, most=_NEAR)
        if news is None:
            if not repository.is_ancestor(base, fetched):
                return None
            news = descent(objects, base, fetched)
        if news is None:  # somebody merged the base by hand
            everything = list(ancestry(objects, fetched))
            return Continuation(everything, None, queue)
        writers = {commit.committer for commit in news}
        writers.discard(self.replica.identity.machine)
        self.pace.saw(writers, time.monotonic())
        # If an attempt died before moving the tip, the base has replayed edits that the tip lacks.
        placed = since(objects, self.replica.branch.tip, base)
        return Continuation([*placed, *news], base, queue, rewritten=False)

    def _rewrite(
        self,
        fetched: str,
        base: str,
        queue: list[CommitInfo],
    ) -> Continuation:
        """Handle case 5: accept the remote's history, or make the lost edits again on top of it."""
        objects = self.replica.repository.objects
        if self.permit.rewrite:
            everything = list(ancestry(objects, fetched))
            return Continuation(everything, None, queue)
        lost = since(objects, fetched, base)
        if not self.permit.restore:
            state = RemoteState.REWRITTEN
            if contains(objects, base, fetched):
                state = RemoteState.BEHIND
            edits = count(len(lost), "confirmed edit")
            raise RemoteFailure(state, f"the remote lacks {edits}")
        fork = fork_of(objects, base, fetched)
        news = since(objects, fork, fetched)
        if fork is None:  # the first commits also differ
            return Continuation(news, None, queue, joins=True)
        return Continuation(news, fork, [*lost, *queue])

    def _format(self, commit: str) -> Format | None:
        objects = self.replica.repository.objects
        try:
            return Snapshot(objects, commit).format()
        except FormatTooNew as error:
            raise RemoteFailure(RemoteState.TOO_NEW, error.what) from error
