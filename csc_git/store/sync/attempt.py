"""One attempt to sync.

1. Fetch the branch.
2. Check that it is the same store and contains everything that the remote had confirmed before.
   If not, stop.
3. Replay the queue on it, each edit from its original commit. Edits that arrived already are left
   out.
4. Push the whole queue at once, with a lease on what was fetched: the remote's compare-and-set.
5. If another clone pushed first, wait for a random time and begin again with 1. If the remote
   declines what the push contains, find the edits at fault, park them, and begin again with 1.

A push whose answer was cut off is not repeated as it was: the next fetch shows whether its edits
arrived, and those leave the queue.
"""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from csc_git.core.commit import CommitInfo
from csc_git.core.pace import Pace
from csc_git.core.remote_failure import RemoteFailure
from csc_git.core.remote_state import RemoteState
from csc_git.errors import LostRace, StorageFailed
from csc_git.git.objects.batch import Batch
from csc_git.git.remote import Remote
from csc_git.store.commit_walk import record_of
from csc_git.store.sync.continuation import (
    Continuation,
    Continuations,
    contains,
)
from csc_git.store.sync.declined_edits import isolate
from csc_git.store.sync.recovery import Permit, joined
from csc_git.store.sync.replay import Replay
from csc_git.store.sync.replica import Replica
from csc_git.store.tree.snapshot import Snapshot
from csc_git.text import count

MAX_ROUNDS: Final = 12
_UNCHANGED: Final = 4
"""Lost races in a row, with the same branch fetched, after which it was no race."""

_OLDEST: Final = 32
"""Edits of a longer queue that are pushed alone after a lost race."""

_SILENT: Final = frozenset(
    {RemoteState.TIMEOUT, RemoteState.UNREACHABLE, RemoteState.NO_GIT}
)
"""States in which a fetch would learn no more than the push did."""

Progress = Callable[[str], None]
"""Receives a few words about what is being done."""


