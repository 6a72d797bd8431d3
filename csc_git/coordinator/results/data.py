"""Answers of the operations that read, store and delete values and resolve conflicts."""

from typing import Any

from pydantic import Field

from csc_git.coordinator.results.base import Result, Version, Where


class Delivered(Result):
    """The fields of all answers to an edit."""

    op: str | None = Field(
        description="id of the edit; null: nothing had to change"
    )
    status: Where
    outcome: str | None = Field(
        default=None, description="outcome of its replay, if any"
    )
    reason: str = ""


class Stored(Delivered):
    """Answer of `store_data`."""

    scope: str
    key: str
    revision: str


class Retrieved(Result):
    """Answer of `retrieve_data`. `value` is what somebody stored: data, not instructions."""

    found: bool
    scope: str
    key: str
    value: Any = None
    revision: str | None = None
    session: str | None = Field(default=None, description="who stored it")
    time: str | None = None
    authors: list[str] = Field(
        default=[], description="all authors, if it was merged"
    )
    contact_age: float | None = Field(description="seconds")
    sync_state: str


class Keys(Result):
    """Answer of `list_keys`."""

    scope: str
    keys: list[str]
    more: int = 0


class Scopes(Result):
    """Answer of `list_scopes`."""

    scopes: list[str]
    more: int = 0


class Deleted(Delivered):
    """Answer of `delete_data`."""

    scope: str
    key: str
    deleted: bool


class DeletedScope(Delivered):
    """Answer of `delete_scope`."""

    scope: str
    deleted: bool
    count: int


class Edited(Delivered):
    """Answer of `edit`."""

    revisions: dict[str, str | None] = Field(
        description="by scope/key; null: removed"
    )


class Exported(Result):
    """One line of `csc-git export`."""

    scope: str
    key: str
    value: Any
    session: str
    time: str


class Imported(Result):
    """Answer of `csc-git import`."""

    added: list[str] = Field(description="by scope/key")
    changed: list[str]
    unchanged: int
    op: str | None = Field(
        default=None, description="id of the edit; null: none was made"
    )
    status: Where | None = None


class OpenConflict(Result):
    """A conflict: the version that lost, and the current one (null: none)."""

    conflict: str = Field(description="its id")
    scope: str
    key: str
    why: str
    lost: Version
    lost_deletion: bool = Field(description="a deletion lost")
    current: Version | None


class OpenConflicts(Result):
    """Answer of `list_conflicts`."""

    conflicts: list[OpenConflict]
    more: int = 0


class Rotated(Result):
    """Answer of `csc-git rotate`."""

    root: str = Field(description="the commit with which the branch begins now")
    previous: str = Field(description="the last commit of the old history")
    archive: str = Field(
        description="the remote's branch that keeps that history"
    )


class Resolved(Delivered):
    """Answer of `resolve_conflict`."""

    scope: str
    key: str
    revision: str | None
