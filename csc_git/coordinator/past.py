"""The past, as people and models ask for it."""

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
from csc_git.errors import InputError, UnreadableValue
from csc_git.store.difference import changed_keys
from csc_git.store.past_edits import PastEdit, Place, commit_at, edits
from csc_git.store.snapshot import Snapshot, Stored
from csc_git.store.store import Store
from csc_git.text import printable, quoted, readable

MOST_EDITS: Final = 500
_MOST_KEYS: Final = 50
_MOST_SEARCHED: Final = 100
_LONGEST_VALUE: Final = 1000


class Past:
    """Answers about the history.

    Args:
        store: The clone's store.
        machine: Completes short session names.
    """

    def __init__(self, store: Store, machine: str) -> None:
        self._store = store
        self._machine = machine

    def place(self, scope: str | None, key: str | None = None) -> Place:
        """A part of the store, checked."""
        if scope is None:
            if key is not None:
                raise InputError("A key needs its scope")
            return Place()
        if key is None:
            return Place(resolve_scope(scope, self._machine))
        return Place(*resolve_key(scope, key, self._machine))

    def at(self, moment: str) -> Snapshot:
        """The store as it was at a time or a commit.

        Raises:
            InputError: neither a time nor a commit, or one that isn't here.
        """
        now = clock.now()
        wanted = parse_moment(moment, now)
        commit = commit_at(
            self._store.repository, self._store.branch.tip, wanted, now
        )
        return Snapshot(self._store.repository.objects, commit)

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
        """The edits of a place or a session, newest first.

        Args:
            scope: With the scopes below it; None: all.
            key: One key of it.
            session: Short or full name; any author's full name.
            since: Only those that entered the history after this time or commit.
            until: Only those up to it.
            limit: Most edits to return.
        """
        if not 1 <= limit <= MOST_EDITS:
            raise InputError(
                f"limit {limit} is out of range; 1 to {MOST_EDITS} do"
            )
        start = self.at(until).commit if until else self._store.branch.tip
        end = self.at(since).commit if since else None
        author = self._author(session)
        place = self.place(scope, key)
        all_of_them = edits(
            self._store.repository, start, place, session=author, after=end
        )
        found = list(islice(all_of_them, limit + 1))
        return History(
            edits=[_past(edit) for edit in found[:limit]],
            more=len(found) > limit,
        )

    def unreadable(self, key: Key, snapshot: Snapshot) -> UnreadableValue:
        """Why a file of the branch is no value: who wrote it, and the last value before."""
        place, broken_by, good = Place(key.scope, key.name), None, None
        for edit in islice(
            edits(self._store.repository, snapshot.commit, place),
            _MOST_SEARCHED,
        ):
            broken_by = broken_by or edit
            old = edit.before.look(key)
            good = old if old is not None and old.is_readable else None
            if good is not None:
                break
        who = ""
        if broken_by is not None:
            by = quoted(broken_by.record.session)
            who = f": commit {broken_by.commit.id[:12]} by {by} changed it"
        last = "No earlier value of it was found"
        if good is not None:
            value = readable(json.dumps(good.entry.value), _LONGEST_VALUE)
            author = quoted(good.entry.session)
            when = format_time(good.entry.time)
            last = f"The last value before is data stored by {author} at {when}: {value}"
        return UnreadableValue(
            f"{key} can't be read, since its file is not in csc-git's format{who}",
            safe=f"Nothing was changed. {last}",
        )

    def blame(self, scope: str) -> Blame:
        """Who last changed each key of a scope, and by which edit."""
        place = self.place(scope)
        snapshot = self._store.snapshot()
        missing = set(snapshot.keys(place.scope))
        lines: dict[str, PastChange] = {}
        for edit in edits(self._store.repository, snapshot.commit, place):
            if not missing:
                break
            for key in edit.keys:
                if key in missing:
                    missing.discard(key)
                    lines[key.name] = _past(edit)
        return Blame(
            scope=format_scope(place.scope), keys=dict(sorted(lines.items()))
        )

    def diff(self, one: str, other: str | None = None) -> list[Difference]:
        """In which keys two moments differ, with both values; None is now."""
        before = self.at(one)
        after = self._store.snapshot() if other is None else self.at(other)
        changed = changed_keys(self._store.repository.objects, before, after)
        return [_difference(key, old, new) for key, old, new in changed]

    def _author(self, session: str | None) -> str | None:
        if session is None or "@" in session:
            return session
        return str(parse_session(session, self._machine))


def _difference(key: Key, old: Stored | None, new: Stored | None) -> Difference:
    return Difference(
        scope=format_scope(key.scope),
        key=key.name,
        before=_version(old),
        after=_version(new),
        unreadable=_is_unreadable(old) or _is_unreadable(new),
    )


def _version(stored: Stored | None) -> Version | None:
    """The value of a key; None also if its file can't be read."""
    return None if _is_unreadable(stored) else Version.of(stored)


def _is_unreadable(stored: Stored | None) -> bool:
    return stored is not None and not stored.is_readable


def _past(edit: PastEdit) -> PastChange:
    changed = [
        ChangedKey.of(key, old, new)
        for key, old, new in edit.changes(_MOST_KEYS)
    ]
    return PastChange(
        time=format_time(edit.commit.author_time),
        session=readable(edit.record.session, 200),
        subject=readable(edit.record.subject, 200),
        op=printable(edit.record.op),
        commit=edit.commit.id,
        outcome=edit.record.outcome,
        changed=changed,
        unlisted=max(0, len(edit.keys) - _MOST_KEYS),
    )
