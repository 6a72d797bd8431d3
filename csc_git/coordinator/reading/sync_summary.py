"""Summarize the state of the sync, and the problems that only a person can solve."""

from typing import Final

from csc_git.coordinator import clock
from csc_git.coordinator.results.sync import (
    Decision,
    LostEdit,
    ParkedEdit,
    SyncSummary,
)
from csc_git.core.clock import format_time
from csc_git.core.commit import CommitInfo
from csc_git.core.edit import Record
from csc_git.core.remote_state import RemoteState, describe_ok
from csc_git.store.store import Store
from csc_git.store.sync.recovery import Divergence
from csc_git.store.sync.status import SyncStatus
from csc_git.text import readable

_MOST_LOST: Final = 50
"""The answer for a person's decision lists at most this many lost edits.

The other lost edits are only counted.
"""


def contact_age(status: SyncStatus) -> float | None:
    """Return the rounded seconds since the last contact with the remote; None if unknown."""
    age = status.age(clock.instant())
    if age is None:
        return None
    return round(age, 1)


def summarize_sync(store: Store) -> SyncSummary:
    """Return the state of the sync with the remote."""
    status = store.sync_status
    queued = len(store.branch.queue())
    parked = len(store.branch.parked())
    what, then = status.describe()
    if status.state is RemoteState.OK:
        age = status.age(clock.instant())
        what = describe_ok(queued, age)
    if then:
        then = f"{then}."
    return SyncSummary(
        state=str(status.state),
        message=f"{what}.",
        next=then,
        queued=queued,
        parked=parked,
        contact_age=contact_age(status),
    )


def summarize_decision(
    store: Store,
    found: Divergence,
) -> Decision:
    """Return the facts for a person who must decide what to do about a lost or replaced branch.

    Args:
        store: The clone's store.
        found: The difference between the remote's branch now and the edits that the remote had
            confirmed before.
    """
    status = store.sync_status
    what, _ = status.describe()
    newest_first = found.lost[::-1]
    lost = [_lost_edit(commit) for commit in newest_first[:_MOST_LOST]]
    only_here: list[str] = []
    only_there: list[str] = []
    differing: list[str] = []
    for key, here, there in found.changes:
        if here and there:
            differing.append(str(key))
        elif here:
            only_here.append(str(key))
        elif there:
            only_there.append(str(key))
    return Decision(
        state=str(status.state),
        message=f"{what}.",
        lost=lost,
        lost_count=len(found.lost),
        unknown_count=len(found.unknown),
        queued=found.queued,
        only_here=only_here,
        only_there=only_there,
        differing=differing,
    )


def parked_edits(store: Store) -> list[ParkedEdit]:
    """Return the edits that the remote declined."""
    reasons = store.sync_status.reasons
    parked = store.branch.parked()
    found: list[ParkedEdit] = []
    for op, commit_id in sorted(parked.items()):
        commit = store.repository.objects.commit(commit_id)
        reason = reasons.get(op, "")
        edit = _parked(op, commit, reason)
        found.append(edit)
    return found


def _parked(
    op: str,
    commit: CommitInfo,
    reason: str,
) -> ParkedEdit:
    subject = ""
    session = ""
    record = Record.parse(commit.message)
    if record is not None:
        subject = readable(record.subject)
        session = readable(record.session)
    return ParkedEdit(
        op=op,
        subject=subject,
        session=session,
        reason=readable(reason),
    )


def _lost_edit(commit: CommitInfo) -> LostEdit:
    time = commit.author_time
    session = commit.author
    subject = commit.message
    record = Record.parse(commit.message)
    if record is not None:
        time = record.clock
        session = record.session
        subject = record.subject
    return LostEdit(
        commit=commit.id,
        time=format_time(time),
        session=readable(session, 80),
        subject=readable(subject, 120),
    )
