"""The past: edits of the history, and the commit that was the newest at some moment.

Git narrows the history down to the commits that touch a path or an author. Its pathspecs match more
than they should, so each of these commits is checked here. There is no index of ours.

A moment is compared with the times of `core.clock.timeline`, which come from each commit's
`Csc-Clock` and never fall along the branch, although a machine's clock may have been wrong. An edit
made offline belongs to the moment it entered this history, not to the one it was made.
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
"""Changed files above which git lists them, because it reads trees ten times as fast."""

_LATELY: Final = 500
"""Commits that are compared to find wrong clocks."""


@dataclass(frozen=True)
class Place:
    """Part of the store: a scope with those below it, one key of it, or everything.

    Attributes:
        scope: The scope; empty for everything.
        key: The name of the one key; None for all keys.
    """

    scope: Scope = ()
    key: str | None = None

    def paths(self) -> list[str]:
        """Return every path on the branch at which the place may be found, fan-out included."""
        if not self.scope:
            return []
        if self.key is not None:
            path = Key(self.scope, self.key).path
        else:
            path = tuple(encode(part, directory=True) for part in self.scope)
        return [f"data/{found.decode()}" for found in spellings(path)]

    def holds(self, key: Key) -> bool:
        """Return whether a key is in it."""
        if self.key is not None:
            return key == Key(self.scope, self.key)
        length = len(self.scope)
        return key.scope[:length] == self.scope


@dataclass(frozen=True)
class PastEdit:
    """One edit of the history.

    Attributes:
        commit: Its commit.
        record: The edit's record in the commit.
        keys: The keys it changed.
        before: The state before it.
        after: The state after it.
    """

    commit: CommitInfo
    record: Record
    keys: list[Key]
    before: Snapshot
    after: Snapshot

    def changes(self, most: int | None = None) -> Iterator[Change]:
        """Yield the keys it changed, with what they held before and after.

        Args:
            most: How many keys; None for all.
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
    """Yield the edits of a place, newest first.

    Args:
        repository: The store's own repository.
        tip: Where to begin; None for an empty history.
        place: Only edits that change something in it.
        session: Only edits by this session (its full name); None for all.
        after: Only edits that this commit does not contain; None for all.
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
        repository: The store's own repository. Git lists the keys if they are very many.
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
    """Yield the keys whose revision differs, of the files that git lists as changed.

    A key that only moved into the fan-out is listed twice: as removed and as new.
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
    """Return the commit that a moment means; of a time, the newest that is not later.

    Args:
        repository: The store's own repository.
        tip: Where to begin; None for an empty history.
        moment: A commit or a time.
        now: The wall clock.

    Returns:
        The commit; None if the time is before all of them.

    Raises:
        NoSuchCommit: no commit of that name is here.
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
        raise NoSuchCommit(f"No commit {name} is known here, or more than one")
    return found


def _newest(
    repository: Repository,
    tip: str,
    time: datetime,
    now: datetime,
) -> str | None:
    """Return the newest commit that entered the history at a time or before.

    The walk goes back in strides until most clocks of a stride are not later than the time. It
    reads one more stride, so that there are commits of other machines to compare clocks with.
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
    """Return whether most clocks of a stride are not later than a time, by a few samples."""
    step = _STRIDE // _SAMPLES
    clocks = [_clock(repository, commit_id) for commit_id in window[::step]]
    early = sum(clock <= time for clock in clocks)
    return early > len(clocks) // 2


def _first_near(passed: Sequence[int]) -> int:
    """Return from which commit on to compare all: a stride before the first early one."""
    if not passed:
        return 0
    return max(0, passed[0] - _STRIDE)


def _newest_of(
    repository: Repository,
    newest_first: Sequence[str],
    time: datetime,
    now: datetime,
) -> str | None:
    """Return the newest of some commits that entered the history at a time or before."""
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
    """Find the machines whose clocks were wrong lately, by the newest commits.

    Args:
        repository: The store's own repository.
        tip: The newest commit; None for an empty history.
        now: The wall clock.
    """
    newest = islice(ancestry(repository.objects, tip), _LATELY)
    marks = [_mark(repository, commit.id) for commit in newest]
    return timeline(marks[::-1], now)


def _mark(repository: Repository, commit_id: str) -> Mark:
    commit = repository.objects.commit(commit_id)
    return Mark(commit.committer, _clock(repository, commit_id))


def _clock(repository: Repository, commit_id: str) -> datetime:
    """Return the clock of a commit; of one made by hand, that of the edit before it."""
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
    """Find the edits that removed keys, or made their files unreadable; the last one of each key.

    Args:
        objects: Where to read.
        gone: The keys.
        old: The commit where the search ends; None for none.
        tip: The commit where it starts.
        most: How many commits to look at; keys removed before these are left out.
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
