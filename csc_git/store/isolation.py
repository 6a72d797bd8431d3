"""Isolation: finding the edits that the remote declines for what they contain.

A secret scanner that objects to one edit among a hundred must hold back that one alone. The
longest prefix of the queue that the remote takes is found by bisection (what it takes on the way
is progress, not a test), the edit behind it is set aside, and the rest is replayed without it.

A remote that takes nothing at all isn't objecting to an edit: then none is held, and the failure
stands as it came.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from csc_git.core.edit import Record
from csc_git.git.commit import CommitInfo
from csc_git.git.failure import RemoteFailure, RemoteState
from csc_git.git.remote import Remote
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
    onto, expected = fetched or queue[0].parent, fetched
    assert onto is not None  # noqa: S101  a queue stands on something
    chain, suspects, taken = [commit.id for commit in queue], dict[str, CommitInfo](), False
    said: dict[str, str] = {}
    while chain:
        if not taken and len(suspects) == MAX_SUSPECTS:
            aside = [*suspects.values(), *queue[:-1]]  # the others only for this try
            newest = _without(replica, onto, aside, queue[-1:], now)[-1]
            taken = _declines(remote, newest, expected) is None
            onto = newest if taken else onto
            break
        count, words = _push_prefix(remote, chain, expected)
        if count:
            onto = expected = chain[count - 1]
            taken = True
        if count == len(chain):
            break
        culprit, queue = queue[count], queue[count + 1 :]
        op = _op(culprit)
        suspects[op], said[op] = culprit, words or failure.detail
        chain = _without(replica, onto, list(suspects.values()), queue, now)
    if not taken:
        raise failure
    with replica.repository.writing():
        for op, commit in suspects.items():
            replica.branch.hold(op, commit.id)
    return Isolation({op: said[op] for op in suspects}, onto)


def _push_prefix(remote: Remote, chain: Sequence[str], expected: str | None) -> tuple[int, str]:
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


def _without(
    replica: Replica,
    onto: str,
    suspects: Sequence[CommitInfo],
    rest: list[CommitInfo],
    now: datetime,
) -> list[str]:
    """The rest of a queue, replayed as if the suspects had not been made."""
    batch = replica.repository.batch()
    replay = replica.replay_on(batch, onto, None, now)
    aside = frozenset(map(_op, suspects))
    replica.replay(replay, [*suspects, *rest], aside=aside)
    with replica.repository.writing():
        replica.branch.name_for_now(replay.tip, batch)
    return replay.placed


def _op(commit: CommitInfo) -> str:
    record = Record.parse(commit.message)
    return record.op if record else commit.id
