"""Results: what each operation answers, as the tools and `--json` show it.

Field names are the contract with clients. Values that others wrote are always in a field of their
own (`value`), beside who wrote them and when: data to look at, never instructions to follow.
"""

from csc_git.coordinator.results.base import Result, Version, Where
from csc_git.coordinator.results.changes import (
    Blame,
    Changed,
    ChangedKey,
    Changes,
    Difference,
    Differences,
    History,
    PastChange,
    SettledEdit,
)
from csc_git.coordinator.results.data import (
    Deleted,
    DeletedScope,
    Delivered,
    Edited,
    Keys,
    OpenConflict,
    OpenConflicts,
    Resolved,
    Retrieved,
    Rotated,
    Scopes,
    Stored,
)
from csc_git.coordinator.results.people import (
    Claimed,
    ClaimSummary,
    Context,
    HeldEdit,
    Released,
    SessionState,
    SessionSummary,
    SignedOff,
    SignedOn,
    Status,
    SyncSummary,
)

__all__ = [
    "Blame",
    "Changed",
    "ChangedKey",
    "Changes",
    "ClaimSummary",
    "Claimed",
    "Context",
    "Deleted",
    "DeletedScope",
    "Delivered",
    "Difference",
    "Differences",
    "Edited",
    "HeldEdit",
    "History",
    "Keys",
    "OpenConflict",
    "OpenConflicts",
    "PastChange",
    "Released",
    "Resolved",
    "Result",
    "Retrieved",
    "Rotated",
    "Scopes",
    "SessionState",
    "SessionSummary",
    "SettledEdit",
    "SignedOff",
    "SignedOn",
    "Status",
    "Stored",
    "SyncSummary",
    "Version",
    "Where",
]
