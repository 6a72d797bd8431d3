"""List and resolve conflicts. A conflict keeps the value that lost to a concurrent value.

An ordinary edit resolves a conflict: the edit deletes the conflict's record and stores the chosen
value under the key. The edit has a condition: the record and the key must not have changed since
the edit was decided.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple

from csc_git.coordinator.edits import Author, delivered_fields
from csc_git.coordinator.results.base import Version
from csc_git.coordinator.results.data import OpenConflict, Resolved
from csc_git.coordinator.writer import Writer
from csc_git.core.clock import format_time
from csc_git.core.conflict import CONFLICTS, Conflict
from csc_git.core.edit import Outcome
from csc_git.core.key import Key, format_scope
from csc_git.core.secret import screen
from csc_git.core.value import Json, check_value
from csc_git.errors import ConditionFailed, InputError, NoSuchConflict
from csc_git.store.store import Store
from csc_git.store.transaction import Draft
from csc_git.store.tree.records import read_conflict
from csc_git.store.tree.snapshot import Snapshot, Stored
from csc_git.text import printable

Choice = Literal["current", "lost", "value"]
MOST_LISTED: Final = 10
"""By default, one answer has at most this many conflicts, since each contains two values."""

_MOST_READ: Final = 50
"""At least this many conflicts are read and sorted by age, even if fewer are returned."""

_SHORTEST: Final = 4
"""A shortened id must have at least this many characters. Git has the same minimum."""


class Conflicts:
    """The open conflicts of the project.

    Args:
        store: The clone's store.
        writer: The writer, which makes the edits.
        limit: A value may have at most this many bytes.
    """

    def __init__(
        self,
        store: Store,
        writer: Writer,
        limit: int,
    ) -> None:
        self._store = store
        self._writer = writer
        self._limit = limit

    def open(self, most: int | None = None) -> list[OpenConflict]:
        """Return the open conflicts with both versions, sorted by the age of the lost version.

        The conflict whose lost version is the oldest comes first.

        Args:
            most: Return at most this many conflicts, 1 or more. If None, return all conflicts. Only
                `most` or 50 conflicts are read, whichever number is larger. If more conflicts are
                open, the oldest ones may be missing from the result.

        Raises:
            InputError: `most` is less than 1.
        """
        if most is not None and most < 1:
            raise InputError(f"The limit is {most}; it must be 1 or more")
        snapshot = self._store.snapshot()
        names = snapshot.names(CONFLICTS)
        if most is not None:
            to_read = max(most, _MOST_READ)
            names = names[:to_read]
        found: list[_Found] = []
        for name in names:
            key = Key(CONFLICTS, name)
            one = _read(snapshot, key)
            if one is not None:
                found.append(one)
        found.sort(key=_time)
        return [_open(snapshot, one) for one in found[:most]]

    def count(self) -> int:
        """Return how many conflicts are open."""
        snapshot = self._store.snapshot()
        names = snapshot.names(CONFLICTS)
        return len(names)

    def resolve(
        self,
        author: Author,
        conflict: str,
        choice: Choice,
        value: Json = None,
        *,
        confirm: bool = False,
    ) -> Resolved:
        """Resolve a conflict with the current value, the version that lost, or a new value.

        Args:
            author: The author of the edit.
            conflict: The id of the conflict, or the first characters of the id if they are unique.
            choice: The version that becomes the value of the key.
            value: The new value, if `choice` is `value`.
            confirm: Whether to wait until the remote has the edit.

        Raises:
            NoSuchConflict: no conflict with this id is open; perhaps somebody has resolved it.
            InputError: several ids begin with the given text, or the new value is not valid.
            LooksLikeSecret: the new value looks like a credential.
            ConditionFailed: somebody changed the key while this edit was being made. Without
                `confirm`, only changes in this clone are noticed.
        """
        if choice == "value":
            check_value(value, self._limit)
            key = Key(CONFLICTS, conflict)
            screen({key: value}, reason=None)

        def decide(snapshot: Snapshot) -> _Resolution:
            author.check(snapshot)
            return _resolution(
                snapshot,
                author,
                conflict,
                choice,
                value,
            )

        done = self._writer.make(decide, confirm=confirm)
        if confirm and done.outcome is Outcome.REFUSED:
            raise ConditionFailed(
                "Another clone resolved the conflict, or changed its key, before you"
            )
        resolved = done.receipt.draft.of
        snapshot = self._store.snapshot()
        revision = snapshot.revision(resolved)
        return Resolved(
            scope=format_scope(resolved.scope),
            key=resolved.name,
            revision=revision,
            **delivered_fields(done),
        )


@dataclass(frozen=True, kw_only=True)
class _Resolution(Draft):
    """An edit that resolves a conflict.

    Attributes:
        of: The key that the conflict is about.
    """

    of: Key


class _Found(NamedTuple):
    """An open conflict.

    Attributes:
        key: The key of the conflict's record.
        record: The record of the conflict.
        conflict: The content of the record.
    """

    key: Key
    record: Stored
    conflict: Conflict


def _time(found: _Found) -> datetime:
    """Return the time when the version that lost was written."""
    return found.conflict.lost.time


def _resolution(
    snapshot: Snapshot,
    author: Author,
    typed: str,
    choice: Choice,
    value: Json,
) -> _Resolution:
    """Return the edit that resolves a conflict with the chosen version."""
    record_key = _named(snapshot, typed)
    found = _read(snapshot, record_key)
    if found is None:
        raise NoSuchConflict(f"No conflict {typed[:80]!a} is open")
    conflict = found.conflict
    puts, deletes = _choose(conflict, choice, value)
    requires = {
        record_key: found.record.revision,
        conflict.key: snapshot.revision(conflict.key),
    }
    return _Resolution(
        subject=f"resolve {conflict.key} by {choice}",
        session=author.name,
        puts=puts,
        deletes=(record_key, *deletes),
        requires=requires,
        fence=author.fence,
        extras=_extras(conflict, choice),
        of=conflict.key,
    )


def _named(
    snapshot: Snapshot,
    typed: str,
) -> Key:
    """Return the key of the conflict whose id begins with the typed text.

    If no open conflict has such an id, return a key with the typed text as its name.
    """
    typed_key = Key(CONFLICTS, typed)
    if len(typed) < _SHORTEST:
        return typed_key
    names = snapshot.names(CONFLICTS)
    fitting = [name for name in names if name.startswith(typed)]
    if not fitting or typed in fitting:
        return typed_key
    if len(fitting) > 1:
        raise InputError(
            f"The ids of {len(fitting)} conflicts begin with {typed[:80]!a}",
            then="Give more characters of the id",
        )
    return Key(CONFLICTS, fitting[0])


def _choose(
    conflict: Conflict,
    choice: Choice,
    value: Json,
) -> tuple[dict[Key, Json], tuple[Key, ...]]:
    """Return the puts and the deletes that give the key the chosen version."""
    if choice == "current":
        return {}, ()
    if choice == "value":
        return {conflict.key: value}, ()
    lost = conflict.lost.entry
    if lost is None:
        return {}, (conflict.key,)
    return {conflict.key: lost.value}, ()


def _extras(
    conflict: Conflict,
    choice: Choice,
) -> dict[Key, Mapping[str, Json]]:
    """If the lost version is chosen, return its extra members.

    A later version of csc-git wrote the extra members.
    """
    lost = conflict.lost.entry
    if choice != "lost" or lost is None:
        return {}
    return {conflict.key: lost.extra}


def _read(
    snapshot: Snapshot,
    key: Key,
) -> _Found | None:
    record = snapshot.get(key)
    conflict = read_conflict(record)
    if record is None or conflict is None:
        return None
    return _Found(key, record, conflict)


def _open(
    snapshot: Snapshot,
    found: _Found,
) -> OpenConflict:
    conflict = found.conflict
    current = snapshot.get(conflict.key)
    lost = conflict.lost
    lost_value = None
    if lost.entry is not None:
        lost_value = lost.entry.value
    return OpenConflict(
        conflict=found.key.name,
        scope=format_scope(conflict.key.scope),
        key=conflict.key.name,
        why=conflict.why,
        lost_deletion=lost.entry is None,
        lost=Version(
            value=lost_value,
            session=printable(lost.session),
            time=format_time(lost.time),
        ),
        current=Version.of(current),
    )
