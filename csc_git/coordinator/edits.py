"""Store and delete values in all scopes that are not reserved for csc-git itself."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from csc_git.coordinator.results.data import (
    Deleted,
    DeletedScope,
    Edited,
    Stored,
)
from csc_git.coordinator.writer import Delivered, Writer
from csc_git.core.edit import ABSENT, Kind, Outcome
from csc_git.core.key import RESERVED, Key, Scope, format_scope
from csc_git.core.secret import find_secret, screen, screen_names
from csc_git.core.session import resolve_key, resolve_scope
from csc_git.core.value import DEFAULT_LIMIT, Json, check_value
from csc_git.errors import ConditionFailed, InputError, ReservedScope
from csc_git.store.claiming import is_nobodys
from csc_git.store.store import Store
from csc_git.store.transaction import (
    D,
    Decide,
    Draft,
    describe_value,
    explain,
)
from csc_git.store.tree.snapshot import Snapshot
from csc_git.text import count

MOST_CHANGES: Final = 500
"""One edit may have at most this many changes."""

_REVISION: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Author:
    """The author of an edit: a session or a person.

    Attributes:
        name: The name that is written into the value and the commit.
        fence: The session's fence; None if the author is a person.
        check: A function that raises `SessionFenced` if this author may no longer write.
    """

    name: str
    fence: int | None
    check: Callable[[Snapshot], None]


@dataclass(frozen=True)
class Change:
    """One change in an edit of several keys.

    Attributes:
        scope: The scope of the key, in the form that callers use, such as `issue:15`.
        key: The key's name.
        action: Whether to store `value`, to delete the key, or only to require a revision.
        value: The value to store, if `action` is `put`.
        if_revision: The revision that the key must have; `absent` if the key must not exist; None
            if any revision is allowed.
    """

    scope: str
    key: str
    action: Literal["put", "delete", "require"]
    value: Json = None
    if_revision: str | None = None


class Edits:
    """Makes edits in all scopes that are not reserved for csc-git itself.

    Args:
        store: The clone's store.
        writer: The writer, which makes the edits and waits for the remote.
        machine: This machine's name, which is added to short session names in scopes.
        limit: A value may have at most this many bytes.
    """

    def __init__(
        self,
        store: Store,
        writer: Writer,
        machine: str,
        limit: int = DEFAULT_LIMIT,
    ) -> None:
        self._store = store
        self._writer = writer
        self._machine = machine
        self._limit = limit

    def put(  # noqa: PLR0913  every option of a put
        self,
        author: Author,
        scope: str,
        key: str,
        value: Json,
        *,
        if_revision: str | None = None,
        confirm: bool = False,
        allow_secret: str | None = None,
    ) -> Stored:
        """Store a value under a key. Replace the current value if the key has one.

        Args:
            author: The author of the edit.
            scope: The key's scope.
            key: The key's name.
            value: The new value.
            if_revision: The revision that the key must have; `absent` if the key must not exist;
                None if any revision is allowed.
            confirm: Whether to wait until the remote has confirmed the edit.
            allow_secret: Why the value is safe to store although it looks like a credential; None
                if no reason was given.

        Raises:
            InvalidName: the scope or the key is not a valid name.
            InvalidValue: the value can't be stored.
            ReservedScope: the scope is reserved for csc-git itself.
            LooksLikeSecret: the value seems to contain a credential, and no reason was given.
            ConditionFailed: the key does not have the required revision. With `confirm`, the
                condition was also checked against the edits of other clones.
            SessionFenced: the author is a session that lost its name.
        """
        place = self._own_key(scope, key)
        check_value(value, self._limit)
        puts = {place: value}
        draft = Draft(
            subject=f"store {place}",
            session=author.name,
            fence=author.fence,
            puts=puts,
            requires=_condition(place, if_revision),
            secret=screen(puts, allow_secret),
        )
        done = self._make(author, draft, confirm=confirm)
        return Stored(
            scope=format_scope(place.scope),
            key=key,
            revision=self._revision(place, done),
            **delivered_fields(done),
        )

    def delete(
        self,
        author: Author,
        scope: str,
        key: str,
        *,
        if_revision: str | None = None,
        confirm: bool = False,
    ) -> Deleted:
        """Delete a key.

        Records of sessions and claims can be deleted only if csc-git can't have made them.

        Args:
            author: The author of the edit.
            scope: The key's scope.
            key: The key's name.
            if_revision: The revision that the key must have; None allows any revision.
            confirm: Whether to wait until the remote has confirmed the edit.

        Raises:
            InvalidName: the scope or the key is not a valid name.
            ReservedScope: the scope is reserved for csc-git itself.
            LooksLikeSecret: the key does not exist, and its name looks like a credential.
            ConditionFailed: the key does not have the required revision.
            SessionFenced: the author is a session that lost its name.
        """
        place = self._removable_key(scope, key)
        draft = Draft(
            subject=self._deletion_of(place),
            session=author.name,
            fence=author.fence,
            deletes=(place,),
            requires=_condition(place, if_revision),
        )
        done = self._make(author, draft, confirm=confirm)
        return Deleted(
            scope=format_scope(place.scope),
            key=key,
            deleted=bool(done.receipt.removed),
            **delivered_fields(done),
        )

    def delete_scope(
        self,
        author: Author,
        scope: str,
        *,
        confirm: bool = False,
    ) -> DeletedScope:
        """Delete all keys of a scope in one edit. Keys of the scopes below the scope are kept.

        Args:
            author: The author of the edit.
            scope: The scope.
            confirm: Whether to wait until the remote has confirmed the edit.

        Raises:
            InvalidName: the scope is not a valid name.
            ReservedScope: the scope is reserved for csc-git itself.
            ConditionFailed: `confirm` was set, and another clone changed a key at the same time.
            SessionFenced: the author is a session that lost its name.
        """
        segments = self._own_scope(scope)
        name = format_scope(segments)

        def decide(snapshot: Snapshot) -> Draft:
            author.check(snapshot)
            keys = snapshot.keys(segments)
            return Draft(
                subject=f"delete {name}",
                session=author.name,
                fence=author.fence,
                deletes=tuple(keys),
                kind=Kind.DELETE_SCOPE,
            )

        done = self._decide(decide, confirm=confirm)
        removed = done.receipt.removed
        return DeletedScope(
            scope=name,
            deleted=bool(removed),
            count=len(removed),
            **delivered_fields(done),
        )

    def edit(
        self,
        author: Author,
        changes: Sequence[Change],
        *,
        confirm: bool = False,
        allow_secret: str | None = None,
    ) -> Edited:
        """Make several changes as one edit. Even at replay, either all changes are made or none.

        Args:
            author: The author of the edit.
            changes: The changes, with at most one change of each key.
            confirm: Whether to wait until the remote has confirmed the edit.
            allow_secret: Why the values are safe to store although they look like credentials;
                None if no reason was given.

        Raises:
            InputError: there are no changes or too many changes; two changes have the same key; or
                a name, a scope or a value is not valid.
            LooksLikeSecret: a value seems to contain a credential, and no reason was given.
            ConditionFailed: a key does not have the required revision.
            SessionFenced: the author is a session that lost its name.
        """
        places = self._places(changes)
        puts: dict[Key, Json] = {}
        deletes: list[Key] = []
        for place, change in places.items():
            if change.action == "put":
                check_value(change.value, self._limit)
                puts[place] = change.value
            elif change.action == "delete":
                deletes.append(place)
        requires: dict[Key, str | None] = {}
        for place, change in places.items():
            condition = _condition(place, change.if_revision)
            requires.update(condition)
        draft = Draft(
            subject=_subject(places),
            session=author.name,
            fence=author.fence,
            puts=puts,
            deletes=tuple(deletes),
            requires=requires,
            secret=screen(puts, allow_secret),
        )
        done = self._make(author, draft, confirm=confirm)
        revisions: dict[str, str | None] = {}
        for place in places:
            revision = done.receipt.revisions.get(place)
            revisions[str(place)] = revision
        return Edited(revisions=revisions, **delivered_fields(done))

    def load(
        self,
        author: Author,
        values: Mapping[Key, Json],
        *,
        confirm: bool = False,
        allow_secret: str | None = None,
    ) -> Edited:
        """Store any number of values as one edit.

        Args:
            author: The author of the edit.
            values: The new value of each key.
            confirm: Whether to wait until the remote has confirmed the edit.
            allow_secret: Why the values are safe to store although they look like credentials;
                None if no reason was given.

        Raises:
            InputError: a value can't be stored; see `check`.
            ConditionFailed: `confirm` was set, and a replay refused the edit.
            SessionFenced: the author is a session that lost its name.
        """
        secret = self.check(values, allow_secret)
        keys = count(len(values), "key")
        draft = Draft(
            subject=f"import {keys}",
            session=author.name,
            fence=author.fence,
            puts=values,
            secret=secret,
        )
        done = self._make(author, draft, confirm=confirm)
        revisions: dict[str, str | None] = {}
        for place, revision in done.receipt.revisions.items():
            revisions[str(place)] = revision
        return Edited(revisions=revisions, **delivered_fields(done))

    def check(
        self,
        values: Mapping[Key, Json],
        allow_secret: str | None,
    ) -> str | None:
        """Raise an error if any of the values can't be stored.

        Args:
            values: The new value of each key.
            allow_secret: Why the values are safe to store although they look like credentials;
                None if no reason was given.

        Returns:
            The text to add to the commit message if a value looks like a credential; else None.

        Raises:
            InputError: a scope or a value can't be used. The error message contains the key.
            LooksLikeSecret: a value seems to contain a credential, and no reason was given.
        """
        for place, value in values.items():
            _refuse_reserved(place.scope)
            try:
                check_value(value, self._limit)
            except InputError as error:
                what = f"{place}: {error.what}"
                raise type(error)(what, then=error.then) from None
        return screen(values, allow_secret)

    def _places(self, changes: Sequence[Change]) -> dict[Key, Change]:
        if not 1 <= len(changes) <= MOST_CHANGES:
            raise InputError(
                f"The edit has {len(changes)} changes; 1 to {MOST_CHANGES} are allowed"
            )
        places: dict[Key, Change] = {}
        for change in changes:
            place = resolve_key(change.scope, change.key, self._machine)
            if change.action != "require":
                _refuse_reserved(place.scope)
            if place in places:
                raise InputError(
                    f"The edit has two changes of the key {place}",
                    then="Join the two changes into one",
                )
            places[place] = change
        self._screen_new_names(places)
        if all(change.action == "require" for change in changes):
            raise InputError(
                "The edit changes nothing",
                then="Give a value, or delete: true",
            )
        return places

    def _screen_new_names(self, places: Iterable[Key]) -> None:
        """Raise an error if the name of a new key looks like a credential."""
        snapshot = self._store.snapshot()
        new = [place for place in places if snapshot.revision(place) is None]
        screen_names(map(str, new))

    def _make(
        self,
        author: Author,
        draft: Draft,
        *,
        confirm: bool,
    ) -> Delivered[Draft]:
        """Make an edit whose content does not depend on the current values."""

        def decide(snapshot: Snapshot) -> Draft:
            author.check(snapshot)
            return draft

        return self._decide(decide, confirm=confirm)

    def _decide(
        self,
        decide: Decide[Draft],
        *,
        confirm: bool,
    ) -> Delivered[Draft]:
        """Make an edit that `decide` drafts from the newest values of this clone."""
        done = self._writer.make(decide, confirm=confirm)
        if confirm and done.outcome is Outcome.REFUSED:
            current = self._current_values(done.receipt.draft)
            raise ConditionFailed(
                f"Another clone changed a key of this edit first: {current}"
            )
        return done

    def _revision(
        self,
        place: Key,
        done: Delivered[Draft],
    ) -> str:
        """Return the revision of a key after an edit. A merge can have changed the revision."""
        made = done.receipt.revisions[place]
        if done.outcome in {None, Outcome.APPLIED}:
            return made
        snapshot = self._store.snapshot()
        return snapshot.revision(place) or made

    def _current_values(self, draft: Draft) -> str:
        """Describe the current values of the keys that a refused edit wanted to change."""
        snapshot = self._store.snapshot()
        if draft.requires:
            return explain(snapshot, draft.requires)
        keys = [*draft.puts, *draft.deletes]
        described = [describe_value(snapshot, key) for key in keys]
        return "; ".join(described)

    def _own_scope(self, scope: str) -> Scope:
        segments = resolve_scope(scope, self._machine)
        _refuse_reserved(segments)
        return segments

    def _removable_key(self, scope: str, key: str) -> Key:
        place = resolve_key(scope, key, self._machine)
        if not is_nobodys(self._store.snapshot(), place):
            _refuse_reserved(place.scope)
        return place

    def _deletion_of(self, place: Key) -> str:
        """Return the commit subject of a deletion. Omit a name that looks like a credential."""
        if find_secret(place, None) is None:
            return f"delete {place}"
        self._screen_new_names([place])
        scope = format_scope(place.scope)
        return f"delete a key of {scope}"

    def _own_key(self, scope: str, key: str) -> Key:
        place = resolve_key(scope, key, self._machine)
        _refuse_reserved(place.scope)
        return place


def _refuse_reserved(scope: Scope) -> None:
    if scope[0] in RESERVED:
        raise ReservedScope(
            f"The scope {scope[0]} is reserved for csc-git itself",
            then="Use another first segment, or the tool for this scope",
        )


def _subject(places: Mapping[Key, Change]) -> str:
    """Return the commit subject of an edit. The subject lists the changed keys."""
    changed: list[str] = []
    for place, change in places.items():
        if change.action != "require":
            changed.append(str(place))
    names = ", ".join(changed)
    return f"edit {names}"


def _condition(
    place: Key,
    revision: str | None,
) -> dict[Key, str | None]:
    """Return the condition that `if_revision` sets for a key."""
    if revision is None:
        return {}
    if revision == ABSENT:
        return {place: None}
    if not _REVISION.fullmatch(revision):
        raise InputError(
            f"if_revision {revision[:80]!a} is not a revision",
            then=f"Give a revision that retrieve_data or store_data returned, or {ABSENT!r}",
        )
    return {place: revision}


def delivered_fields(done: Delivered[D]) -> dict[str, Any]:
    """Return the fields that the results of all edits share."""
    return {
        "op": done.receipt.op,
        "status": done.where,
        "outcome": done.outcome,
        "reason": done.reason,
    }
