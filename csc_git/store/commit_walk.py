"""Walks along the branch, which is one line of commits."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import chain, islice, zip_longest
from typing import Final, Protocol

from csc_git.core.clock import is_ahead
from csc_git.core.commit import CommitInfo
from csc_git.core.edit import Record
from csc_git.core.key import Key
from csc_git.errors import StoreDamaged
from csc_git.store.tree.snapshot import Reads, Snapshot

_CLOCK_SEARCH: Final = 1000
_MANY: Final = 64
"""Older commits in a row after which a walk by time ends."""

_LATELY: Final = timedelta(days=1)


class Commits(Protocol):
    """Where commits are read from."""

    def commit(self, commit_id: str) -> CommitInfo:
        """Return the content of a commit."""


def record_of(commit: CommitInfo) -> Record:
    """Return the record of a commit; of one made by hand, a record made from the commit itself.

    Somebody who edits a file of the branch on a web page makes a commit without our trailers. The
    record then has the commit's author and time, and its id as `op`.
    """
    record = Record.parse(commit.message)
    if record is not None:
        return record
    name, _, _ = commit.author.rpartition(" <")
    subject, _, _ = commit.message.partition("\n")
    return Record(
        subject,
        commit.id,
        name or commit.author,
        commit.author_time,
    )


def is_commit(commits: Commits, name: str | None) -> bool:
    """Return whether an id is that of a commit in this clone.

    Args:
        commits: Where to read.
        name: The id; None is no commit.
    """
    if name is None:
        return False
    with suppress(StoreDamaged):
        return bool(commits.commit(name))
    return False


def ancestry(commits: Commits, tip: str | None) -> Iterator[CommitInfo]:
    """Yield a commit and its ancestors, newest first.

    Args:
        commits: Where to read.
        tip: The commit; None yields nothing.
    """
    while tip is not None:
        commit = commits.commit(tip)
        yield commit
        tip = commit.parent


def lineage(objects: Reads, tip: str | None) -> Iterator[CommitInfo]:
    """Yield a commit and its ancestors, and go on to the histories that rotations replaced.

    Args:
        objects: Where to read; a replaced history that isn't there ends the walk.
        tip: The commit; None yields nothing.
    """
    while tip is not None:
        root = tip
        for commit in ancestry(objects, tip):
            yield commit
            root = commit.id
        tip = _previous(objects, root)


def _previous(objects: Reads, root: str) -> str | None:
    """Return the tip of the history that a root continues; None if that isn't in this clone."""
    format_file = Snapshot(objects, root).format()
    if format_file is None:
        return None
    if not is_commit(objects, format_file.previous):
        return None
    return format_file.previous


def since(
    commits: Commits,
    base: str | None,
    tip: str | None,
) -> list[CommitInfo]:
    """Return `base..tip` as git means it, oldest first: what `tip` has and `base` hasn't.

    Both sides are walked in step. So a base that is not an ancestor, as after a crash between
    moving the base and moving the tip, costs the distance to the fork and not the whole history.

    Args:
        commits: Where to read.
        base: The older commit; None for all that `tip` has.
        tip: The newer one; None for an empty result.
    """
    mine: dict[str, CommitInfo] = {}
    theirs: set[str] = set()
    both = zip_longest(ancestry(commits, tip), ancestry(commits, base))
    for ours, other in both:
        if other is not None:
            theirs.add(other.id)
        if ours is not None:
            mine[ours.id] = ours
        for commit in (ours, other):
            if commit and commit.id in theirs and commit.id in mine:
                return _newer_than(commit, mine.values())
    return list(reversed(mine.values()))


def _newer_than(
    fork: CommitInfo,
    newest_first: Iterable[CommitInfo],
) -> list[CommitInfo]:
    """Return the commits before `fork` in a list that has it, oldest first."""
    newer: list[CommitInfo] = []
    for commit in newest_first:
        if commit.id == fork.id:
            break
        newer.append(commit)
    return newer[::-1]


