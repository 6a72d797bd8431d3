"""Continuation: how what the remote has goes on from what this clone knows, or why it does not."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from csc_git.core.pace import Pace
from csc_git.core.remote_state import RemoteState
from csc_git.errors import FormatTooNew
from csc_git.git.failure import RemoteFailure
from csc_git.git.objects.commit import CommitInfo
from csc_git.git.remote import Remote
from csc_git.store.commit_walk import (
    Commits,
    ancestry,
    descent,
    made_since,
    since,
)
from csc_git.store.recovery import Permit, fork_of
from csc_git.store.replica import Replica
from csc_git.store.rotation import continued
from csc_git.store.snapshot import Format, Snapshot
from csc_git.text import count

_NEAR: Final = 5000


@dataclass(frozen=True)
class Continuation:
    """How what was fetched continues what this clone knows.

    Attributes:
        news: Commits of the remote among which edits of the queue may be.
        fork: The last commit both sides have, also where a rotation lies between; None: none.
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
    """Whether a history contains a commit."""
    return tip is not None and descent(commits, commit, tip) is not None


@dataclass(frozen=True)
class Continuations:
    """Finds out how a fetched commit continues what a clone knows.

    Attributes:
        replica: The clone's side.
        remote: The other; asked for histories that a rotation kept.
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
        self, fetched: str, base: str | None, queue: list[CommitInfo]
    ) -> Continuation:
        """How what was fetched continues what we know.

        A clone that joins is spared the walk over the whole history: what the remote has is wanted
        only to see which edits of the queue arrived already.

        Raises:
            RemoteFailure: it is no continuation, and no person has decided how to go on.
        """
        objects = self.replica.repository.objects
        theirs = self._format(fetched)
        if theirs is None:
            raise RemoteFailure(RemoteState.NOT_A_STORE)
        if base is None:
            made = (
                made_since(objects, fetched, queue, self.now) if queue else []
            )
            return Continuation(made, None, queue)
        ours = self._format(base)
        if ours is not None and ours.store != theirs.store:
            return self._join(fetched, queue)
        news = descent(objects, base, fetched, most=_NEAR)
        if news is None and self.replica.repository.is_ancestor(base, fetched):
            news = descent(objects, base, fetched)
            if news is None:  # in a merge that somebody made by hand
                return Continuation(
                    list(ancestry(objects, fetched)), None, queue
                )
        if news is not None:
            writers = {commit.committer for commit in news}
            self.pace.saw(
                writers - {self.replica.identity.machine}, time.monotonic()
            )
            # What the base has and the tip lacks was placed by an attempt that died between them.
            placed = [*since(objects, self.replica.branch.tip, base), *news]
            return Continuation(placed, base, queue, rewritten=False)
        branch = self.replica.branch.name
        rotated = continued(
            self.replica.repository, self.remote, branch, base, fetched
        )
        if rotated is not None:
            return Continuation(rotated, base, queue)
        return self._rewrite(fetched, base, queue)

    def _join(self, fetched: str, queue: list[CommitInfo]) -> Continuation:
        """The remote has another store than this clone."""
        if not self.permit.join:
            raise RemoteFailure(RemoteState.OTHER_STORE)
        objects = self.replica.repository.objects
        return Continuation(
            list(ancestry(objects, fetched)), None, queue, joins=True
        )

    def _rewrite(
        self, fetched: str, base: str, queue: list[CommitInfo]
    ) -> Continuation:
        """The remote no longer has what it had confirmed."""
        objects = self.replica.repository.objects
        if self.permit.rewrite:
            return Continuation(list(ancestry(objects, fetched)), None, queue)
        lost = since(objects, fetched, base)
        if not self.permit.restore:
            behind = contains(objects, base, fetched)
            state = RemoteState.BEHIND if behind else RemoteState.REWRITTEN
            raise RemoteFailure(
                state, f"it lacks {count(len(lost), 'confirmed edit')}"
            )
        fork = fork_of(objects, base, fetched)
        news = since(objects, fork, fetched)
        if fork is None:  # even the first commit is another one
            return Continuation(news, None, queue, joins=True)
        return Continuation(news, fork, [*lost, *queue])

    def _format(self, commit: str) -> Format | None:
        try:
            return Snapshot(self.replica.repository.objects, commit).format()
        except FormatTooNew as error:
            raise RemoteFailure(RemoteState.TOO_NEW, error.what) from error
