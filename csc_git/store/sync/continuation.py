"""Continuation: how what the remote has continues what this clone knows, or why it does not.

The cases, in this order:

1. This clone has no base: it joins the branch.
2. The remote has another store.
3. The remote's tip descends from the base: it has newer edits.
4. There are rotations between the base and the remote's tip.
5. The remote no longer has what it had confirmed.

In cases 2 and 5 a person must have decided how to go on; see `store.sync.recovery`.
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
"""Commits that are read before git is asked whether the base is an ancestor."""


@dataclass(frozen=True)
class Continuation:
    """How what was fetched continues what this clone knows.

    Attributes:
        news: Commits of the remote among which edits of the queue may be.
        fork: The last commit both sides have, also where a rotation lies between; None if there is
            none.
        queue: The edits to make again on it, oldest first.
        rewritten: Whether the tip here shares no line of commits with it.
        joins: Whether this clone's confirmed values are joined with another store first.
    """

    news: list[CommitInfo]
    fork: str | None
    queue: list[CommitInfo]
    rewritten: bool = True
    joins: bool = False


def contains(commits: Commits, tip: str | None, commit: str) -> bool:
    """Return whether a history contains a commit.

    Args:
        commits: Where to read.
        tip: The history's newest commit; None for an empty history.
        commit: The commit.
    """
    if tip is None:
        return False
    return descent(commits, commit, tip) is not None


@dataclass(frozen=True)
class Continuations:
    """Finds out how a fetched commit continues what a clone knows.

    Attributes:
        replica: The clone's side.
        remote: The other side; asked for histories that rotations replaced.
        now: The wall clock.
        permit: What a person has decided.
        pace: Notified of the machines whose edits were found.
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
        """Find out how a fetched commit continues what the clone knows.

        Args:
            fetched: The remote's tip.
            base: The clone's base; None if it has none.
            queue: The clone's queue.

        Raises:
            RemoteFailure: the commit is not a continuation, and no person has decided how to go on.
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
        """Case 1. What the remote has is read only to find edits that arrived already.

        So a clone with an empty queue need not read the whole history.
        """
        news: list[CommitInfo] = []
        if queue:
            objects = self.replica.repository.objects
            news = made_since(objects, fetched, queue, self.now)
        return Continuation(news, None, queue)

    def _join(self, fetched: str, queue: list[CommitInfo]) -> Continuation:
        """Case 2. Both stores are joined, if a person decided so."""
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
        """Case 3; None where it does not apply."""
        repository = self.replica.repository
        objects = repository.objects
        news = descent(objects, base, fetched, most=_NEAR)
        if news is None:
            if not repository.is_ancestor(base, fetched):
                return None
            news = descent(objects, base, fetched)
        if news is None:  # the base is in a merge that somebody made by hand
            everything = list(ancestry(objects, fetched))
            return Continuation(everything, None, queue)
        writers = {commit.committer for commit in news}
        writers.discard(self.replica.identity.machine)
        self.pace.saw(writers, time.monotonic())
        # An attempt that died before it moved the tip placed what the base has and the tip lacks.
        placed = since(objects, self.replica.branch.tip, base)
        return Continuation([*placed, *news], base, queue, rewritten=False)

    def _rewrite(
        self,
        fetched: str,
        base: str,
        queue: list[CommitInfo],
    ) -> Continuation:
        """Case 5. The remote's history is accepted, or what it lacks is made again on it."""
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
            raise RemoteFailure(state, f"it lacks {edits}")
        fork = fork_of(objects, base, fetched)
        news = since(objects, fork, fetched)
        if fork is None:  # even the first commit is another one
            return Continuation(news, None, queue, joins=True)
        return Continuation(news, fork, [*lost, *queue])

    def _format(self, commit: str) -> Format | None:
        objects = self.replica.repository.objects
        try:
            return Snapshot(objects, commit).format()
        except FormatTooNew as error:
            raise RemoteFailure(RemoteState.TOO_NEW, error.what) from error
