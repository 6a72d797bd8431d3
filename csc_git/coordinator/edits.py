"""Edits: what an author may write, and under which conditions."""

import re
from collections.abc import Callable, Mapping, Sequence
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
from csc_git.store.snapshot import Snapshot
from csc_git.store.store import Store
from csc_git.store.transaction import D, Draft, describe_value, explain
from csc_git.text import count

MOST_CHANGES: Final = 500
_REVISION: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
Conditions = Mapping[Key, str | None]


@dataclass(frozen=True)
class Author:
    """Who makes an edit.

    Attributes:
        name: The name in the value and in the commit.
        fence: The session's fence; None for a person.
        check: Raises if this author may not write any more.
    """

    name: str
    fence: int | None
    check: Callable[[Snapshot], None]


@dataclass(frozen=True)
class Change:
    """One key of an edit of several.

    Attributes:
        scope: Its scope, as typed.
        key: Its name in it.
        action: Store `value`, delete, or only `require` the revision.
        value: What to store.
        if_revision: The revision it must have, or `absent`; None: any.
    """

    scope: str
    key: str
    action: Literal["put", "delete", "require"]
    value: Json = None
    if_revision: str | None = None


class Edits:
    """Makes edits in the scopes that are open to everybody.

    Args:
        store: The clone's store.
        writer: Makes the edits and waits for them.
        machine: Completes `session:claude_1` to `session:claude_1@<machine>`.
        limit: Longest value in bytes.
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

    def put(  # noqa: PLR0913  all that a store is
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
        """Store a value under a key, in place of any other.

        Raises:
            LooksLikeSecret: it seems to hold a credential, and `allow_secret` gives no reason.
            ConditionFailed: the key has not the revision required. With `confirm` that is
                certain for all clones.
        """
        place = self._own_key(scope, key)
        check_value(value, self._limit)
        done = self._make(
            author,
            f"store {place}",
            lambda _: {place: value},
            requires=_condition(place, if_revision),
            confirm=confirm,
            secret=screen({place: value}, allow_secret),
        )
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
        """Remove a key; raises as `put` does.

        A record of a session or a claim that no csc-git could have made may be removed too.
        """
        place = self._removable_key(scope, key)
        done = self._make(
            author,
            self._deletion_of(place),
            deletes=lambda _: (place,),
            requires=_condition(place, if_revision),
            confirm=confirm,
        )
        return Deleted(
            scope=format_scope(place.scope),
            key=key,
            deleted=bool(done.receipt.removed),
            **delivered_fields(done),
        )

    def delete_scope(
        self, author: Author, scope: str, *, confirm: bool = False
    ) -> DeletedScope:
        """Remove all keys of a scope, in one edit; scopes below it stay."""
        segments = self._own_scope(scope)
        name = format_scope(segments)
        done = self._make(
            author,
            f"delete {name}",
            deletes=lambda snapshot: tuple(snapshot.keys(segments)),
            kind=Kind.DELETE_SCOPE,
            confirm=confirm,
        )
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
        """Make several changes as one: all or nothing, also when it is replayed.

        Raises:
            LooksLikeSecret: as `put` does.
            InputError: no change, too many, or two of one key.
            ConditionFailed: a key has not the revision required.
        """
        places = self._places(changes)
        puts = {
            place: c.value for place, c in places.items() if c.action == "put"
        }
        for value in puts.values():
            check_value(value, self._limit)
        done = self._make(
            author,
            f"edit {', '.join(str(p) for p, c in places.items() if c.action != 'require')}",
            lambda _: puts,
            deletes=lambda _: tuple(
                p for p, c in places.items() if c.action == "delete"
            ),
            requires={
                key: revision
                for place, change in places.items()
                for key, revision in _condition(
                    place, change.if_revision
                ).items()
            },
            confirm=confirm,
            secret=screen(puts, allow_secret),
        )
        revisions = {
            str(place): done.receipt.revisions.get(place) for place in places
        }
        return Edited(revisions=revisions, **delivered_fields(done))

    def load(
        self,
        author: Author,
        values: Mapping[Key, Json],
        *,
        confirm: bool = False,
        allow_secret: str | None = None,
    ) -> Edited:
        """Store any number of values as one edit; raises as `check` does."""
        secret = self.check(values, allow_secret)
        subject = f"import {count(len(values), 'key')}"
        done = self._make(
            author, subject, lambda _: values, confirm=confirm, secret=secret
        )
        revisions = {
            str(place): revision
            for place, revision in done.receipt.revisions.items()
        }
        return Edited(revisions=dict(revisions), **delivered_fields(done))

    def check(
        self, values: Mapping[Key, Json], allow_secret: str | None
    ) -> str | None:
        """Whether values may be stored; the reason for which secrets among them may.

        Raises:
            InputError: one of them may not be changed; the message names it.
        """
        for place, value in values.items():
            _refuse_reserved(place.scope)
            try:
                check_value(value, self._limit)
            except InputError as error:
                raise type(error)(
                    f"{place}: {error.what}", then=error.then
                ) from None
        return screen(values, allow_secret)

    def _places(self, changes: Sequence[Change]) -> dict[Key, Change]:
        if not 1 <= len(changes) <= MOST_CHANGES:
            raise InputError(
                f"The edit has {len(changes)} changes; 1 to {MOST_CHANGES} do"
            )
        places: dict[Key, Change] = {}
        for change in changes:
            place = resolve_key(change.scope, change.key, self._machine)
            if change.action != "require":
                _refuse_reserved(place.scope)
            if place in places:
                raise InputError(
                    f"The edit names {place} twice", then="Join the two changes"
                )
            places[place] = change
        snapshot = self._store.snapshot()
        screen_names(
            str(one) for one in places if snapshot.revision(one) is None
        )
        if all(change.action == "require" for change in changes):
            raise InputError(
                "The edit changes nothing", then="Give a value, or delete: true"
            )
        return places

    def _make(  # noqa: PLR0913  all that an edit is
        self,
        author: Author,
        subject: str,
        puts: Callable[[Snapshot], Mapping[Key, Json]] = lambda _: {},
        *,
        deletes: Callable[[Snapshot], tuple[Key, ...]] = lambda _: (),
        requires: Conditions | None = None,
        kind: Kind = Kind.EDIT,
        confirm: bool = False,
        secret: str | None = None,
    ) -> Delivered[Draft]:
        def decide(snapshot: Snapshot) -> Draft:
            author.check(snapshot)
            return Draft(
                subject=subject,
                session=author.name,
                puts=puts(snapshot),
                deletes=deletes(snapshot),
                requires=requires or {},
                fence=author.fence,
                kind=kind,
                secret=secret,
            )

        done = self._writer.make(decide, confirm=confirm)
        if confirm and done.outcome is Outcome.REFUSED:
            current = self._current_values(done.receipt.draft)
            raise ConditionFailed(f"Another clone was first: {current}")
        return done

    def _revision(self, place: Key, done: Delivered[Draft]) -> str:
        """What the key holds on account of an edit: after a merge, not what was stored."""
        made = done.receipt.revisions[place]
        if done.outcome in {None, Outcome.APPLIED}:
            return made
        return self._store.snapshot().revision(place) or made

    def _current_values(self, draft: Draft) -> str:
        """Describe the current values of the keys that a refused edit wanted to change."""
        snapshot = self._store.snapshot()
        if draft.requires:
            return explain(snapshot, draft.requires)
        return "; ".join(
            describe_value(snapshot, key)
            for key in (*draft.puts, *draft.deletes)
        )

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
        """The subject of a deletion; a name that looks like a credential is not repeated there."""
        if find_secret(place, None) is None:
            return f"delete {place}"
        if self._store.snapshot().revision(place) is None:
            screen_names([str(place)])
        return f"delete a key of {format_scope(place.scope)}"

    def _own_key(self, scope: str, key: str) -> Key:
        place = resolve_key(scope, key, self._machine)
        _refuse_reserved(place.scope)
        return place


def _refuse_reserved(scope: Scope) -> None:
    if scope[0] in RESERVED:
        raise ReservedScope(
            f"The scope {scope[0]} is kept by csc-git itself",
            then="Use another first segment, or the tool that is made for it",
        )


def _condition(place: Key, revision: str | None) -> dict[Key, str | None]:
    """What `if_revision` requires of a key."""
    if revision is None:
        return {}
    if revision != ABSENT and not _REVISION.fullmatch(revision):
        raise InputError(
            f"if_revision {revision[:80]!a} is no revision",
            then=f"Give one as retrieve_data and store_data return it, or {ABSENT!r}",
        )
    return {place: None if revision == ABSENT else revision}


def delivered_fields(done: Delivered[D]) -> dict[str, Any]:
    """The fields that all answers to an edit share."""
    return {
        "op": done.receipt.op,
        "status": done.where,
        "outcome": done.outcome,
        "reason": done.reason,
    }
