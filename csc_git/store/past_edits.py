"""The past: finding edits in the history, and finding the newest commit at a given time.

Edits are searched with `git log`, which selects commits by path or by author. Git selects more
commits than needed, so this module checks each selected commit again. csc-git has no index of past
edits.

A given time is compared with the times that `core.clock.timeline` computes from the `Csc-Clock` of
each commit. From commit to commit, these times never go back, even if the clock of a machine was
wrong. If an edit was made offline, its time is the time at which the edit entered this history.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from csc_git.core.clock import EPOCH, Mark, Timeline, timeline
from csc_git.core.commit import CommitInfo
from csc_git.core.edit import PROBE, Record
from csc_git.core.key import Key, Scope, encode
from csc_git.core.moment import Moment
from csc_git.errors import NoSuchCommit
from csc_git.git import log
from csc_git.git.log import commit_ids, resolve
from csc_git.git.repository import Repository
from csc_git.store.commit_walk import (
    ancestry,
    commits_back_to,
    is_commit,
    record_of,
)
from csc_git.store.tree.difference import (
    Change,
    changed_files,
    changed_keys,
    changed_places,
)
from csc_git.store.tree.layout import Components, is_fan_name, spellings
from csc_git.store.tree.snapshot import Reads, Snapshot

_STRIDE: Final = 256
_SAMPLES: Final = 4
_MANY: Final = 1000
"""If a commit changed at least this many files, git lists the files, because git is faster."""

_LATELY: Final = 500
"""Only this many of the newest commits are compared to find wrong clocks."""


@dataclass(frozen=True)
class Place:
    """A part of the store: a scope with all scopes below it, a single key, or the whole store.

    Attributes:
        scope: The scope, or the scope of the single key; empty for the whole store.
        key: The name of the single key; None if this part of the store is not a single key.
    """

    scope: Scope = ()
    key: str | None = None

    def paths(self) -> list[str]:
        """Return all paths where this place may be stored, with and without fan-out directories."""
        if not self.scope:
            return []
        if self.key is not None:
            path = Key(self.scope, self.key).path
        else:
            path = tuple(encode(part, directory=True) for part in self.scope)
        return [f"data/{found.decode()}" for found in spellings(path)]

    def holds(self, key: Key) -> bool:
        """Return whether a key belongs to this place."""
        if self.key is not None:
            return key == Key(self.scope, self.key)
        length = len(self.scope)
        return key.scope[:length] == self.scope


@dataclass(frozen=True)
class PastEdit:
    """One edit of the history.

    Attributes:
        commit: The commit of the edit.
        record: The edit's record, as returned by `record_of`.
        keys: The keys that the edit changed.
        before: The snapshot before the edit.
        after: The snapshot after the edit.
    """

    commit: CommitInfo
    record: Record
    keys: list[Key]
    before: Snapshot
    after: Snapshot

    def changes(self, most: int | None = None) -> Iterator[Change]:
        """Yield the keys that the edit changed, with their entries before and after the edit.

        Args:
            most: The largest number of keys to yield; if None, there is no limit.
        """
        for key in self.keys[:most]:
            yield Change(key, self.before.look(key), self.after.look(key))


def edits(
    repository: Repository,
    tip: str | None,
    place: Place,
    *,
    session: str | None = None,
    after: str | None = None,
) -> Iterator[PastEdit]:
    """Yield the past edits that changed something in a part of the store, newest first.

    Args:
        repository: The store's own repository.
        tip: The newest commit of the history; None if the history is empty.
        place: The part of the store whose edits are yielded.
        session: The full name of the session whose edits are yielded. If None, the edits of all
            authors are yielded.
        after: Only edits that are newer than this commit are yielded. If None, the edits of the
            whole history are yielded.
    """
    if tip is None:
        return
    objects = repository.objects
    found = commit_ids(
        repository.path,
        tip,
        paths=place.paths(),
        author=session,
        after=after,
    )
    for commit_id in found:
        commit = objects.commit(commit_id)
        record = record_of(commit)
        if session is not None and record.session != session:
            continue
        keys = keys_of(repository, commit)
        if record.subject.startswith(PROBE) and not keys:
            continue
        if place.scope and not any(place.holds(key) for key in keys):
            continue
        yield PastEdit(
            commit=commit,
            record=record,
            keys=keys,
            before=Snapshot(objects, commit.parent),
            after=Snapshot(objects, commit.id),
        )


def keys_of(repository: Repository, commit: CommitInfo) -> list[Key]:
    """Return the keys that a commit changed.

    Args:
        repository: The store's own repository. If the commit changed very many files, git lists
            these files.
        commit: The commit.
    """
    objects = repository.objects
    before = Snapshot(objects, commit.parent)
    after = Snapshot(objects, commit.id)
    files = changed_files(objects, before.data, after.data)
    some = list(islice(files, _MANY))
    if len(some) == _MANY:
        listed = log.changed_files(
            repository.path,
            commit.parent,
            commit.id,
            "data",
        )
        if listed is not None:
            return list(_changed(listed, before, after))
    return list(changed_places(objects, before, after))


def _changed(
    listed: Iterable[tuple[bytes, str | None, str | None]],
    before: Snapshot,
    after: Snapshot,
) -> Iterator[Key]:
    """Yield the keys whose revisions differ, in the files that git listed as changed.

    If a key was only moved into the fan-out, git lists its file twice: as removed and as new. A key
    that was only moved is not yielded.
    """
    old: dict[Components, set[str]] = {}
    new: dict[Components, set[str]] = {}
    for file, before_id, after_id in listed:
        parts = file.split(b"/")
        path = tuple(part for part in parts if not is_fan_name(part))
        old_ids = old.setdefault(path, set())
        new_ids = new.setdefault(path, set())
        if before_id is not None:
            old_ids.add(before_id)
        if after_id is not None:
            new_ids.add(after_id)
    for path in sorted(old):
        if old[path] == new[path]:
            continue
        key = after.key_at(path) or before.key_at(path)
        if key is not None:
            yield key


def commit_at(
    repository: Repository,
    tip: str | None,
    moment: Moment,
    now: datetime,
) -> str | None:
    """Return the commit that belongs to a moment. A moment is a commit or a time.

    If the moment is a time, the result is the newest commit that is not later than the time.

    Args:
        repository: The store's own repository.
        tip: The newest commit of the history; None if the history is empty.
        moment: A commit or a time.
        now: The current time by this machine's clock.

    Returns:
        The id of the commit; None if the time is before all commits.

    Raises:
        NoSuchCommit: this clone has no commit with the given id, or several commits with the given
            short id.
    """
    if moment.time is not None:
        if tip is None:
            return None
        return _newest(repository, tip, moment.time, now)
    name = moment.commit or ""
    if is_commit(repository.objects, name):
        return name
    found = resolve(repository.path, name)
    if found is None:
        raise NoSuchCommit(
            f"This clone has no commit {name}, or more than one commit with this short id"
        )
    return found


def _newest(
    repository: Repository,
    tip: str,
    time: datetime,
    now: datetime,
) -> str | None:
    """Return the newest commit that entered the history at or before a time.

    The history is read in strides of `_STRIDE` commits, newest first. The search goes on until a
    stride is found in which most commits have a `Csc-Clock` that is not later than the time. Then
    one more stride is read, because the clocks of several machines must be compared to find a wrong
    clock.
    """
    newest_first: list[str] = []
    passed: list[int] = []
    for number, commit_id in enumerate(commit_ids(repository.path, tip), 1):
        newest_first.append(commit_id)
        if number % _STRIDE:
            continue
        window = newest_first[-_STRIDE:]
        if _is_early(repository, window, time):
            passed.append(number - _STRIDE)
        if len(passed) > 1:
            near = newest_first[_first_near(passed) :]
            found = _newest_of(repository, near, time, now)
            if found is not None:
                return found
    near = newest_first[_first_near(passed) :]
    return _newest_of(repository, near, time, now)


def _is_early(
    repository: Repository,
    window: Sequence[str],
    time: datetime,
) -> bool:
    """Return whether most commits of a stride have a `Csc-Clock` not later than a time.

    Only a few commits of the stride are read.
    """
    step = _STRIDE // _SAMPLES
    clocks = [_clock(repository, commit_id) for commit_id in window[::step]]
    early = sum(clock <= time for clock in clocks)
    return early > len(clocks) // 2


def _first_near(passed: Sequence[int]) -> int:
    """Return the index of the newest commit that must be compared.

    This commit is one stride newer than the newest stride for which `_is_early` returned True.
    `passed` contains the index of the first commit of each such stride.
    """
    if not passed:
        return 0
    return max(0, passed[0] - _STRIDE)


def _newest_of(
    repository: Repository,
    newest_first: Sequence[str],
    time: datetime,
    now: datetime,
) -> str | None:
    """Return the newest of the given commits that entered the history at or before a time."""
    oldest_first = newest_first[::-1]
    marks = [_mark(repository, commit_id) for commit_id in oldest_first]
    times = timeline(marks, now).times
    reached = bisect_right(times, time)
    if not reached:
        return None
    return oldest_first[reached - 1]


def clock_faults(
    repository: Repository,
    tip: str | None,
    now: datetime,
) -> Timeline:
    """Find the machines whose clocks were wrong when the newest commits were made.

    Args:
        repository: The store's own repository.
        tip: The newest commit; None if the history is empty.
        now: The current time by this machine's clock.
    """
    newest = islice(ancestry(repository.objects, tip), _LATELY)
    marks = [_mark(repository, commit.id) for commit in newest]
    return timeline(marks[::-1], now)


def _mark(repository: Repository, commit_id: str) -> Mark:
    commit = repository.objects.commit(commit_id)
    return Mark(commit.committer, _clock(repository, commit_id))


def _clock(repository: Repository, commit_id: str) -> datetime:
    """Return the `Csc-Clock` of a commit.

    If the commit has no `Csc-Clock`, the `Csc-Clock` of the nearest older commit that has one is
    returned.
    """
    for commit in ancestry(repository.objects, commit_id):
        record = Record.parse(commit.message)
        if record is not None:
            return record.clock
    return EPOCH


def removals(
    objects: Reads,
    gone: set[Key],
    old: str | None,
    tip: str | None,
    most: int,
) -> dict[Key, Record]:
    """Find, for each key, the last edit that removed the key or made its file unreadable.

    Args:
        objects: The Git objects to read from.
        gone: The keys to look for.
        old: The commit at which the search ends; if None, the whole history is searched.
        tip: The newest commit, at which the search starts.
        most: The largest number of commits to read. A key is left out if none of these commits
            removed the key.
    """
    found: dict[Key, Record] = {}
    for commit in commits_back_to(objects, old, tip, most):
        if len(found) == len(gone):
            break
        before = Snapshot(objects, commit.parent)
        after = Snapshot(objects, commit.id)
        for key, _, new in changed_keys(objects, before, after):
            is_gone = new is None or not new.is_readable
            if is_gone and key in gone and key not in found:
                found[key] = record_of(commit)
    return found
