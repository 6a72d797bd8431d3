"""Check the branch: does something need a person's decision?"""

from collections.abc import Iterator
from shlex import quote

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.results.activity import Status
from csc_git.coordinator.team_settings import read_team
from csc_git.doctor.finding import Finding, doubtful, fine
from csc_git.store.branch import Branch
from csc_git.text import count


def check_branch(coordinator: Coordinator) -> Iterator[Finding]:
    """Are there foreign entries, parked edits, open conflicts, or edits for another branch?"""
    status = coordinator.summary.status()
    found = [
        *_foreign(status),
        *_parked(status),
        *_conflicts(status),
        *_other_queues(coordinator),
    ]
    yield from found
    if not found:
        keys = count(status.keys, "key")
        message = f"{status.branch}: {keys}, nothing to decide"
        yield fine("branch", message)


def check_team(coordinator: Coordinator) -> Iterator[Finding]:
    """Can all of the team's settings be used? Each setting that can't be used becomes a finding."""
    settings = read_team(coordinator.store.snapshot())
    for one in settings.unusable:
        yield doubtful("team", one.what, one.then)


def _other_queues(coordinator: Coordinator) -> Iterator[Finding]:
    """Report edits that are queued for a branch that this clone used before.

    These edits are not synced now.
    """
    store = coordinator.store
    for name in store.repository.refs("refs/heads/"):
        if name == store.branch.name:
            continue
        branch = Branch(store.repository, name)
        queue = branch.queue()
        if not queue:
            continue
        edits = count(len(queue), "edit")
        message = (
            f"Queued for the branch {name}, which is not synced here: {edits}"
        )
        copy = f"csc-git export --branch {quote(name)} | csc-git import -"
        yield doubtful(
            "branch",
            message,
            f"To copy the values of that branch here: {copy}",
        )


def _foreign(status: Status) -> Iterator[Finding]:
    if not status.foreign_count:
        return
    shown = ", ".join(status.foreign[:3])
    yield doubtful(
        "foreign",
        f"Files on the branch that csc-git did not write ({status.foreign_count}): {shown}",
        "Ask who added these files (csc-git log). csc-git skips them and does not change them",
    )


def _parked(status: Status) -> Iterator[Finding]:
    for edit in status.parked[:3]:
        yield doubtful(
            "parked",
            f"The remote declined “{edit.subject}” by {edit.session}: {edit.reason}",
            f"csc-git sync --retry {edit.op}, or --drop {edit.op}",
        )


def _conflicts(status: Status) -> Iterator[Finding]:
    if not status.conflicts:
        return
    values = count(len(status.conflicts), "value")
    yield doubtful(
        "conflicts",
        f"{values} lost to a concurrent value; a person must decide which value to keep",
        "csc-git conflicts, then csc-git resolve",
    )
