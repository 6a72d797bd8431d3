"""Answers about the sync with the remote."""

from pydantic import Field

from csc_git.coordinator.results.base import Result


class SyncSummary(Result):
    """State of the sync with the remote."""

    state: str
    message: str
    next: str = ""
    queued: int = Field(
        default=0, description="edits the remote has not confirmed"
    )
    parked: int = Field(default=0, description="edits the remote declined")
    contact_age: float | None = Field(description="seconds")


class Synced(SyncSummary):
    """Answer of `csc-git sync`."""

    kept: str | None = Field(
        description="tip that a decision replaced; export --at reads it"
    )


class LostEdit(Result):
    """A confirmed edit that the remote no longer has."""

    commit: str
    time: str
    session: str
    subject: str


class Decision(Result):
    """Answer of `csc-git sync` while it waits for a person's decision."""

    state: str
    message: str
    lost: list[LostEdit] = Field(
        description="confirmed edits that the remote lacks, newest first"
    )
    lost_count: int
    unknown_count: int = Field(
        description="edits on the remote that this clone has not seen"
    )
    queued: int = Field(
        description="edits of this clone that were never confirmed; they stay"
    )
    only_here: list[str] = Field(
        description="keys that the remote lacks, as scope/key"
    )
    only_there: list[str] = Field(description="keys that only the remote has")
    differing: list[str] = Field(
        description="keys with another value on the remote"
    )


class ParkedEdit(Result):
    """An edit that the remote declined."""

    op: str
    subject: str
    session: str
    reason: str
