"""History: walking the branch, which is one line of commits."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import chain, islice, zip_longest
from typing import Final, Protocol

from csc_git.core.clock import is_ahead
from csc_git.core.edit import Record
from csc_git.core.key import Key
from csc_git.errors import StoreDamaged
from csc_git.git.objects.commit import CommitInfo
from csc_git.store.snapshot import Reads, Snapshot

_CLOCK_SEARCH: Final = 1000
_MANY: Final = 64
_LATELY: Final = timedelta(days=1)


class Commits(Protocol):
    """Where commits are read from."""

    def commit(self, commit_id: str) -> CommitInfo:
        """The content of a commit."""


def record_of(commit: CommitInfo) -> Record:
    """The record of a commit; of one that was made by hand, what stands for it.

    Somebody who edits a file of the branch on a web page makes a commit without our trailers. Its
    author and time are the commit's own, and its id serves as `op`.
    """
    name = commit.author.rpartition(" <")[0] or commit.author
    subject = commit.message.partition("\n")[0]
    return Record.parse(commit.message) or Record(
        subject, commit.id, name, commit.author_time
    )


def is_commit(commits: Commits, name: str | None) -> bool:
    """Whether an id is that of a commit that is here."""
    with suppress(StoreDamaged):
        return name is not None and bool(commits.commit(name))
    return False


def ancestry(commits: Commits, tip: str | None) -> Iterator[CommitInfo]:
    """A commit and its ancestors, newest first."""
    while tip is not None:
        commit = commits.commit(tip)
        yield commit
        tip = commit.parent


def lineage(objects: Reads, tip: str | None) -> Iterator[CommitInfo]:
    """As `ancestry`, and on across rotations whose earlier histories are here."""
    while tip is not None:
        last = None
        for last in ancestry(objects, tip):
            yield last
        format_file = Snapshot(objects, last.id).format() if last else None
        tip = (
            format_file.previous
            if format_file and is_commit(objects, format_file.previous)
            else None
        )


def since(
    commits: Commits, base: str | None, tip: str | None
) -> list[CommitInfo]:
    """`base..tip` as git means it, oldest first: what `tip` has and `base` hasn't.

    Walks both sides in step, so a base that is no ancestor (as after a crash between moving the
    base and moving the tip) costs the distance to where they part, not the whole history.
    """
    mine: dict[str, CommitInfo] = {}
    theirs: set[str] = set()
    for ours, other in zip_longest(
        ancestry(commits, tip), ancestry(commits, base)
    ):
        if other is not None:
            theirs.add(other.id)
        if ours is not None:
            mine[ours.id] = ours
        meeting = next(
            (
                c.id
                for c in (ours, other)
                if c and c.id in theirs and c.id in mine
            ),
            None,
        )
        if meeting is not None:
            newest_first = list(mine)
            return [
                mine[name]
                for name in reversed(
                    newest_first[: newest_first.index(meeting)]
                )
            ]
    return list(reversed(mine.values()))


def descent(
    commits: Commits, base: str, tip: str, most: int | None = None
) -> list[CommitInfo] | None:
    """The commits after `base` up to `tip`, oldest first; None if `tip` does not contain it.

    Args:
        commits: Where to read.
        base: The older commit.
        tip: The newer one.
        most: Commits that are looked at; None: all.
    """
    found: list[CommitInfo] = []
    for commit in islice(ancestry(commits, tip), most):
        if commit.id == base:
            return found[::-1]
        found.append(commit)
    return None


def made_since(
    commits: Commits, tip: str, edits: Sequence[CommitInfo], now: datetime
) -> list[CommitInfo]:
    """The commits up to `tip`, newest first, among which some of these edits may be.

    An edit is placed with a `Csc-Clock` that is not before its own, and these fall along a branch
    only where a machine's clock was wrong. So the walk ends where a good many in a row are older
    than all the edits, and a clone that joins a branch of a million commits need not read them all.
    """
    clocks = [
        record.clock for edit in edits if (record := Record.parse(edit.message))
    ]
    if not clocks or any(abs(now - clock) > _LATELY for clock in clocks):
        return list(ancestry(commits, tip))
    return list(_not_older(ancestry(commits, tip), min(clocks)))


def high_water(
    commits: Commits, tip: str | None, now: datetime
) -> datetime | None:
    """The latest time this history vouches for; clocks too far ahead are passed over."""
    for commit in islice(ancestry(commits, tip), _CLOCK_SEARCH):
        record = Record.parse(commit.message)
        if record is not None and not is_ahead(record.clock, now):
            return record.clock
    return None


def deletion(
    objects: Reads, key: Key, tip: str, fork: str | None, since: datetime
) -> CommitInfo | None:
    """The commit that removed a key now absent.

    Args:
        objects: Where to read.
        key: The key.
        tip: Where to begin.
        fork: Look at everything after this commit; None: there is no such commit.
        since: Look further back only at commits that are not older: an edit that was replayed
            before may have been made on a state from before the fork.
    """
    after_fork: list[CommitInfo] = []
    walk = lineage(objects, tip)
    for commit in () if fork is None else walk:
        after_fork.append(commit)
        if commit.id == fork:
            break
    for commit in chain(after_fork, _not_older(walk, since)):
        if commit.parent is None:
            continue  # a rotation: it holds what the history before it held
        if Snapshot(objects, commit.parent).revision(key) is not None:
            return commit
    return None


def _not_older(
    commits: Iterable[CommitInfo], time: datetime
) -> Iterator[CommitInfo]:
    """Commits, newest first, until many in a row entered the history before a time.

    A single one may be there because its machine's clock was behind.
    """
    older = 0
    for commit in commits:
        older = older + 1 if _is_older(commit, time) else 0
        if older > _MANY:
            return
        yield commit


def _is_older(commit: CommitInfo, time: datetime) -> bool:
    """Whether a commit entered this history before a time; one made by hand does not say."""
    record = Record.parse(commit.message)
    return record is not None and record.clock < time