def descent(
    commits: Commits,
    base: str,
    tip: str,
    most: int | None = None,
) -> list[CommitInfo] | None:
    """Return the commits after `base` up to `tip`, oldest first.

    Args:
        commits: Where to read.
        base: The older commit.
        tip: The newer one.
        most: How many commits to read; None for all.

    Returns:
        The commits; None if `base` is not among the ancestors that were read.
    """
    found: list[CommitInfo] = []
    for commit in islice(ancestry(commits, tip), most):
        if commit.id == base:
            return found[::-1]
        found.append(commit)
    return None


def made_since(
    commits: Commits,
    tip: str,
    edits: Sequence[CommitInfo],
    now: datetime,
) -> list[CommitInfo]:
    """Return the commits up to `tip`, newest first, among which some edits may be.

    An edit is placed with a `Csc-Clock` that is not before its own, and these fall along a branch
    only where a machine's clock was wrong. So the walk ends where many in a row are older than all
    the edits, and a clone that joins a branch of a million commits need not read them all.

    Args:
        commits: Where to read.
        tip: Where to begin.
        edits: The edits.
        now: The wall clock.
    """
    walk = ancestry(commits, tip)
    records = [Record.parse(edit.message) for edit in edits]
    clocks = [record.clock for record in records if record is not None]
    if not clocks or any(abs(now - clock) > _LATELY for clock in clocks):
        return list(walk)
    return list(_not_older(walk, min(clocks)))


def high_water(
    commits: Commits,
    tip: str | None,
    now: datetime,
) -> datetime | None:
    """Return the latest `Csc-Clock` of a history.

    Args:
        commits: Where to read.
        tip: The newest commit; None for an empty history.
        now: The wall clock. A `Csc-Clock` that is too far ahead of it is passed over.

    Returns:
        The time; None if the newest commits have none.
    """
    for commit in islice(ancestry(commits, tip), _CLOCK_SEARCH):
        record = Record.parse(commit.message)
        if record is not None and not is_ahead(record.clock, now):
            return record.clock
    return None


def deletion(
    objects: Reads,
    key: Key,
    tip: str,
    fork: str | None,
    since: datetime,
) -> CommitInfo | None:
    """Return the commit that removed a key which is absent now; None if none is found.

    Args:
        objects: Where to read.
        key: The key.
        tip: Where to begin.
        fork: Look at all commits after this one; None if there is no such commit.
        since: Look further back only at commits that are not older: an edit that was replayed
            before may have been made on a state from before the fork.
    """
    after_fork: list[CommitInfo] = []
    walk = lineage(objects, tip)
    if fork is not None:
        for commit in walk:
            after_fork.append(commit)
            if commit.id == fork:
                break
    for commit in chain(after_fork, _not_older(walk, since)):
        if commit.parent is None:
            continue  # a rotation: it has what the history before it had
        before = Snapshot(objects, commit.parent)
        if before.revision(key) is not None:
            return commit
    return None


def _not_older(
    commits: Iterable[CommitInfo],
    time: datetime,
) -> Iterator[CommitInfo]:
    """Yield commits, newest first, until many in a row entered the history before a time.

    A single one may be there because its machine's clock was behind.
    """
    older = 0
    for commit in commits:
        if _is_older(commit, time):
            older += 1
        else:
            older = 0
        if older > _MANY:
            return
        yield commit


def _is_older(commit: CommitInfo, time: datetime) -> bool:
    """Return whether a commit entered the history before a time; False for one made by hand."""
    record = Record.parse(commit.message)
    return record is not None and record.clock < time


def commits_back_to(
    objects: Reads,
    old: str | None,
    tip: str | None,
    most: int,
) -> Iterator[CommitInfo]:
    """Yield a commit and its ancestors, newest first, up to but without `old`.

    Args:
        objects: Where to read.
        old: Where to end; None for the whole lineage.
        tip: The commit; None yields nothing.
        most: How many commits to read.
    """
    for commit in islice(lineage(objects, tip), most):
        if commit.id == old:
            return
        yield commit
