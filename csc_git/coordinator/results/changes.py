"""Answers about changes: the results of the change feed and of the history."""

from typing import Literal, Self

from pydantic import Field

from csc_git.coordinator.results.base import Result, Version
from csc_git.core.key import Key, format_scope
from csc_git.store.tree.snapshot import Stored, revision_of


class ChangedKey(Result):
    """One key that changed, with its revisions before and after."""

    scope: str
    key: str
    change: Literal["created", "changed", "deleted", "unreadable"]
    old: str | None
    new: str | None

    @classmethod
    def of(
        cls,
        key: Key,
        old: Stored | None,
        new: Stored | None,
        **more: str,
    ) -> Self:
        """Compare the values of a key before and after a change.

        Args:
            key: The key that changed.
            old: The stored value before the change; None if the key had no value.
            new: The stored value after the change; None if the key has no value.
            more: The values of the fields that a subclass adds, by field name.
        """
        if new is None:
            change = "deleted"
        elif not new.is_readable:
            change = "unreadable"
        elif old is None:
            change = "created"
        else:
            change = "changed"
        fields = {
            "scope": format_scope(key.scope),
            "key": key.name,
            "change": change,
            "old": revision_of(old),
            "new": revision_of(new),
            **more,
        }
        return cls.model_validate(fields)


class Changed(ChangedKey):
    """One key that changed, by whom and when."""

    session: str
    time: str


class SettledEdit(Result):
    """An edit of this server's sessions that reached the remote."""

    op: str
    outcome: str


class Changes(Result):
    """Answer of `wait_for_changes`."""

    changes: list[Changed]
    settled: list[SettledEdit] = Field(
        description="your edits that the remote got"
    )
    lost_claims: list[str]
    cursor: str = Field(description="pass it as since")
    more: bool = Field(description="ask again at once")
    contact_age: float | None
    sync_state: str


class PastChange(Result):
    """One edit of the history."""

    time: str
    session: str
    subject: str
    op: str
    commit: str
    outcome: str | None
    changed: list[ChangedKey]
    unlisted: int = 0


class History(Result):
    """Answer of `history`, newest first."""

    edits: list[PastChange]
    more: bool


class Blame(Result):
    """Who last changed each key of a scope."""

    scope: str
    keys: dict[str, PastChange]


class Differences(Result):
    """The keys that differ between two moments."""

    differences: list["Difference"]


class Difference(Result):
    """One key that differs between two moments; null: it had no value."""

    scope: str
    key: str
    before: Version | None
    after: Version | None
    unreadable: bool = False
