"""The past: edits of the history, and the commit that was the newest at some moment.

Git narrows the history down to the commits that touch a path or an author; each is then looked at
here, so what git's pathspecs say too much is left out. There is no index of ours.

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
from csc_git.core.edit import PROBE, Record
from csc_git.core.key import Key, Scope, encode
from csc_git.core.moment import Moment
from csc_git.errors import NoSuchCommit
from csc_git.git import log
from csc_git.git.log import commit_ids, resolve
from csc_git.git.objects.commit import CommitInfo
from csc_git.git.repository import Repository
from csc_git.store.commit_walk import ancestry, is_commit, record_of
from csc_git.store.difference import changed_files, changed_places
from csc_git.store.layout import is_fan_name, spellings
from csc_git.store.snapshot import Snapshot, Stored

_STRIDE: Final = 256
_SAMPLES: Final = 4
_MANY: Final = 1000
"""Changed files from which on git lists them, which reads trees ten times as fast."""

_LATELY: Final = 500
"""Commits that are compared to find wrong clocks."""


Change = tuple[Key, Stored | None, Stored | None]
"""A key, and what it held before and after."""


@dataclass(frozen=True)
class Place:
    """Part of the store: a scope with those below it, one key of it, or everything."""

    scope: Scope = ()
    key: str | None = None

    def paths(self) -> list[str]:
        """Every path at which it may stand on the branch."""
        if not self.scope:
            return []
        directories = tuple(
            encode(segment, directory=True) for segment in self.scope
        )
        path = (
            Key(self.scope, self.key).path
            if self.key is not None
            else directories
        )
        return [f"data/{found.decode()}" for found in spellings(path)]

    def holds(self, key: Key) -> bool:
        """Whether a key is in it."""
        if self.key is not None:
            return key == Key(self.scope, self.key)
        return key.scope[: len(self.scope)] == self.scope


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
        """The keys it changed, or the first of them, with what they held before and after."""
        for key in self.keys[:most]:
            yield key, self.before.look(key), self.after.look(key)


def edits(
    repository: Repository,
    tip: str | None,
    place: Place,
    *,
    session: str | None = None,
    after: str | None = None,
) -> Iterator[PastEdit]:
    """Edits of a place, newest first.

    Args:
        repository: Ours.
        tip: Where to begin; None: there are none.
        place: Only edits that change something in it.
        session: Only edits by it, by its full name.
        after: Only edits that this commit doesn't contain.
    """
    if tip is None:
        return
    paths = place.paths()
    for commit_id in commit_ids(
        repository.path, tip, paths=paths, author=session, after=after
    ):
        commit = repository.objects.commit(commit_id)
        record = record_of(commit)
        if session is not None and record.session != session:
            continue
        was = Snapshot(repository.objects, commit.parent)
        now = Snapshot(repository.objects, commit.id)
        keys = keys_of(repository, commit)
        if record.subject.startswith(PROBE) and not keys:
            continue
        if not place.scope or any(place.holds(key) for key in keys):
            yield PastEdit(commit, record, keys, was, now)


def keys_of(repository: Repository, commit: CommitInfo) -> list[Key]:
    """The keys that a commit changed; of a commit that changed very many, as git lists them."""
    objects = repository.objects
    before, after = (
        Snapshot(objects, commit.parent),
        Snapshot(objects, commit.id),
    )
    some = islice(changed_files(objects, before.data, after.data), _MANY)
    listed = None
    if sum(1 for _ in some) == _MANY:
        listed = log.changed_files(
            repository.path, commit.parent, commit.id, "data"
        )
    if listed is None:
        return list(changed_places(objects, before, after))
    return list(_changed(listed, before, after))


def _changed(
    listed: Iterable[tuple[bytes, str | None, str | None]],
    before: Snapshot,
    after: Snapshot,
) -> Iterator[Key]:
    """The keys whose revision differs. A key that only moved into the fan-out is listed twice."""
    revisions: dict[tuple[bytes, ...], tuple[set[str], set[str]]] = {}
    for path, old, new in listed:
        place = tuple(
            part for part in path.split(b"/") if not is_fan_name(part)
        )
        stood, stands = revisions.setdefault(place, (set(), set()))
        stood.update(filter(None, [old]))
        stands.update(filter(None, [new]))
    for place, (stood, stands) in sorted(revisions.items()):
        key = (
            (after.key_at(place) or before.key_at(place))
            if stood != stands
            else None
        )
        if key is not None:
            yield key


def commit_at(
    repository: Repository, tip: str | None, moment: Moment, now: datetime
) -> str | None:
    """The commit that a moment means; of a time, the newest that is not later. None: before all.

    Args:
        repository: Ours.
        tip: Where to begin.
        moment: A commit or a time.
        now: The wall clock.

    Raises:
        NoSuchCommit: no commit of that name is here.
    """
    if moment.time is not None:
        return _newest(repository, tip, moment.time, now) if tip else None
    name = moment.commit or ""
    found = (
        name
        if is_commit(repository.objects, name)
        else resolve(repository.path, name)
    )
    if found is None:
        raise NoSuchCommit(f"No commit {name} is known here, or more than one")
    return found


def _newest(
    repository: Repository, tip: str, time: datetime, now: datetime
) -> str | None:
    """Walk back in strides until most clocks are not later, then look at each commit from there.

    One more stride is read, so that there are commits of other machines to compare clocks with.
    """
    newest_first: list[str] = []
    passed = list[int]()
    for number, commit_id in enumerate(commit_ids(repository.path, tip), 1):
        newest_first.append(commit_id)
        if number % _STRIDE:
            continue
        window = newest_first[-_STRIDE:]
        samples = [
            _clock(repository, one) for one in window[:: _STRIDE // _SAMPLES]
        ]
        if sum(one <= time for one in samples) > len(samples) // 2:
            passed.append(number - _STRIDE)
        if len(passed) > 1:
            found = _newest_of(
                repository, newest_first[_from(passed) :], time, now
            )
            if found is not None:
                return found
    return _newest_of(repository, newest_first[_from(passed) :], time, now)


def _from(passed: Sequence[int]) -> int:
    """From which commit on to look closely: a stride before the first that seemed early enough."""
    return max(0, passed[0] - _STRIDE) if passed else 0


def _newest_of(
    repository: Repository,
    newest_first: Sequence[str],
    time: datetime,
    now: datetime,
) -> str | None:
    """The newest of some commits that had entered the history at a time."""
    oldest_first = list(reversed(newest_first))
    times = timeline(
        [_mark(repository, one) for one in oldest_first], now
    ).times
    reached = bisect_right(times, time)
    return oldest_first[reached - 1] if reached else None


def clock_faults(
    repository: Repository, tip: str | None, now: datetime
) -> Timeline:
    """Which machines' clocks were wrong lately, by the newest commits."""
    newest = islice(ancestry(repository.objects, tip), _LATELY)
    marks = [_mark(repository, commit.id) for commit in newest]
    return timeline(marks[::-1], now)


def _mark(repository: Repository, commit_id: str) -> Mark:
    commit = repository.objects.commit(commit_id)
    return Mark(commit.committer, _clock(repository, commit_id))


def _clock(repository: Repository, commit_id: str) -> datetime:
    """The clock of a commit; of one made by hand, that of the edit before it."""
    for commit in ancestry(repository.objects, commit_id):
        if record := Record.parse(commit.message):
            return record.clock
    return EPOCH
