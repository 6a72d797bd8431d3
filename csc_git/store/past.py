"""The past: edits of the history, and the commit that was the newest at some moment.

Git narrows the history down to the commits that touch a path or an author; each is then looked at
here, so what git's pathspecs say too much is left out. There is no index of ours.

A moment is compared with `Csc-Clock`, the history's high-water mark. It never falls along the
branch and every clone has the same, so all agree on what was the state at a time; an edit made
offline belongs to the moment it entered this history, not to the one it was made.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from csc_git.core.clock import EPOCH
from csc_git.core.edit import PROBE, Record
from csc_git.core.key import Key, Scope, encode
from csc_git.core.moment import Moment
from csc_git.errors import NoSuchCommit
from csc_git.git.commit import CommitInfo
from csc_git.git.log import commit_ids, resolve
from csc_git.git.repository import Repository
from csc_git.store.history import ancestry, is_commit, record_of
from csc_git.store.layout import spellings
from csc_git.store.snapshot import Snapshot, Stored, changed_keys

_STRIDE: Final = 256


@dataclass(frozen=True)
class Place:
    """Part of the store: a scope with those below it, one key of it, or everything."""

    scope: Scope = ()
    key: str | None = None

    def paths(self) -> list[str]:
        """Every path at which it may stand on the branch."""
        if not self.scope:
            return []
        directories = tuple(encode(segment, directory=True) for segment in self.scope)
        path = Key(self.scope, self.key).path if self.key is not None else directories
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
        record: What the commit says of it.
        changes: The keys it changed, before and after.
    """

    commit: CommitInfo
    record: Record
    changes: list[tuple[Key, Stored | None, Stored | None]]


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
    for commit_id in commit_ids(repository.path, tip, paths=paths, author=session, after=after):
        commit = repository.objects.commit(commit_id)
        record = record_of(commit)
        if session is not None and record.session != session:
            continue
        changes = changes_of(repository, commit)
        if record.subject.startswith(PROBE) and not changes:
            continue
        if not place.scope or any(place.holds(key) for key, _, _ in changes):
            yield PastEdit(commit, record, changes)


def changes_of(
    repository: Repository, commit: CommitInfo
) -> list[tuple[Key, Stored | None, Stored | None]]:
    """The keys that a commit changed."""
    objects = repository.objects
    before, after = Snapshot(objects, commit.parent), Snapshot(objects, commit.id)
    return list(changed_keys(objects, before, after))


def commit_at(repository: Repository, tip: str | None, moment: Moment) -> str | None:
    """The commit that a moment means; of a time, the newest that is not later. None: before all.

    Raises:
        NoSuchCommit: no commit of that name is here.
    """
    if moment.time is not None:
        return _newest(repository, tip, moment.time) if tip else None
    name = moment.commit or ""
    found = name if is_commit(repository.objects, name) else resolve(repository.path, name)
    if found is None:
        raise NoSuchCommit(f"No commit {name} is known here, or more than one")
    return found


def _newest(repository: Repository, tip: str, time: datetime) -> str | None:
    """Walk back in strides until the clock is not later, then bisect the last stride."""
    passed: list[str] = []
    for number, commit_id in enumerate(commit_ids(repository.path, tip)):
        passed.append(commit_id)
        if number % _STRIDE == 0 and _clock(repository, commit_id) <= time:
            break
    return _first(repository, passed[-_STRIDE - 1 :], time)


def _first(repository: Repository, newest_first: Sequence[str], time: datetime) -> str | None:
    later, done = 0, len(newest_first)
    while later < done:
        middle = (later + done) // 2
        if _clock(repository, newest_first[middle]) <= time:
            done = middle
        else:
            later = middle + 1
    return newest_first[later] if later < len(newest_first) else None


def _clock(repository: Repository, commit_id: str) -> datetime:
    """When a commit entered this history; of one made by hand, when the edit before it did."""
    for commit in ancestry(repository.objects, commit_id):
        if record := Record.parse(commit.message):
            return record.clock
    return EPOCH
