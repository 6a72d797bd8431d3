"""Summarize a session for other sessions, from its record and the values about its work."""

import json
from datetime import datetime
from typing import Any, Final

from csc_git.coordinator.results.activity import SessionSummary
from csc_git.coordinator.sessions.presence import Presence
from csc_git.core.clock import format_time
from csc_git.core.key import Key
from csc_git.core.lease import lease_key
from csc_git.core.value import Entry, Json
from csc_git.store.tree.records import read_lease
from csc_git.store.tree.snapshot import Snapshot
from csc_git.text import printable, readable

_KEYS: Final = ("current_issue", "status", "todos")
"""The keys of a session's own scope that a summary shows."""

_DONE: Final = frozenset({"done", "completed", "closed", "cancelled"})
"""The values of `status` that mark a to-do item as done."""

_LONGEST: Final = 200
"""A summary shows at most this many characters of a session's value."""


def summarize(
    snapshot: Snapshot,
    session: str,
    presence: Presence,
) -> SessionSummary:
    """Return a summary of a session, which is shown to other sessions.

    Args:
        snapshot: The state to read.
        session: The session's full name.
        presence: The object that checks whether the session is alive.
    """
    key = lease_key(session)
    record = snapshot.get(key)
    is_active = False
    is_here = False
    if record is not None:
        is_active = presence.is_active(session, record)
        is_here = presence.is_here(record)
    since = ""
    lease = read_lease(record)
    if lease is not None:
        since = readable(lease.since, 40)
    entries = _entries(snapshot, session)
    values = {name: entry.value for name, entry in entries.items()}
    stored_by: str | None = None
    stored_at: str | None = None
    newest = max(entries.values(), key=_time, default=None)
    if newest is not None:
        stored_by = readable(newest.session, _LONGEST)
        stored_at = format_time(newest.time)
    return SessionSummary(
        session=printable(session),
        active=is_active,
        here=is_here,
        since=since,
        current_issue=_cut(values.get("current_issue")),
        status=_cut(values.get("status")),
        open_todos=_open_todos(values.get("todos")),
        stored_by=stored_by,
        stored_at=stored_at,
    )


def _entries(
    snapshot: Snapshot,
    session: str,
) -> dict[str, Entry]:
    """Return the entries of a session under the keys that a summary shows."""
    scope = ("session", session)
    found: dict[str, Entry] = {}
    for name in _KEYS:
        key = Key(scope, name)
        stored = snapshot.get(key)
        if stored is not None:
            found[name] = stored.entry
    return found


def _time(entry: Entry) -> datetime:
    return entry.time


def _cut(value: Json) -> Json:
    """Return a value for a summary. Cut a long value, and add its full length."""
    text = value
    if not isinstance(value, str):
        text = json.dumps(value)
    length = len(text)
    if length <= _LONGEST:
        return value
    start = text[:_LONGEST]
    return f"{start}… ({length:,} characters; read it with retrieve_data)"


def _open_todos(todos: Json) -> int:
    """Count the items of a `todos` value that are not done; 0 if the value is not a list."""
    if not isinstance(todos, list):
        return 0
    count = 0
    for todo in todos:
        if not _is_done(todo):
            count += 1
    return count


def _is_done(todo: Any) -> bool:  # noqa: ANN401  any JSON
    """Return whether a to-do item is an object that is marked as done."""
    if not isinstance(todo, dict):
        return False
    if todo.get("done") is True:
        return True
    status = str(todo.get("status", ""))
    return status.lower() in _DONE