@dataclass
class Attempt:
    """The rounds of one attempt.

    Attributes:
        replica: This clone's side.
        remote: The other side.
        now: The wall clock.
        permit: What a person has decided.
        progress: Receives what is being done.
        reasons: Receives why edits were parked, by op.
        pace: Decides when to try again; it is notified of the machines whose edits were found.
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
        """Make rounds until the remote has everything.

        Args:
            wait: Waits for some seconds, and returns whether to give up instead.

        Raises:
            RemoteFailure: the remote does not have everything, for the reason given.
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
                if self._is_unchanged():
                    raise RemoteFailure(RemoteState.FAILED, lost.what) from lost
                self.progress("somebody else pushed first; trying again")
                chance = random.random()  # noqa: S311  jitter
                seconds = self.pace.retry(number, time.monotonic(), chance)
                if wait(seconds):
                    break
        raise RemoteFailure(RemoteState.CONTENDED, f"{MAX_ROUNDS} rounds")

    def _is_unchanged(self) -> bool:
        """Return whether the remote's branch is the same after several lost races.

        Then nobody pushed, and it was no race. Once or twice this happens in a race too: the
        winner's push holds the ref's lock, so ours is refused, and our fetch comes before the ref
        has moved.
        """
        self._lost_at.append(self._fetched)
        last = self._lost_at[-_UNCHANGED:]
        return last == [self._fetched] * _UNCHANGED

    def _measured_round(self) -> bool:
        began = time.monotonic()
        try:
            return self._round()
        finally:
            self.pace.measured(time.monotonic() - began)

    def _round(self) -> bool:
        """Fetch, replay and push once; return whether the remote then has everything."""
        if self._may_push_first() and self._pushes_first():
            return True
        self.progress("fetching")
        fetched = self.remote.fetch()  # step 1
        self._fetched = fetched
        if fetched is None:
            self._check_missing()  # step 2
        else:
            onto = fetched
            if self._lost_at:
                onto = self._push_oldest(fetched)
            self._adopt(onto)  # steps 2 and 3
            fetched = self._fetched
        branch = self.replica.branch
        tip = branch.tip
        if tip is None or tip == fetched:
            return True
        if fetched is None:
            queue = branch.unbased_queue(tip)
            return self._push_or_park(tip, None, queue)
        if not self._contains(tip, fetched):
            what = "the tip here lacks what was fetched"
            raise RemoteFailure(RemoteState.FAILED, what)
        return self._push_or_park(tip, fetched, branch.queue(tip=tip))

    def _push_or_park(
        self,
        tip: str,
        fetched: str | None,
        queue: list[CommitInfo],
    ) -> bool:
        """Push the queue (step 4), or park what the remote declines of it (step 5).

        Returns:
            Whether the remote took the whole queue.
        """
        try:
            self._push(tip, fetched, len(queue))
        except RemoteFailure as failure:
            if failure.state is not RemoteState.DECLINED:
                raise
            self.progress("the remote declined something; finding which edit")
            found = isolate(
                self.replica,
                self.remote,
                fetched,
                queue,
                failure,
                self.now,
            )
            self.reasons |= found.reasons
            self._adopt(found.taken)
            return False
        return True

    def _may_push_first(self) -> bool:
        """Return whether a push without a fetch before it is likely to be taken.

        It is if nobody else writes. The lease makes it safe: if the remote's branch is not where
        this clone left it, the push is refused.
        """
        branch = self.replica.branch
        if self.pace.others(time.monotonic()) or self.permit.is_given:
            return False
        if branch.base is None or branch.parked():
            return False
        return bool(branch.queue())

    def _pushes_first(self) -> bool:
        branch = self.replica.branch
        tip = branch.tip
        base = branch.base
        if tip is None or base is None or not self._contains(tip, base):
            return False
        queue = branch.queue(tip=tip)
        try:
            self._push(tip, base, len(queue))
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
        chance = random.random()  # noqa: S311  jitter
        self.pace.took(time.monotonic(), chance)

    def _check_missing(self) -> None:
        """Check that this clone may make the branch, which the remote does not have.

        A new clone makes a new store only where nothing shows that the remote had one. If a person
        wants the branch back, it begins with what the user's own repository has of it.
        """
        branch = self.replica.branch
        if self.permit.recreate:
            self._recreate()
            return
        if branch.base is not None:
            raise RemoteFailure(RemoteState.DELETED)
        trace = self.remote.trace()
        if trace:
            what = f"this repository still has {trace}"
            raise RemoteFailure(RemoteState.DELETED, what)
        may_be_first = self.replica.dedicated or branch.tip is None
        if not may_be_first and not self.remote.has_branches():
            raise RemoteFailure(RemoteState.EMPTY)

    def _recreate(self) -> None:
        """Adopt what the tip lacks of the branch that the remote had."""
        branch = self.replica.branch
        known = branch.base  # an attempt that was cut short may have moved it
        if known is None:
            known = self.remote.recall()
        if known is not None and not self._contains(branch.tip, known):
            self._adopt(known)

    def _adopt(self, fetched: str) -> None:
        """Make what was fetched the base, with the queue replayed on it."""
        branch = self.replica.branch
        repository = self.replica.repository
        base = branch.base
        seen = branch.tip
        parked = branch.parked()
        queue: list[CommitInfo] = []
        if seen is not None:
            queue = branch.queue(tip=seen)
        is_adopted = fetched == base and self._contains(seen, fetched)
        if is_adopted and not parked.keys() & _ops(queue):
            return
        if self._was_cut_short(fetched) or self._goes_forward(fetched):
            with repository.writing():
                branch.confirm(fetched)
            return
        found = self._continuations.of(fetched, base, queue)
        placed: frozenset[str] = frozenset()
        if found.queue:
            edits = count(len(found.queue), "edit")
            self.progress(f"replaying {edits}")
            placed = _ops(found.news)
        batch, replay, silent = self._replayed(
            fetched,
            found,
            found.queue,
            placed,
        )
        with repository.writing():
            late = branch.after(seen)  # edits made here during the replay
            if late and not placed:
                placed = _ops(found.news)
            if all(map(self.replica.pending.includes, silent)):
                self.replica.replay(
                    replay,
                    late,
                    placed=placed,
                    aside=frozenset(parked),
                    answers_pending=True,
                )
            else:  # an author stopped waiting during the replay
                batch, replay, _ = self._replayed(
                    fetched,
                    found,
                    [*found.queue, *late],
                    placed,
                )
            branch.move(replay.tip, fetched, batch, rewritten=found.rewritten)

    def _was_cut_short(self, fetched: str) -> bool:
        """Return whether an attempt ended after it moved the tip to a new history, before the base.

        Args:
            fetched: The remote's tip.
        """
        branch = self.replica.branch
        base = branch.base
        tip = branch.tip
        if base is None or not self._contains(tip, fetched):
            return False
        if self._contains(tip, base):
            return False
        return not self._contains(base, fetched)

    def _goes_forward(self, fetched: str) -> bool:
        """Return whether a rewound remote is to get back what it lost, and our tip has all of it.

        Args:
            fetched: The remote's tip.
        """
        branch = self.replica.branch
        base = branch.base
        tip = branch.tip
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
        answers_pending: bool = True,
    ) -> tuple[Batch, Replay, list[str]]:
        """Make edits again on a commit.

        Returns:
            The new objects, the replay, and the ops that were refused without a record.
        """
        replica = self.replica
        repository = replica.repository
        parked = replica.branch.parked()
        batch = repository.batch()
        if found.joins:
            ours = Snapshot(batch, replica.branch.base)
            onto = joined(batch, ours, onto, replica.identity, self.now)
        replay = replica.replay_on(batch, onto, found.fork, self.now)
        for op in parked.keys() - _ops(edits):
            original = repository.objects.commit(parked[op])
            replay.set_aside(original)
        silent = replica.replay(
            replay,
            edits,
            placed=placed,
            aside=frozenset(parked),
            answers_pending=answers_pending,
        )
        return batch, replay, silent

    def _push_oldest(self, fetched: str) -> str:
        """After a lost race, push the oldest edits of a long queue alone.

        Another clone can push first while this one replays. A clone whose queue takes longer to
        replay than the time between the others' pushes would lose every race.

        Returns:
            The remote's tip afterwards.
        """
        replica = self.replica
        queue = replica.branch.queue()
        if len(queue) <= _OLDEST:
            return fetched
        found = self._continuations.of(fetched, replica.branch.base, queue)
        batch, replay, _ = self._replayed(
            fetched,
            found,
            found.queue[:_OLDEST],
            _ops(found.news),
            answers_pending=False,
        )
        with replica.repository.writing():
            replica.branch.name_for_now(replay.tip, batch)
        self.progress(f"pushing the first {_OLDEST} of {len(queue):,} edits")
        # What is wrong shows again when the whole queue is pushed.
        with suppress(RemoteFailure):
            self.remote.push(replay.tip, fetched)
            self._fetched = replay.tip
        return self._fetched or fetched

    def _contains(self, tip: str | None, commit: str) -> bool:
        return contains(self.replica.repository.objects, tip, commit)

    @property
    def _continuations(self) -> Continuations:
        return Continuations(
            self.replica,
            self.remote,
            self.now,
            self.permit,
            self.pace,
        )

    def _tidy(self) -> None:
        """Remove refs of this attempt.

        Nothing depends on it, so an attempt has not failed only because the disk refuses this.
        """
        with suppress(StorageFailed), self.replica.repository.writing():
            self.replica.branch.tidy()


def _ops(commits: list[CommitInfo]) -> frozenset[str]:
    return frozenset(record_of(commit).op for commit in commits)
