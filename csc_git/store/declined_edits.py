"""Isolation: finding the edits that the remote declines for what they contain.

A secret scanner that objects to one edit among a hundred must hold back that one alone. The
longest prefix of the queue that the remote takes is found by bisection (what it takes on the way
is progress, not a test), the edit behind it is set aside, and the rest is replayed without it.

A remote that takes nothing at all does not object to an edit: then none is parked, and the failure
stands as it came.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from csc_git.core.remote_state import RemoteState
from csc_git.git.failure import RemoteFailure
from csc_git.git.objects.commit import CommitInfo
from csc_git.git.remote import Remote
from csc_git.store.commit_walk import record_of
from csc_git.store.replica import Replica

MAX_SUSPECTS: Final = 16
"""Edits set aside with nothing taken, before one last try with the newest edit alone."""


@dataclass(frozen=True)
class Isolation:
    """What came of it.

    Attributes:
        said: The remote's words about each edit that is held now, by op.
        taken: The last commit that the remote took.
    """

    said: dict[str, str]
    taken: str


def isolate(
    replica: Replica,
    remote: Remote,
    fetched: str | None,
    queue: list[CommitInfo],
    failure: RemoteFailure,
    now: datetime,
) -> Isolation:
    """Push what the remote takes, and hold what it doesn't.

    Args:
        replica: This clone's side.
        remote: The other.
        fetched: What its branch was at; None if it has none yet.
        queue: The declined edits, as they stand on it.
        failure: How it declined them.
        now: The wall clock.

    Raises:
        RemoteFailure: it took nothing.
        LostRace: somebody else pushed meanwhile.
    """
    onto = fetched or queue[0].parent
    assert onto is not None  # noqa: S101  a queue stands on something
    sieve = _Sieve(
        replica,
        remote,
        now,
        onto,
        fetched,
        queue,
        [commit.id for commit in queue],
    )
    while sieve.chain:
        sieve.push(failure)
        if sieve.chain and sieve.seems_closed():
            sieve.push_newest_alone()
    if not sieve.taken:
        raise failure
    with replica.repository.writing():
        for op, commit in sieve.suspects.items():
            replica.branch.park(op, commit.id)
    return Isolation(sieve.said, sieve.onto)


@dataclass
class _Sieve:
    """What the remote lets through, and what stays behind.

    Attributes:
        onto: The commit that what is left is replayed on.
        expected: What the remote's branch is at.
        rest: The edits that are left.
        chain: The same as commits on `onto`, each on the one before.
        suspects: The edits set aside, by op.
        said: The remote's words about each.
        taken: Whether the remote took anything.
    """

    replica: Replica
    remote: Remote
    now: datetime
    onto: str
    expected: str | None
    rest: list[CommitInfo]
    chain: list[str]
    suspects: dict[str, CommitInfo] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    taken: bool = False

    def push(self, failure: RemoteFailure) -> None:
        """Push what goes through, and set the edit behind it aside."""
        count, words = _push_prefix(self.remote, self.chain, self.expected)
        if count:
            self.onto = self.expected = self.chain[count - 1]
            self.taken = True
        if count == len(self.chain):
            self.chain = []
        else:
            self._set_aside(count, words or failure.detail)

    def seems_closed(self) -> bool:
        """Whether all of many were declined, so that their content can't be the reason."""
        return not self.taken and len(self.suspects) == MAX_SUSPECTS

    def push_newest_alone(self) -> None:
        """The last try; the others are left out of this one only, and stay in the queue."""
        aside, newest = (
            [*self.suspects.values(), *self.rest[:-1]],
            self.rest[-1:],
        )
        commit = self._without(aside, newest)[-1]
        if _declines(self.remote, commit, self.expected) is None:
            self.onto, self.taken = commit, True
        self.chain = []

    def _set_aside(self, index: int, words: str) -> None:
        culprit, self.rest = self.rest[index], self.rest[index + 1 :]
        op = _op(culprit)
        self.suspects[op], self.said[op] = culprit, words
        self.chain = self._without([*self.suspects.values()], self.rest)

    def _without(
        self, suspects: list[CommitInfo], rest: list[CommitInfo]
    ) -> list[str]:
        """Some edits, replayed as if the suspects had not been made."""
        batch = self.replica.repository.batch()
        replay = self.replica.replay_on(batch, self.onto, None, self.now)
        self.replica.replay(
            replay, [*suspects, *rest], aside=frozenset(map(_op, suspects))
        )
        with self.replica.repository.writing():
            self.replica.branch.name_for_now(replay.tip, batch)
        return replay.placed


def _push_prefix(
    remote: Remote, chain: Sequence[str], expected: str | None
) -> tuple[int, str]:
    """Push as many edits of a chain as the remote takes: how many, and its last refusal."""
    words = _declines(remote, chain[-1], expected)
    if words is None:
        return len(chain), ""
    taken, declined = 0, len(chain)
    while declined - taken > 1:
        middle = (taken + declined) // 2
        answer = _declines(remote, chain[middle - 1], expected)
        if answer is None:
            taken, expected = middle, chain[middle - 1]
        else:
            declined, words = middle, answer
    return taken, words


def _declines(remote: Remote, commit: str, expected: str | None) -> str | None:
    """The remote's words if it declines a push; None if it takes it."""
    try:
        remote.push(commit, expected)
    except RemoteFailure as failure:
        if failure.state is not RemoteState.DECLINED:
            raise
        return failure.detail
    return None


def _op(commit: CommitInfo) -> str:
    return record_of(commit).op
