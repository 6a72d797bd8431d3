"""One attempt to sync.

1. Fetch the branch.
2. Check that the fetched commit belongs to the same store, and contains all commits that the
   remote had confirmed. If not, stop.
3. Replay the queue on the fetched commit, each edit from its original commit. Skip edits that the
   remote already has.
4. Push the whole queue at once, with a lease: the push fails if the remote's branch is no longer at
   the fetched commit.
5. If another clone pushed first, wait for a random time and go back to step 1. If the remote
   declines the content of the push, find the edits that the remote declines, park these edits, and
   go back to step 1.

If the connection breaks before a push is answered, the same push is not repeated. The next fetch
shows whether the edits arrived on the remote. Edits that arrived are removed from the queue.
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
"""An attempt fails if the remote's branch stays unchanged during this many lost races in a row."""

_OLDEST: Final = 32
"""After a lost race, a queue longer than this is split: first, only this many edits are pushed."""

_SILENT: Final = frozenset(
    {RemoteState.TIMEOUT, RemoteState.UNREACHABLE, RemoteState.NO_GIT}
)
"""If a push fails with one of these states, a fetch would fail for the same reason."""

Progress = Callable[[str], None]
"""A function that is called with a short text about each step."""


@dataclass
class Attempt:
    """One attempt to sync. Each round of an attempt fetches, replays and pushes once.

    Attributes:
        replica: This clone's copy of the branch; see `Replica`.
        remote: The remote.
        now: The current time by this machine's clock.
        permit: A person's decisions on what to do if the remote has lost commits.
        progress: A function that is called with a short text about each step.
        reasons: The reason why each parked edit is parked. The dict's keys are the edits' ops. The
            attempt adds new reasons to this dict.
        pace: The object that decides when to try again. This object is also notified of the
            machines that made the fetched edits.
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
        """Fetch, replay and push again and again, until the remote has all edits of this clone.

        Args:
            wait: A function that waits for the given number of seconds, and returns whether to give
                up.

        Raises:
            RemoteFailure: the attempt failed before the remote had all edits of this clone.
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
                self.progress("another clone pushed first; trying again")
                chance = random.random()  # noqa: S311  jitter
                seconds = self.pace.retry(number, time.monotonic(), chance)
                if wait(seconds):
                    break
        raise RemoteFailure(RemoteState.CONTENDED, f"{MAX_ROUNDS} rounds")

    def _is_unchanged(self) -> bool:
        """Return whether the remote's branch stayed unchanged during several lost races.

        If the branch did not change, no other clone has pushed, and our pushes were refused for
        another reason. But in a real race, the branch can also seem unchanged a few times in a row:
        our push is refused because another push has locked the ref, and our next fetch runs before
        that push moves the ref.
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
        """Fetch, replay and push once. Return whether the remote then has all our edits."""
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
            what = "this clone's tip does not contain the fetched commit"
            raise RemoteFailure(RemoteState.FAILED, what)
        return self._push_or_park(tip, fetched, branch.queue(tip=tip))

    def _push_or_park(
        self,
        tip: str,
        fetched: str | None,
        queue: list[CommitInfo],
    ) -> bool:
        """Push the queue (step 4), or park the edits that the remote declines (step 5).

        Returns:
            Whether the remote accepted the whole queue.
        """
        try:
            self._push(tip, fetched, len(queue))
        except RemoteFailure as failure:
            if failure.state is not RemoteState.DECLINED:
                raise
            self.progress(
                "the remote declined the push; finding out which edit is the reason"
            )
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
        """Return whether the remote will probably accept a push without an earlier fetch.

        The push will probably be accepted if no other clone writes. A push without a fetch is safe:
        if the remote's branch has moved since this clone's last contact, the push is refused.
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
            return False  # a fetch finds out the exact reason
        return True

    def _push(self, tip: str, expected: str | None, edits: int) -> None:
        """Push a commit, and record that the remote has confirmed the commit."""
        self.progress(f"pushing {count(edits, 'edit')}")
        self.remote.push(tip, expected)
        with self.replica.repository.writing():
            self.replica.branch.confirm(tip)
        chance = random.random()  # noqa: S311  jitter
        self.pace.took(time.monotonic(), chance)

    def _check_missing(self) -> None:
        """Check that this clone may make the branch on a remote that does not have the branch.

        A new clone makes a new store only if nothing shows that the remote had a store before. If a
        person has decided to recreate a lost branch, csc-git begins with the last known commit of
        that branch. The last known commit is this clone's base, or a commit that is found in the
        user's own repository.
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
        """Adopt the last known commit of the lost branch, unless our tip contains that commit."""
        branch = self.replica.branch
        known = branch.base  # an interrupted attempt may have moved the base
        if known is None:
            known = self.remote.recall()
        if known is not None and not self._contains(branch.tip, known):
            self._adopt(known)

    def _adopt(self, fetched: str) -> None:
        """Make the fetched commit the base, and replay the queue on that commit."""
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
            late = branch.after(seen)  # edits that this clone made meanwhile
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
        """Return whether an earlier attempt was interrupted between moving the tip and the base.

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
        """Return whether our tip has all lost edits and a person wants to push them again.

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
        """Replay edits on a commit.

        Returns:
            The batch of new objects, the replay, and the ops of edits that were refused without a
            conflict record.
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
        """After a lost race, push only the oldest edits of a long queue.

        While this clone replays, another clone can push first. If the replay of a whole queue takes
        longer than the time between the pushes of other clones, this clone would lose every race.

        Returns:
            The remote's tip after the push.
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
        # If this push fails, the push of the whole queue will report the reason.
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
        """Delete the temporary refs of this attempt.

        If the refs can't be deleted, the attempt does not fail, because the refs do no harm.
        """
        with suppress(StorageFailed), self.replica.repository.writing():
            self.replica.branch.tidy()


def _ops(commits: list[CommitInfo]) -> frozenset[str]:
    return frozenset(record_of(commit).op for commit in commits)
