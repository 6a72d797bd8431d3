"""Conflicts: the versions that lost, until someone resolves them.

Resolving is an ordinary edit: it removes the record and settles the key, on condition that both
are still as the author of the decision saw them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from csc_git.coordinator.edits import Author, delivered_fields
from csc_git.coordinator.results import OpenConflict, Resolved, Version
from csc_git.coordinator.writer import Writer
from csc_git.core.clock import format_time
from csc_git.core.conflict import CONFLICTS, Conflict
from csc_git.core.edit import Outcome
from csc_git.core.key import Key, format_scope
from csc_git.core.secret import screen
from csc_git.core.value import Json, check_value
from csc_git.errors import ConditionFailed, InputError, NoSuchConflict
from csc_git.store.records import read_conflict
from csc_git.store.snapshot import Snapshot, Stored
from csc_git.store.store import Store
from csc_git.store.transaction import Draft
from csc_git.text import printable

Choice = Literal["current", "lost", "value"]
MOST_LISTED: Final = 10
"""Conflicts in one answer, unless more are asked for: each shows two values whole."""

_MOST_READ: Final = 50
_SHORTEST: Final = 4
"""Of the beginning of an id, as git has it for its own."""


class Conflicts:
    """The open conflicts of the project.

    Args:
        store: The clone's store.
        writer: Makes the edits.
        limit: Longest value in bytes.
    """

    def __init__(self, store: Store, writer: Writer, limit: int) -> None:
        self._store = store
        self._writer = writer
        self._limit = limit

    def open(self, most: int | None = None) -> list[OpenConflict]:
        """The open conflicts, the longest open first, with both versions.

        Args:
            most: How many to return, 1 or more; None: all. Of a great many only some are looked at.

        Raises:
            InputError: `most` is less than 1.
        """
        if most is not None and most < 1:
            raise InputError(f"The limit is {most}; it must be 1 or more")
        snapshot = self._store.snapshot()
        names = snapshot.names(CONFLICTS)
        looked_at = None if most is None else max(most, _MOST_READ)
        keys = [Key(CONFLICTS, name) for name in names[:looked_at]]
        found = [(key, *one) for key in keys if (one := _read(snapshot, key))]
        found.sort(key=lambda one: one[2].lost.time)
        return [
            _open(snapshot, key, conflict) for key, _, conflict in found[:most]
        ]

    def count(self) -> int:
        """How many conflicts are open."""
        return len(self._store.snapshot().names(CONFLICTS))

    def resolve(
        self,
        author: Author,
        conflict: str,
        choice: Choice,
        value: Json = None,
        *,
        confirm: bool = False,
    ) -> Resolved:
        """Resolve one: by what stands, by what lost, or by a new value.

        Args:
            author: Who decides.
            conflict: Its id, or as much of the beginning as no other shares.
            choice: Which version holds from now on.
            value: The new value, for the choice `value`.
            confirm: Whether to wait until the remote has it.

        Raises:
            NoSuchConflict: none of that id is open; somebody may have resolved it.
            InputError: several begin like that.
            ConditionFailed: the key was changed meanwhile; here, or with `confirm` elsewhere.
        """
        if choice == "value":
            check_value(value, self._limit)
            screen({Key(CONFLICTS, conflict): value}, None)

        def decide(snapshot: Snapshot) -> _Resolution:
            author.check(snapshot)
            return _resolution(snapshot, author, conflict, choice, value)

        done = self._writer.make(decide, confirm=confirm)
        if confirm and done.outcome is Outcome.REFUSED:
            raise ConditionFailed(
                "Another clone has resolved it, or changed the key, first"
            )
        key = done.receipt.draft.of
        return Resolved(
            scope=format_scope(key.scope),
            key=key.name,
            revision=self._store.snapshot().revision(key),
            **delivered_fields(done),
        )


@dataclass(frozen=True, kw_only=True)
class _Resolution(Draft):
    """An edit that resolves a conflict.

    Attributes:
        of: The key that the conflict is about.
    """

    of: Key


def _resolution(
    snapshot: Snapshot,
    author: Author,
    typed: str,
    choice: Choice,
    value: Json,
) -> _Resolution:
    """The edit that resolves a conflict by a choice."""
    record_key = _named(snapshot, typed)
    found = _read(snapshot, record_key)
    if found is None:
        raise NoSuchConflict(f"No conflict {typed[:80]!a} is open")
    record, conflict = found
    puts, deletes = _choose(conflict, choice, value)
    return _Resolution(
        subject=f"resolve {conflict.key} by {choice}",
        session=author.name,
        puts=puts,
        deletes=(record_key, *deletes),
        requires={
            record_key: record.revision,
            conflict.key: snapshot.revision(conflict.key),
        },
        fence=author.fence,
        extras=_extras(conflict, choice),
        of=conflict.key,
    )


def _named(snapshot: Snapshot, typed: str) -> Key:
    """The conflict that is meant by an id, or by its beginning."""
    short = len(typed) < _SHORTEST
    names = () if short else snapshot.names(CONFLICTS)
    fitting = [name for name in names if name.startswith(typed)]
    if len(fitting) == 1:
        return Key(CONFLICTS, fitting[0])
    if fitting and typed not in fitting:
        raise InputError(
            f"{len(fitting)} conflicts begin with {typed[:80]!a}",
            then="Give more of the id",
        )
    return Key(CONFLICTS, typed)


def _choose(
    conflict: Conflict, choice: Choice, value: Json
) -> tuple[dict[Key, Json], tuple[Key, ...]]:
    """What to put and what to delete, so that a choice holds."""
    if choice == "current":
        return {}, ()
    if choice == "value":
        return {conflict.key: value}, ()
    if conflict.lost.entry is None:
        return {}, (conflict.key,)
    return {conflict.key: conflict.lost.entry.value}, ()


def _extras(
    conflict: Conflict, choice: Choice
) -> dict[Key, Mapping[str, Json]]:
    """What a later csc-git had added to the value that is taken back."""
    if choice != "lost" or conflict.lost.entry is None:
        return {}
    return {conflict.key: conflict.lost.entry.extra}


def _read(snapshot: Snapshot, key: Key) -> tuple[Stored, Conflict] | None:
    stored = snapshot.get(key)
    conflict = read_conflict(stored)
    return (
        (stored, conflict)
        if stored is not None and conflict is not None
        else None
    )


def _open(snapshot: Snapshot, key: Key, conflict: Conflict) -> OpenConflict:
    current = snapshot.get(conflict.key)
    lost = conflict.lost
    return OpenConflict(
        conflict=key.name,
        scope=format_scope(conflict.key.scope),
        key=conflict.key.name,
        why=conflict.why,
        lost_deletion=lost.entry is None,
        lost=Version(
            value=lost.entry.value if lost.entry else None,
            session=printable(lost.session),
            time=format_time(lost.time),
        ),
        current=Version.of(current),
    )
