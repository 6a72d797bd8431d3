"""One attempt to sync.

1. Fetch the branch.
2. Check that it is the same store and contains what it had confirmed before; else stop.
3. Replay the queue on it, each edit from its original commit, leaving out what arrived already.
4. Push the whole queue at once, with a lease on what was fetched: the remote's compare-and-set.
5. Somebody else was faster: wait a random while, and again from 1. The remote declines what the
   push contains: find the edits at fault, hold them, and go on with the rest.

A push whose answer was cut off is never repeated blindly: the next fetch shows whether its ops
arrived, and those leave the queue.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from csc_git.core.backoff import Backoff
from csc_git.core.edit import Record
from csc_git.errors import FormatTooNew
from csc_git.git.batch import Batch
from csc_git.git.commit import CommitInfo
from csc_git.git.failure import RemoteFailure, RemoteState
from csc_git.git.remote import LostRace, Remote
from csc_git.store.history import ancestry, descent
from csc_git.store.isolation import isolate
from csc_git.store.replay import Replay
from csc_git.store.replica import Replica
from csc_git.store.snapshot import Format, Snapshot

MAX_ROUNDS: Final = 12
_RETRY: Final = Backoff(first=0.1, most=2.0)

Progress = Callable[[str], None]
"""Told, in a few words, what is being done."""


@dataclass(frozen=True)
class Permit:
    """What a person has decided.

    Attributes:
        rewrite: Go on from a history that no longer contains what it had confirmed.
        recreate: Put back a branch that the remote no longer has.
    """

    rewrite: bool = False
    recreate: bool = False


@dataclass
class Attempt:
    """The rounds of one attempt.

    Attributes:
        replica: This clone's side.
        remote: The other.
        now: The wall clock.
        permit: What a person has decided.
        progress: Told what is being done.
        reasons: Gets why edits were set aside, by op.
    """

    replica: Replica
    remote: Remote
    now: datetime
    permit: Permit
    progress: Progress
    reasons: dict[str, str]
    _fetched: str | None = None
    _lost_at: str | None = ""

    def run(self, wait: Callable[[float], bool]) -> None:
        """Go on until the remote has everything.

        Raises:
            RemoteFailure: something stands in the way.
        """
        for number in range(1, MAX_ROUNDS + 1):
            try:
                if self._round():
                    return self._tidy()
            except LostRace as lost:
                if self._stands_still():
                    raise RemoteFailure(RemoteState.FAILED, str(lost)) from lost
                self.progress("somebody else pushed first; trying again")
                if wait(_RETRY.wait(number, random.random())):  # noqa: S311  jitter
                    break
        raise RemoteFailure(RemoteState.CONTENDED, f"{MAX_ROUNDS} rounds")

    def _stands_still(self) -> bool:
        """Whether nobody pushed although we lost twice: then it was no race."""
        first, self._lost_at = self._lost_at, self._fetched
        return first == self._fetched

    def _round(self) -> bool:
        """Fetch, replay and push once; whether that was all."""
        self.progress("fetching")
        fetched = self._fetched = self.remote.fetch()
        if fetched is None:
            self._check_missing()
        else:
            self._adopt(fetched)
        branch = self.replica.branch
        tip = branch.tip
        if tip is None or tip == fetched:
            return True
        if fetched is not None and not self._contains(tip, fetched):
            raise RemoteFailure(RemoteState.FAILED, "the tip here lacks what was fetched")
        queue = branch.queue(tip=tip) if fetched else branch.unbased_queue(tip)
        self.progress(f"pushing {len(queue)} edit{'' if len(queue) == 1 else 's'}")
        try:
            self.remote.push(tip, fetched)
        except RemoteFailure as failure:
            if failure.state is not RemoteState.DECLINED:
                raise
            self.progress("the remote declined something; finding which edit")
            found = isolate(self.replica, self.remote, fetched, queue, failure, self.now)
            self.reasons |= found.said
            self._adopt(found.taken)
            return False
        with self.replica.repository.writing():
            branch.confirm(tip)
        return True

    def _check_missing(self) -> None:
        """The remote has no such branch: may we make it?"""
        branch = self.replica.branch
        if branch.base is not None and not self.permit.recreate:
            raise RemoteFailure(RemoteState.DELETED)
        may = self.replica.dedicated or branch.tip is None
        if not may and not self.remote.has_branches():
            raise RemoteFailure(RemoteState.EMPTY)

    def _adopt(self, fetched: str) -> None:
        """Make what was fetched the base, with the queue replayed on it."""
        branch, repository = self.replica.branch, self.replica.repository
        base, seen, held = branch.base, branch.tip, branch.held()
        queue = branch.queue(tip=seen) if seen else []
        if fetched == base and self._contains(seen, fetched) and not held.keys() & _ops(queue):
            return
        news, fork = self._check(fetched, base, wanted=bool(queue))
        if queue:
            self.progress(f"replaying {len(queue)} edits")
        placed = _ops(news) if queue else frozenset()

        def replayed(edits: list[CommitInfo]) -> tuple[Batch, Replay, list[str]]:
            batch = repository.batch()
            replay = self.replica.replay_on(batch, fetched, fork, self.now)
            for op in held.keys() - _ops(edits):
                replay.set_aside(repository.objects.commit(held[op]))
            ops = self.replica.replay(
                replay, edits, placed=placed, aside=frozenset(held), heeding=True
            )
            return batch, replay, ops

        batch, replay, silent = replayed(queue)
        with repository.writing():
            late = branch.after(seen)  # edits made here while we replayed
            if late and not placed:
                placed = _ops(news)
            if all(map(self.replica.waiting.includes, silent)):
                options = {"placed": placed, "aside": frozenset(held)}
                self.replica.replay(replay, late, **options, heeding=True)
            else:  # somebody gave up waiting while we replayed
                batch, replay, _ = replayed([*queue, *late])
            batch.flush()
            branch.move(replay.tip, fetched, rewritten=fork is None)

    def _contains(self, tip: str | None, commit: str) -> bool:
        return tip is not None and descent(self.replica.repository.objects, commit, tip) is not None

    def _check(
        self, fetched: str, base: str | None, *, wanted: bool
    ) -> tuple[list[CommitInfo], str | None]:
        """What the remote has that we hadn't, and the commit where both sides part.

        A clone that joins without edits of its own is spared the walk over the whole history:
        what the remote has is `wanted` only to see which of them arrived already.

        Raises:
            RemoteFailure: it is no continuation of what we know.
        """
        objects = self.replica.repository.objects
        theirs = self._format(fetched)
        if theirs is None:
            raise RemoteFailure(RemoteState.NOT_A_STORE)
        if base is None:
            return (list(ancestry(objects, fetched)) if wanted else []), None
        ours = self._format(base)
        if ours is not None and ours.store != theirs.store:
            raise RemoteFailure(RemoteState.OTHER_STORE)
        news = descent(objects, base, fetched)
        if news is not None:
            return news, base
        if self.replica.repository.is_ancestor(base, fetched):  # a merge that somebody made by hand
            return list(ancestry(objects, fetched)), None
        if not self.permit.rewrite and theirs.previous != base:
            raise RemoteFailure(RemoteState.REWRITTEN)
        return list(ancestry(objects, fetched)), None

    def _format(self, commit: str) -> Format | None:
        try:
            return Snapshot(self.replica.repository.objects, commit).format()
        except FormatTooNew as error:
            raise RemoteFailure(RemoteState.TOO_NEW, error.what) from error

    def _tidy(self) -> None:
        with self.replica.repository.writing():
            self.replica.branch.tidy()


def _ops(commits: list[CommitInfo]) -> frozenset[str]:
    records = (Record.parse(commit.message) for commit in commits)
    return frozenset(record.op for record in records if record)
