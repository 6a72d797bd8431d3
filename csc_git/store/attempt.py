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
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from csc_git.core.pace import Pace
from csc_git.core.remote_state import RemoteState
from csc_git.errors import StorageFailed
from csc_git.git.failure import RemoteFailure
from csc_git.git.objects.batch import Batch
from csc_git.git.objects.commit import CommitInfo
from csc_git.git.remote import LostRace, Remote
from csc_git.store.commit_walk import record_of
from csc_git.store.continuation import Continuation, Continuations, contains
from csc_git.store.declined_edits import isolate
from csc_git.store.recovery import Permit, joined
from csc_git.store.replay import Replay
from csc_git.store.replica import Replica
from csc_git.store.snapshot import Snapshot
from csc_git.text import count

MAX_ROUNDS: Final = 12
_STILL: Final = 4
_OLDEST: Final = 32
"""Edits that are pushed alone after a lost race, of a longer queue."""

_NEAR: Final = 5000
_SILENT: Final = frozenset(
    {RemoteState.TIMEOUT, RemoteState.UNREACHABLE, RemoteState.NO_GIT}
)
Progress = Callable[[str], None]
"""Told, in a few words, what is being done."""


@dataclass
class Attempt:
    """The rounds of one attempt.

    Attributes:
        replica: This clone's side.
        remote: The other.
        now: The wall clock.
        permit: What a person has decided.
        progress: Called with what is being done.
        reasons: Gets why edits were set aside, by op.
        pace: When to try again; is passed whose edits were found.
    """

    replica: Replica
    remote: Remote
    now: datetime
    permit: Permit
    progress: Progress
    reasons: dict[str, str]
    pace: Pace
    _fetched: str | None = None
    _lost_at: list[str | None] = field(default_factory=list)

    def run(self, wait: Callable[[float], bool]) -> None:
        """Go on until the remote has everything.

        Raises:
            RemoteFailure: something stands in the way.
        """
        try:
            self._go_on(wait)
        finally:
            self._tidy()

    def _go_on(self, wait: Callable[[float], bool]) -> None:
        for number in range(1, MAX_ROUNDS + 1):
            try:
                if self._measured_round():
                    return
            except LostRace as lost:
                if self._stands_still():
                    raise RemoteFailure(RemoteState.FAILED, str(lost)) from lost
                self.progress("somebody else pushed first; trying again")
                chance = random.random()  # noqa: S311  jitter
                if wait(self.pace.retry(number, time.monotonic(), chance)):
                    break
        raise RemoteFailure(RemoteState.CONTENDED, f"{MAX_ROUNDS} rounds")

    def _stands_still(self) -> bool:
        """Whether nobody pushed although we lost again and again: then it was no race.

        Now and then that happens in a race too: the winner's push holds the ref's lock, so ours is
        refused, and our fetch comes before it has moved.
        """
        self._lost_at.append(self._fetched)
        return self._lost_at[-_STILL:] == [self._fetched] * _STILL

    def _measured_round(self) -> bool:
        began = time.monotonic()
        try:
            return self._round()
        finally:
            self.pace.measured(time.monotonic() - began)

    def _round(self) -> bool:
        """Fetch, replay and push once; whether that was all."""
        if self._may_push_first() and self._pushes_first():
            return True
        self.progress("fetching")
        fetched = self._fetched = self.remote.fetch()
        if fetched is None:
            self._check_missing()
        else:
            self._adopt(
                self._push_oldest(fetched) if self._lost_at else fetched
            )
            fetched = self._fetched
        branch = self.replica.branch
        tip = branch.tip
        if tip is None or tip == fetched:
            return True
        if fetched is not None and not self._contains(tip, fetched):
            raise RemoteFailure(
                RemoteState.FAILED, "the tip here lacks what was fetched"
            )
        queue = branch.queue(tip=tip) if fetched else branch.unbased_queue(tip)
        try:
            self._push(tip, fetched, len(queue))
        except RemoteFailure as failure:
            if failure.state is not RemoteState.DECLINED:
                raise
            self.progress("the remote declined something; finding which edit")
            found = isolate(
                self.replica, self.remote, fetched, queue, failure, self.now
            )
            self.reasons |= found.said
            self._adopt(found.taken)
            return False
        return True

    def _may_push_first(self) -> bool:
        """Whether a push without a fetch before it is likely to be taken: nobody else writes.

        The lease makes it safe: the remote's branch is where we left it, or the push is refused.
        """
        branch = self.replica.branch
        alone = (
            not self.pace.others(time.monotonic()) and not self.permit.is_given
        )
        return (
            alone
            and branch.base is not None
            and not branch.parked()
            and bool(branch.queue())
        )

    def _pushes_first(self) -> bool:
        branch = self.replica.branch
        tip, base = branch.tip, branch.base
        if tip is None or base is None or not self._contains(tip, base):
            return False
        try:
            self._push(tip, base, len(branch.queue(tip=tip)))
        except LostRace:
            return False
        except RemoteFailure as failure:
            if failure.state in _SILENT:
                raise
            return False  # a fetch reports better what is wrong
        return True

    def _push(self, tip: str, expected: str | None, edits: int) -> None:
        """Push, and note that the remote has it."""
        self.progress(f"pushing {count(edits, 'edit')}")
        self.remote.push(tip, expected)
        with self.replica.repository.writing():
            self.replica.branch.confirm(tip)
        self.pace.took(time.monotonic(), random.random())  # noqa: S311  jitter

    def _check_missing(self) -> None:
        """The remote has no such branch: may we make it?

        A new clone founds a store only where nothing shows that the remote had one. Where a person
        wants the branch back, it begins with what the user's own repository has of it.
        """
        branch = self.replica.branch
        if self.permit.recreate:
            # What the tip lacks: what git has of the branch, or what a cut attempt had confirmed.
            known = self.remote.recall() if branch.base is None else branch.base
            if known is not None and not self._contains(branch.tip, known):
                self._adopt(known)
            return
        if branch.base is not None:
            raise RemoteFailure(RemoteState.DELETED)
        if trace := self.remote.trace():
            raise RemoteFailure(
                RemoteState.DELETED, f"this repository still has {trace}"
            )
        may = self.replica.dedicated or branch.tip is None
        if not may and not self.remote.has_branches():
            raise RemoteFailure(RemoteState.EMPTY)

    def _adopt(self, fetched: str) -> None:
        """Make what was fetched the base, with the queue replayed on it."""
        branch, repository = self.replica.branch, self.replica.repository
        base, seen, held = branch.base, branch.tip, branch.parked()
        queue = branch.queue(tip=seen) if seen else []
        if (
            fetched == base
            and self._contains(seen, fetched)
            and not held.keys() & _ops(queue)
        ):
            return
        if self._was_cut_short(fetched) or self._goes_forward(fetched):
            with repository.writing():
                branch.confirm(fetched)
            return
        found = self._continuations.of(fetched, base, queue)
        if found.queue:
            self.progress(f"replaying {count(len(found.queue), 'edit')}")
        placed = _ops(found.news) if found.queue else frozenset()
        batch, replay, silent = self._replayed(
            fetched, found, found.queue, placed
        )
        with repository.writing():
            late = branch.after(seen)  # edits made here while we replayed
            if late and not placed:
                placed = _ops(found.news)
            if all(map(self.replica.waiting.includes, silent)):
                options = {"placed": placed, "aside": frozenset(held)}
                self.replica.replay(replay, late, **options, heeding=True)
            else:  # somebody gave up waiting while we replayed
                edits = [*found.queue, *late]
                batch, replay, _ = self._replayed(fetched, found, edits, placed)
            branch.move(replay.tip, fetched, batch, rewritten=found.rewritten)

    def _was_cut_short(self, fetched: str) -> bool:
        """Whether an attempt ended after it moved the tip to a new history, before the base."""
        base, tip = self.replica.branch.base, self.replica.branch.tip
        if (
            base is None
            or not self._contains(tip, fetched)
            or self._contains(tip, base)
        ):
            return False
        return not self._contains(base, fetched)

    def _goes_forward(self, fetched: str) -> bool:
        """Whether a person wants back what a rewound remote lost, and our tip has all of it."""
        base, tip = self.replica.branch.base, self.replica.branch.tip
        if not self.permit.restore or base is None:
            return False
        return self._contains(base, fetched) and self._contains(tip, base)

    def _replayed(
        self,
        onto: str,
        found: Continuation,
        edits: list[CommitInfo],
        placed: frozenset[str],
        *,
        heeding: bool = True,
    ) -> tuple[Batch, Replay, list[str]]:
        """Edits made again on a commit: their objects, the replay, ops refused without a record."""
        repository, held = self.replica.repository, self.replica.branch.parked()
        batch = repository.batch()
        if found.joins:
            ours = Snapshot(batch, self.replica.branch.base)
            onto = joined(batch, ours, onto, self.replica.identity, self.now)
        replay = self.replica.replay_on(batch, onto, found.fork, self.now)
        for op in held.keys() - _ops(edits):
            replay.set_aside(repository.objects.commit(held[op]))
        silent = self.replica.replay(
            replay, edits, placed=placed, aside=frozenset(held), heeding=heeding
        )
        return batch, replay, silent

    def _push_oldest(self, fetched: str) -> str:
        """After a lost race, push the oldest edits of a long queue alone; what the remote has then.

        The time between fetch and push is the time to be overtaken in. A clone whose queue takes
        longer to replay than the others leave between their pushes would lose for ever.
        """
        queue = self.replica.branch.queue()
        if len(queue) <= _OLDEST:
            return fetched
        found = self._continuations.of(fetched, self.replica.branch.base, queue)
        oldest, placed = found.queue[:_OLDEST], _ops(found.news)
        batch, replay, _ = self._replayed(
            fetched, found, oldest, placed, heeding=False
        )
        with self.replica.repository.writing():
            self.replica.branch.name_for_now(replay.tip, batch)
        self.progress(f"pushing the first {_OLDEST} of {len(queue):,} edits")
        with suppress(
            RemoteFailure
        ):  # what is wrong shows again when all are pushed
            self.remote.push(replay.tip, fetched)
            self._fetched = replay.tip
        return self._fetched or fetched

    def _contains(self, tip: str | None, commit: str) -> bool:
        return contains(self.replica.repository.objects, tip, commit)

    @property
    def _continuations(self) -> Continuations:
        return Continuations(
            self.replica, self.remote, self.now, self.permit, self.pace
        )

    def _tidy(self) -> None:
        """Nothing depends on it, so a disk that refuses is no reason to call the attempt failed."""
        with suppress(StorageFailed), self.replica.repository.writing():
            self.replica.branch.tidy()


def _ops(commits: list[CommitInfo]) -> frozenset[str]:
    return frozenset(record_of(commit).op for commit in commits)
