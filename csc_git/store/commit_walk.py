"""Walks along the history of the branch. Each commit of the branch has at most one parent."""

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
"""A search back to a given time ends when more than this many commits in a row are older."""

_LATELY: Final = timedelta(days=1)


class Commits(Protocol):
    """An object from which commits can be read."""

    def commit(self, commit_id: str) -> CommitInfo:
        """Return the content of a commit."""


def record_of(commit: CommitInfo) -> Record:
    """Return the record of a commit.

    If somebody edits a file of the branch on a web page, the new commit has no trailers of csc-git.
    For a commit without these trailers, this function makes a record. The new record has the author
    and the time of the commit, and the id of the commit as `op`.
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
    """Return whether this clone has a commit with the given id.

    Args:
        commits: The Git objects to read from.
        name: The id. If the id is None, the result is False.
    """
    if name is None:
        return False
    with suppress(StoreDamaged):
        return bool(commits.commit(name))
    return False


def ancestry(commits: Commits, tip: str | None) -> Iterator[CommitInfo]:
    """Yield a commit and its ancestors, newest first.

    Args:
        commits: The Git objects to read from.
        tip: The newest commit. If `tip` is None, no commit is yielded.
    """
    while tip is not None:
        commit = commits.commit(tip)
        yield commit
        tip = commit.parent


def lineage(objects: Reads, tip: str | None) -> Iterator[CommitInfo]:
    """Yield a commit and its ancestors, then the commits of histories that rotations replaced.

    Args:
        objects: The Git objects to read from. If this clone does not have a replaced history, the
            walk ends before that history.
        tip: The newest commit. If `tip` is None, no commit is yielded.
    """
    while tip is not None:
        root = tip
        for commit in ancestry(objects, tip):
            yield commit
            root = commit.id
        tip = _previous(objects, root)


def _previous(objects: Reads, root: str) -> str | None:
    """Return the tip of the older history that a root commit continues.

    The result is None if this clone does not have that tip.
    """
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
    """Return the commits that are in the history of `tip` but not in the history of `base`.

    These are the commits `base..tip`, oldest first. Both histories are walked at the same time, and
    the walk ends at the first commit that both histories contain. So the walk is short even if
    `base` is not an ancestor of `tip`. For instance, `base` is not an ancestor of `tip` if the
    process crashed after moving the base and before moving the tip.

    Args:
        commits: The Git objects to read from.
        base: The older commit. If `base` is None, the whole history of `tip` is returned.
        tip: The newer commit. If `tip` is None, the result is empty.
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
    """From a newest-first list, return the commits newer than `fork`, sorted oldest first."""
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
    """Return the commits after `base`, up to and including `tip`, oldest first.

    Args:
        commits: The Git objects to read from.
        base: The older commit.
        tip: The newer commit.
        most: The largest number of commits to read; if None, there is no limit.

    Returns:
        The commits. The result is None if `base` is not among the commits that were read.
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
    """Return the commits that may be replayed copies of the given edits, newest first.

    When an edit is replayed, its new commit gets a `Csc-Clock` that is not earlier than the
    `Csc-Clock` of the original commit. A commit has an earlier `Csc-Clock` than its parent commit
    only if the clock of a machine was wrong. So the walk ends when many commits in a row have an
    earlier `Csc-Clock` than all the edits. For instance, a new clone of a branch with a million
    commits need not read all commits.

    Args:
        commits: The Git objects to read from.
        tip: The newest commit of the history.
        edits: The edits to look for.
        now: The current time by this machine's clock.
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
        commits: The Git objects to read from.
        tip: The newest commit; None if the history is empty.
        now: The current time by this machine's clock. A `Csc-Clock` that is too far in
            the future is ignored.

    Returns:
        The `Csc-Clock`; None if the newest commits have no `Csc-Clock` that can be used.
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
    """Return the commit that removed a key; None if no such commit is found.

    Args:
        objects: The Git objects to read from.
        key: The key, which has no value now.
        tip: The newest commit of the history.
        fork: The commit at which the full search ends: all commits from the tip down to this commit
            are searched. None if there is no such commit.
        since: The time back to which the commits older than `fork` are searched. Commits older than
            `fork` must be searched because a replayed edit may have been made on a state older than
            `fork`.
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
            continue  # a rotation: its tree has the same keys as the previous history
        before = Snapshot(objects, commit.parent)
        if before.revision(key) is not None:
            return commit
    return None


def _not_older(
    commits: Iterable[CommitInfo],
    time: datetime,
) -> Iterator[CommitInfo]:
    """Yield commits, newest first.

    Stop when more than `_MANY` commits in a row are older than `time`. A single older commit does
    not end the walk, because the clock of that commit's machine may have been slow.
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
    """Return whether a commit's `Csc-Clock` is before a time.

    The result is False if the commit has no `Csc-Clock`.
    """
    record = Record.parse(commit.message)
    return record is not None and record.clock < time


def commits_back_to(
    objects: Reads,
    old: str | None,
    tip: str | None,
    most: int,
) -> Iterator[CommitInfo]:
    """Yield a commit and its ancestors, newest first. Stop before `old`.

    Args:
        objects: The Git objects to read from.
        old: The older commit at which to stop; this commit is not yielded. If None, the whole
            history is yielded.
        tip: The newest commit. If `tip` is None, no commit is yielded.
        most: The largest number of commits to read.
    """
    for commit in islice(lineage(objects, tip), most):
        if commit.id == old:
            return
        yield commit
