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

from csc_git.core.edit import Record
from csc_git.core.pace import Pace
from csc_git.errors import FormatTooNew, StorageFailed
from csc_git.git.batch import Batch
from csc_git.git.commit import CommitInfo
from csc_git.git.failure import RemoteFailure, RemoteState
from csc_git.git.remote import LostRace, Remote
from csc_git.git.words import count
from csc_git.store.history import ancestry, descent, made_since, since
from csc_git.store.isolation import isolate
from csc_git.store.replay import Replay
from csc_git.store.replica import Replica
from csc_git.store.rotation import continued
from csc_git.store.snapshot import Format, Snapshot

MAX_ROUNDS: Final = 12
_STILL: Final = 4
_OLDEST: Final = 32
"""Edits that are pushed alone after a lost race, of a longer queue."""

_NEAR: Final = 5000
_SILENT: Final = frozenset({RemoteState.TIMEOUT, RemoteState.UNREACHABLE, RemoteState.NO_GIT})
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
        pace: When to try again; told whose edits were found.
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
            self._adopt(self._push_oldest(fetched) if self._lost_at else fetched)
            fetched = self._fetched
        branch = self.replica.branch
        tip = branch.tip
        if tip is None or tip == fetched:
            return True
        if fetched is not None and not self._contains(tip, fetched):
            raise RemoteFailure(RemoteState.FAILED, "the tip here lacks what was fetched")
        queue = branch.queue(tip=tip) if fetched else branch.unbased_queue(tip)
        try:
            self._push(tip, fetched, len(queue))
        except RemoteFailure as failure:
            if failure.state is not RemoteState.DECLINED:
                raise
            self.progress("the remote declined something; finding which edit")
            found = isolate(self.replica, self.remote, fetched, queue, failure, self.now)
            self.reasons |= found.said
            self._adopt(found.taken)
            return False
        return True

    def _may_push_first(self) -> bool:
        """Whether a push without a fetch before it is likely to be taken: nobody else writes.

        The lease makes it safe: the remote's branch is where we left it, or the push is refused.
        """
        branch = self.replica.branch
        alone = not self.pace.others(time.monotonic()) and not self.permit.rewrite
        return alone and branch.base is not None and not branch.held() and bool(branch.queue())

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
            return False  # a fetch tells better what is wrong
        return True

    def _push(self, tip: str, expected: str | None, edits: int) -> None:
        """Push, and note that the remote has it."""
        self.progress(f"pushing {count(edits, 'edit')}")
        self.remote.push(tip, expected)
        with self.replica.repository.writing():
            self.replica.branch.confirm(tip)
        self.pace.took(time.monotonic(), random.random())  # noqa: S311  jitter

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
        news, fork = self._check(fetched, base, queue)
        if queue:
            self.progress(f"replaying {count(len(queue), 'edit')}")
        placed = _ops(news) if queue else frozenset()
        batch, replay, silent = self._replayed(fetched, fork, queue, placed)
        with repository.writing():
            late = branch.after(seen)  # edits made here while we replayed
            if late and not placed:
                placed = _ops(news)
            if all(map(self.replica.waiting.includes, silent)):
                options = {"placed": placed, "aside": frozenset(held)}
                self.replica.replay(replay, late, **options, heeding=True)
            else:  # somebody gave up waiting while we replayed
                batch, replay, _ = self._replayed(fetched, fork, [*queue, *late], placed)
            branch.move(replay.tip, fetched, batch, rewritten=fork is None)

    def _replayed(
        self,
        onto: str,
        fork: str | None,
        edits: list[CommitInfo],
        placed: frozenset[str],
        *,
        heeding: bool = True,
    ) -> tuple[Batch, Replay, list[str]]:
        """Edits made again on a commit: their objects, how it stands, and who was told silently."""
        repository, held = self.replica.repository, self.replica.branch.held()
        batch = repository.batch()
        replay = self.replica.replay_on(batch, onto, fork, self.now)
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
        news, fork = self._check(fetched, self.replica.branch.base, queue)
        batch, replay, _ = self._replayed(fetched, fork, queue[:_OLDEST], _ops(news), heeding=False)
        with self.replica.repository.writing():
            self.replica.branch.name_for_now(replay.tip, batch)
        self.progress(f"pushing the first {_OLDEST} of {len(queue):,} edits")
        with suppress(RemoteFailure):  # what is wrong shows again when all are pushed
            self.remote.push(replay.tip, fetched)
            self._fetched = replay.tip
        return self._fetched or fetched

    def _contains(self, tip: str | None, commit: str) -> bool:
        return tip is not None and descent(self.replica.repository.objects, commit, tip) is not None

    def _check(
        self, fetched: str, base: str | None, queue: list[CommitInfo]
    ) -> tuple[list[CommitInfo], str | None]:
        """What the remote has that we hadn't, and the commit where both sides part.

        A clone that joins is spared the walk over the whole history: what the remote has is wanted
        only to see which edits of the queue arrived already.

        Raises:
            RemoteFailure: it is no continuation of what we know.
        """
        objects = self.replica.repository.objects
        theirs = self._format(fetched)
        if theirs is None:
            raise RemoteFailure(RemoteState.NOT_A_STORE)
        if base is None:
            return (made_since(objects, fetched, queue, self.now) if queue else []), None
        ours = self._format(base)
        if ours is not None and ours.store != theirs.store:
            raise RemoteFailure(RemoteState.OTHER_STORE)
        news = descent(objects, base, fetched, most=_NEAR)
        if news is None and self.replica.repository.is_ancestor(base, fetched):
            news = descent(objects, base, fetched)
            if news is None:  # in a merge that somebody made by hand
                return list(ancestry(objects, fetched)), None
        if news is not None:
            writers = {commit.committer for commit in news}
            self.pace.saw(writers - {self.replica.identity.machine}, time.monotonic())
            # What the base has and the tip lacks was placed by an attempt that died between them.
            return [*since(objects, self.replica.branch.tip, base), *news], base
        branch = self.replica.branch.name
        rotated = continued(self.replica.repository, self.remote, branch, base, fetched)
        if rotated is None and not self.permit.rewrite:
            raise RemoteFailure(RemoteState.REWRITTEN)
        return rotated or list(ancestry(objects, fetched)), None

    def _format(self, commit: str) -> Format | None:
        try:
            return Snapshot(self.replica.repository.objects, commit).format()
        except FormatTooNew as error:
            raise RemoteFailure(RemoteState.TOO_NEW, error.what) from error

    def _tidy(self) -> None:
        """Nothing depends on it, so a disk that refuses is no reason to call the attempt failed."""
        with suppress(StorageFailed), self.replica.repository.writing():
            self.replica.branch.tidy()


def _ops(commits: list[CommitInfo]) -> frozenset[str]:
    records = (Record.parse(commit.message) for commit in commits)
    return frozenset(record.op for record in records if record)
