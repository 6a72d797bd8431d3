"""Declined edits: finding the edits that the remote declines for their content.

If a secret scanner objects to one edit of a hundred, only that one is to be parked:

1. Find the longest prefix of the queue that the remote takes, by bisection. What it takes on the
   way stays pushed.
2. Set aside the edit behind that prefix, replay the rest without it, and begin again with 1.
3. If many edits were set aside and the remote took nothing at all, push the newest edit alone, as
   a last try.
4. If the remote took anything, park the edits that were set aside. If it took nothing, it does not
   object to an edit: park none, and report the failure as it was.
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
"""Edits set aside with nothing taken, before one last try with the newest edit alone."""


@dataclass(frozen=True)
class Isolation:
    """The result of `isolate`.

    Attributes:
        reasons: Why the remote declined each edit that is parked now, in its own words, by op.
        taken: The last commit that the remote took.
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
    """Push what the remote takes, and park what it declines.

    Args:
        replica: This clone's side.
        remote: The other side.
        fetched: The tip of its branch; None if it has none yet.
        queue: The declined edits, as commits on that tip.
        failure: How it declined them.
        now: The wall clock.

    Raises:
        RemoteFailure: it took nothing.
        LostRace: somebody else pushed meanwhile.
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
    """What the remote has taken, what was set aside, and what is left.

    Attributes:
        replica: This clone's side.
        remote: The other side.
        now: The wall clock.
        onto: The commit that what is left is replayed on.
        expected: The tip of the remote's branch; None if it has none.
        rest: The edits that are left.
        chain: The same as commits on `onto`, each on the one before.
        suspects: The edits set aside, by op.
        reasons: Why the remote declined each of them, by op.
        has_taken: Whether the remote took anything.
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
        """Push the longest prefix (step 1), and set aside the edit behind it (step 2)."""
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
        """Return whether many edits were declined and none taken.

        Then their content is unlikely to be the reason.
        """
        return not self.has_taken and len(self.suspects) == MAX_SUSPECTS

    def push_newest_alone(self) -> None:
        """Try once more (step 3). The other edits are left out here only, and stay in the queue."""
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
        """Replay some edits as if the suspects had not been made; return the new commits."""
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
    """Push as many edits of a chain as the remote takes.

    Returns:
        How many it took, and why it declined the next one in its own words.
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
    """Push; return the remote's words if it declines, and None if it takes the commit."""
    try:
        remote.push(commit, expected)
    except RemoteFailure as failure:
        if failure.state is not RemoteState.DECLINED:
            raise
        return failure.detail
    return None
