"""An examination: all checks, one after the other, each finding told as soon as it is there."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from csc_git.config.settings import load
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.opening import directory_of, open_coordinator
from csc_git.doctor.branch import check_branch
from csc_git.doctor.client import check_clients, check_hooks, starts
from csc_git.doctor.environment import client_environment
from csc_git.doctor.finding import Finding, refused, wrong
from csc_git.doctor.project import check_git, check_machine, check_project
from csc_git.doctor.remote import check_clock, check_remote
from csc_git.doctor.store import check_lock, check_size, check_watch, check_whole
from csc_git.errors import CscError, as_told
from csc_git.git.project import discover
from csc_git.git.words import readable


def examine(start: Path, flags: Mapping[str, Any], user: str) -> Iterator[Finding]:
    """Check everything, from the repository to the clients.

    Args:
        start: A directory in the project.
        flags: Settings from the command line.
        user: The person on whose behalf the remote is tried.
    """
    yield from check_git()
    try:
        project = discover(start)
    except CscError as error:
        yield refused("repository", error)
        return
    yield from check_project(project)
    try:
        branch = load(project, flags).branch
        coordinator = open_coordinator(start, flags)
    except (CscError, OSError) as error:
        yield refused("settings", as_told(error))
        return
    memory = directory_of(project) / "registration.json"
    known, unreadable = starts(project, memory)
    environments = [start.environment for start in known] or [client_environment(None, {})]
    given = min(environments, key=len)  # if it does for this one, it does for all
    try:
        lock = list(check_lock(coordinator))
        yield from lock
        if all(finding.level == "ok" for finding in lock):  # else a write would wait for ever
            yield from _opened(coordinator, user, given)
    except (CscError, OSError) as error:
        yield wrong("store", as_told(error).what, as_told(error).then)
    finally:
        coordinator.close()
    yield from _guarded("client", check_clients(project, known, unreadable, branch))
    yield from _guarded("hooks", check_hooks(project, memory))


def _guarded(check: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """A check's findings; what it did not expect is one too."""
    try:
        yield from findings
    except Exception as error:  # noqa: BLE001  a doctor that faints helps nobody
        says = readable(f"It can't be told: {type(error).__name__}: {error}")
        yield wrong(check, says, "Look at the settings by hand; and report this, please")


def _opened(coordinator: Coordinator, user: str, given: Mapping[str, str]) -> Iterator[Finding]:
    yield from _guarded("store", check_whole(coordinator))
    yield from _guarded("size", check_size(coordinator))
    yield from _guarded("watcher", check_watch(coordinator))
    yield from _guarded("remote", check_remote(coordinator, user, given))
    yield from _guarded("machine", iter([check_machine(coordinator)]))
    yield from _guarded("clock", check_clock(coordinator))
    yield from _guarded("branch", check_branch(coordinator))
