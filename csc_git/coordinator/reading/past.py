"""Read the history: the edits that were made, and the earlier values of keys."""

import json
from itertools import islice
from typing import Final

from csc_git.coordinator import clock
from csc_git.coordinator.results.base import Version
from csc_git.coordinator.results.changes import (
    Blame,
    ChangedKey,
    Difference,
    History,
    PastChange,
)
from csc_git.core.clock import format_time
from csc_git.core.key import Key, format_scope
from csc_git.core.moment import parse_moment
from csc_git.core.session import parse_session, resolve_key, resolve_scope
from csc_git.core.value import Entry
from csc_git.errors import InputError, UnreadableValue
from csc_git.store.past_edits import PastEdit, Place, commit_at, edits
from csc_git.store.store import Store
from csc_git.store.tree.difference import Change, changed_keys
from csc_git.store.tree.snapshot import Snapshot, Stored
from csc_git.text import printable, quoted, readable

MOST_EDITS: Final = 500
_MOST_KEYS: Final = 50
_MOST_SEARCHED: Final = 100
_LONGEST_VALUE: Final = 1000


class Past:
    """Reads the history of a store.

    Args:
        store: The clone's store.
        machine: This machine's name, which is added to short session names.
    """

    def __init__(
        self,
        store: Store,
        machine: str,
    ) -> None:
        self._store = store
        self._machine = machine

    def place(
        self,
        scope: str | None,
        key: str | None = None,
    ) -> Place:
        """Check the names of a scope and a key, and return the part of the store that they name.

        Args:
            scope: The scope as a person typed it. None means the whole store.
            key: The name of one key in the scope. None means all keys.

        Raises:
            InputError: a name is not valid, or a key is given without a scope.
        """
        if scope is None:
            if key is not None:
                raise InputError("A key can't be given without its scope")
            return Place()
        if key is None:
            segments = resolve_scope(scope, self._machine)
            return Place(segments)
        full_key = resolve_key(scope, key, self._machine)
        return Place(full_key.scope, full_key.name)

    def at(self, moment: str) -> Snapshot:
        """Return the state of the store at a time or at a commit.

        Raises:
            InputError: `moment` is neither a time nor a commit, or this clone does not have the
                commit.
        """
        now = clock.now()
        wanted = parse_moment(moment, now)
        repository = self._store.repository
        tip = self._store.branch.tip
        commit = commit_at(
            repository,
            tip,
            wanted,
            now,
        )
        return Snapshot(repository.objects, commit)

    def history(
        self,
        scope: str | None = None,
        key: str | None = None,
        session: str | None = None,
        *,
        since: str | None = None,
        until: str | None = None,
        limit: int = 20,
    ) -> History:
        """Return the edits of a scope, a key or an author, newest first.

        Args:
            scope: Return only edits in this scope or in the scopes below it. None means all scopes.
            key: Return only edits of this key of the scope. None means all keys.
            session: Return only edits by this author. The author is given as the short or full name
                of a session, or as the full name of a person. None means all authors.
            since: Return only edits that entered the history after this time or commit. If None,
                the first edit of the history is the earliest one.
            until: Return only edits that entered the history up to this time or commit. If None,
                the newest edit of the history is the latest one.
            limit: Return at most this many edits.

        Raises:
            InputError: `limit` is out of range, or another argument is not valid.
        """
        if not 1 <= limit <= MOST_EDITS:
            raise InputError(
                f"limit {limit} is out of range; it must be 1 to {MOST_EDITS}"
            )
        start = self._store.branch.tip
        if until:
            start = self.at(until).commit
        end: str | None = None
        if since:
            end = self.at(since).commit
        author = self._author(session)
        place = self.place(scope, key)
        newest_first = edits(
            self._store.repository,
            start,
            place,
            session=author,
            after=end,
        )
        found = list(islice(newest_first, limit + 1))
        return History(
            edits=[_past(edit) for edit in found[:limit]],
            more=len(found) > limit,
        )

    def unreadable(
        self,
        key: Key,
        snapshot: Snapshot,
    ) -> UnreadableValue:
        """Return an error for a file of the branch that can't be read as a value.

        The error message contains the author of the file and the last readable value of the key.

        Args:
            key: The key whose file can't be read.
            snapshot: The state that contains the file.
        """
        broken_by, good = self._broken(key, snapshot)
        who = ""
        if broken_by is not None:
            commit = broken_by.commit.id[:12]
            author = quoted(broken_by.record.session)
            who = f": commit {commit} by {author} changed the file"
        last = "No earlier value of the key was found"
        if good is not None:
            text = json.dumps(good.value)
            value = readable(text, _LONGEST_VALUE)
            author = quoted(good.session)
            when = format_time(good.time)
            last = (
                "Before that, the last readable value was data stored by "
                f"{author} at {when}: {value}"
            )
        return UnreadableValue(
            f"{key} can't be read, since its file is not in csc-git's format{who}",
            safe=f"Nothing was changed. {last}",
        )

    def _broken(
        self,
        key: Key,
        snapshot: Snapshot,
    ) -> tuple[PastEdit | None, Entry | None]:
        """Return the last edit of a key, and the last readable entry before that edit."""
        broken_by: PastEdit | None = None
        newest_first = edits(
            self._store.repository,
            snapshot.commit,
            Place(key.scope, key.name),
        )
        for edit in islice(newest_first, _MOST_SEARCHED):
            if broken_by is None:
                broken_by = edit
            old = edit.before.look(key)
            if old is not None and old.is_readable:
                return broken_by, old.entry
        return broken_by, None

    def blame(self, scope: str) -> Blame:
        """Return the last edit of each key of a scope, with the author of the edit.

        Raises:
            InputError: `scope` is not valid.
        """
        place = self.place(scope)
        snapshot = self._store.snapshot()
        missing = set(snapshot.keys(place.scope))
        found: dict[str, PastChange] = {}
        newest_first = edits(
            self._store.repository,
            snapshot.commit,
            place,
        )
        for edit in newest_first:
            if not missing:
                break
            for key in missing.intersection(edit.keys):
                missing.discard(key)
                found[key.name] = _past(edit)
        in_order = sorted(found.items())
        return Blame(
            scope=format_scope(place.scope),
            keys=dict(in_order),
        )

    def diff(
        self,
        one: str,
        other: str | None = None,
    ) -> list[Difference]:
        """Return the keys whose values differ between two moments, with both values.

        Args:
            one: The first moment, as a time or a commit.
            other: The second moment, as a time or a commit. None means the present state.

        Raises:
            InputError: a moment is neither a time nor a commit, or this clone does not have the
                commit.
        """
        before = self.at(one)
        if other is None:
            after = self._store.snapshot()
        else:
            after = self.at(other)
        objects = self._store.repository.objects
        changes = changed_keys(objects, before, after)
        return [_difference(change) for change in changes]

    def _author(self, session: str | None) -> str | None:
        if session is None or "@" in session:
            return session
        name = parse_session(session, self._machine)
        return str(name)


def _difference(change: Change) -> Difference:
    key, old, new = change
    is_unreadable = _is_unreadable(old) or _is_unreadable(new)
    return Difference(
        scope=format_scope(key.scope),
        key=key.name,
        before=_version(old),
        after=_version(new),
        unreadable=is_unreadable,
    )


def _version(stored: Stored | None) -> Version | None:
    """Return the value of a key; None if the key has no readable value."""
    if _is_unreadable(stored):
        return None
    return Version.of(stored)


def _is_unreadable(stored: Stored | None) -> bool:
    return stored is not None and not stored.is_readable


def _past(edit: PastEdit) -> PastChange:
    record = edit.record
    changed: list[ChangedKey] = []
    for key, old, new in edit.changes(_MOST_KEYS):
        one = ChangedKey.of(key, old, new)
        changed.append(one)
    count = len(edit.keys)
    unlisted = count - _MOST_KEYS
    return PastChange(
        time=format_time(edit.commit.author_time),
        session=readable(record.session, 200),
        subject=readable(record.subject, 200),
        op=printable(record.op),
        commit=edit.commit.id,
        outcome=record.outcome,
        changed=changed,
        unlisted=max(0, unlisted),
    )
