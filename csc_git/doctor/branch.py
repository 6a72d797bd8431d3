"""The branch: what on it wants a person's decision."""

from collections.abc import Iterator
from shlex import quote

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.results import Status
from csc_git.coordinator.team_settings import read_team
from csc_git.doctor.finding import Finding, doubtful, fine
from csc_git.store.branch import Branch
from csc_git.text import count


def check_branch(coordinator: Coordinator) -> Iterator[Finding]:
    """Foreign entries, parked edits, open conflicts."""
    status = coordinator.status()
    found = [
        *_foreign(status),
        *_parked(status),
        *_conflicts(status),
        *_left(coordinator),
    ]
    yield from found
    if not found:
        yield fine(
            "branch",
            f"{status.branch}: {count(status.keys, 'key')}, nothing to decide",
        )


def check_team(coordinator: Coordinator) -> Iterator[Finding]:
    """Can all be used that the team has agreed on? Nothing if there is nothing wrong."""
    for one in read_team(coordinator.store.snapshot()).unusable:
        yield doubtful("team", one.what, one.then)


def _left(coordinator: Coordinator) -> Iterator[Finding]:
    """Edits that wait on a branch that was served before, and that no sync looks at."""
    repository, served = (
        coordinator.store.repository,
        coordinator.store.branch.name,
    )
    for name in repository.refs("refs/heads/"):
        waiting = len(Branch(repository, name).queue()) if name != served else 0
        if waiting:
            edits = count(waiting, "edit")
            message = f"Queued for the branch {name}, which is not synced here: {edits}"
            then = f"csc-git export --branch {quote(name)} | csc-git import -"
            yield doubtful(
                "branch", message, f"To have its values here: {then}"
            )


def _foreign(status: Status) -> Iterator[Finding]:
    if status.foreign_count:
        shown = ", ".join(status.foreign[:3])
        message = f"{status.foreign_count} on the branch that csc-git did not write: {shown}"
        advice = "Ask who put them there (csc-git log); they are skipped and left as they are"
        yield doubtful("foreign", message, advice)


def _parked(status: Status) -> Iterator[Finding]:
    for edit in status.parked[:3]:
        message = f"The remote declined “{edit.subject}” by {edit.session}: {edit.reason}"
        yield doubtful(
            "parked",
            message,
            f"csc-git sync --retry {edit.op}, or --drop {edit.op}",
        )


def _conflicts(status: Status) -> Iterator[Finding]:
    if status.conflicts:
        message = f"{count(len(status.conflicts), 'value')} lost to a concurrent one, and kept"
        yield doubtful(
            "conflicts", message, "csc-git conflicts, then csc-git resolve"
        )
