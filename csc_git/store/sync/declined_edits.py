"""Declined edits: finding the edits that the remote declines because of their content.

If a secret scanner objects to one edit of a hundred, only that edit should be parked. The steps
are:

1. By bisection, find how many edits the remote accepts, counted from the start of the queue. The
   edits that the remote accepts during this search stay pushed.
2. Set aside the next edit, replay the rest of the queue without that edit, and go back to step 1.
3. If many edits were set aside and the remote has accepted no edit, push only the newest edit, as a
   last try.
4. If the remote accepted any edit, park the edits that were set aside. If the remote accepted no
   edit, park nothing and report the original failure, because the reason is not the content of a
   single edit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from csc_git.core.commit import CommitInfo
from csc_git.core.remote_failure import RemoteFailure
from csc_git.core.remote_state import RemoteState
from csc_git.git.remote import Remote
from csc_git.store.commit_walk import record_of
from csc_git.store.sync.replica import Replica

MAX_SUSPECTS: Final = 16
"""If this many edits were declined and no edit was accepted, only one more push is tried."""


@dataclass(frozen=True)
class Isolation:
    """The result of `isolate`.

    Attributes:
        reasons: The remote's message for each edit that is parked now. The dict's keys are the
            edits' ops.
        taken: The last commit that the remote accepted.
    """

    reasons: dict[str, str]
    taken: str


def isolate(
    replica: Replica,
    remote: Remote,
    fetched: str | None,
    queue: list[CommitInfo],
    failure: RemoteFailure,
    now: datetime,
) -> Isolation:
    """Push the edits that the remote accepts, and park the edits that it declines.

    Args:
        replica: This clone's copy of the branch; see `Replica`.
        remote: The remote.
        fetched: The tip of the remote's branch; None if the remote does not have the branch yet.
        queue: The commits of the declined push. These commits are based on the remote's tip.
        failure: The failure of the declined push.
        now: The current time by this machine's clock.

    Raises:
        RemoteFailure: the remote accepted no edit.
        LostRace: another clone pushed meanwhile.
    """
    onto = fetched or queue[0].parent
    assert onto is not None  # noqa: S101  the queue has no root commit
    sieve = _Sieve(
        replica=replica,
        remote=remote,
        now=now,
        onto=onto,
        expected=fetched,
        rest=queue,
        chain=[commit.id for commit in queue],
    )
    while sieve.chain:
        sieve.push(failure)
        if sieve.chain and sieve.seems_closed():
            sieve.push_newest_alone()
    if not sieve.has_taken:
        raise failure
    with replica.repository.writing():
        for op, commit in sieve.suspects.items():
            replica.branch.park(op, commit.id)
    return Isolation(sieve.reasons, sieve.onto)


@dataclass
class _Sieve:
    """The progress of `isolate`: which edits were accepted, set aside, or not tried yet.

    Attributes:
        replica: This clone's copy of the branch; see `Replica`.
        remote: The remote.
        now: The current time by this machine's clock.
        onto: The commit on which the remaining edits are replayed.
        expected: The tip of the remote's branch; None if the remote does not have the branch.
        rest: The remaining edits, which were neither accepted nor set aside.
        chain: The new commits of the remaining edits. The first of these commits is on top of
            `onto`.
        suspects: The edits that were set aside, by op.
        reasons: The remote's message for each edit that was set aside. The dict's keys are the
            edits' ops.
        has_taken: Whether the remote accepted any edit.
    """

    replica: Replica
    remote: Remote
    now: datetime
    onto: str
    expected: str | None
    rest: list[CommitInfo]
    chain: list[str]
    suspects: dict[str, CommitInfo] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    has_taken: bool = False

    def push(self, failure: RemoteFailure) -> None:
        """Push as many edits as the remote accepts (step 1). Set aside the next edit (step 2)."""
        taken, reason = _push_prefix(self.remote, self.chain, self.expected)
        if taken:
            last = self.chain[taken - 1]
            self.onto = last
            self.expected = last
            self.has_taken = True
        if taken == len(self.chain):
            self.chain = []
        else:
            self._set_aside(taken, reason or failure.detail)

    def seems_closed(self) -> bool:
        """Return whether many edits were declined and no edit was accepted.

        If so, the edits were probably declined for another reason than their content.
        """
        return not self.has_taken and len(self.suspects) == MAX_SUSPECTS

    def push_newest_alone(self) -> None:
        """Push only the newest edit, as a last try (step 3). The other edits stay in the queue."""
        *others, newest = self.rest
        aside = [*self.suspects.values(), *others]
        commit = self._without(aside, [newest])[-1]
        if _declines(self.remote, commit, self.expected) is None:
            self.onto = commit
            self.has_taken = True
        self.chain = []

    def _set_aside(self, index: int, reason: str) -> None:
        culprit = self.rest[index]
        op = record_of(culprit).op
        self.suspects[op] = culprit
        self.reasons[op] = reason
        self.rest = self.rest[index + 1 :]
        self.chain = self._without(list(self.suspects.values()), self.rest)

    def _without(
        self,
        suspects: list[CommitInfo],
        rest: list[CommitInfo],
    ) -> list[str]:
        """Replay `rest` as if the suspects had never been made, and return the new commits."""
        replica = self.replica
        batch = replica.repository.batch()
        replay = replica.replay_on(batch, self.onto, None, self.now)
        replica.replay(
            replay,
            [*suspects, *rest],
            aside=frozenset(record_of(commit).op for commit in suspects),
        )
        with replica.repository.writing():
            replica.branch.name_for_now(replay.tip, batch)
        return replay.placed


def _push_prefix(
    remote: Remote,
    chain: Sequence[str],
    expected: str | None,
) -> tuple[int, str]:
    """Push as many edits as the remote accepts, from the start of a chain of edits.

    Returns:
        The number of accepted edits, and the remote's message for the first declined edit.
    """
    reason = _declines(remote, chain[-1], expected)
    if reason is None:
        return len(chain), ""
    taken = 0
    declined = len(chain)
    while declined - taken > 1:
        middle = (taken + declined) // 2
        commit = chain[middle - 1]
        answer = _declines(remote, commit, expected)
        if answer is None:
            taken = middle
            expected = commit
        else:
            declined = middle
            reason = answer
    return taken, reason


def _declines(remote: Remote, commit: str, expected: str | None) -> str | None:
    """Push a commit. Return the remote's message if the commit is declined, otherwise None."""
    try:
        remote.push(commit, expected)
    except RemoteFailure as failure:
        if failure.state is not RemoteState.DECLINED:
            raise
        return failure.detail
    return None
