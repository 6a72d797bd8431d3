"""Run all checks in order. Meanwhile, git checks the store's objects in another thread."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.factory import directory_of, open_coordinator
from csc_git.doctor.branch import check_branch, check_team
from csc_git.doctor.client_settings import check_agreement, check_clients
from csc_git.doctor.finding import Finding, refused, wrong
from csc_git.doctor.hook_settings import check_hooks
from csc_git.doctor.project import check_git, check_machine, check_project
from csc_git.doctor.remote import Reopen, check_clock, check_remote
from csc_git.doctor.server_starts import Sharing, sharing_at, starts
from csc_git.doctor.store import (
    check_locks,
    check_size,
    check_watch,
    check_whole,
)
from csc_git.errors import CscError, as_csc_error
from csc_git.project.discovery import discover
from csc_git.project.project import Project
from csc_git.text import readable


def examine(
    start: Path,
    flags: Mapping[str, Any],
    user: str,
) -> Iterator[Finding]:
    """Check everything, from the repository to the clients.

    Args:
        start: A directory in the project.
        flags: Settings from the command line.
        user: The author of the test edit that is written and pushed.
    """
    yield from check_git()
    try:
        project = discover(start)
    except CscError as error:
        yield refused("repository", error)
        return
    yield from check_project(project)
    directory = directory_of(project)
    locks = list(_guarded("lock", check_locks(directory)))
    yield from locks
    try:
        here = sharing_at(start, flags)
    except CscError as error:
        yield refused("settings", error)
        return
    if any(finding.level != "ok" for finding in locks):
        return  # opening the store would wait for the lock without end
    reopen = partial(open_coordinator, start, flags)
    yield from _examine_opened(project, here, reopen, user)


def _examine_opened(
    project: Project,
    here: Sharing,
    reopen: Reopen,
    user: str,
) -> Iterator[Finding]:
    """Open the store; check it, the remote and the clients."""
    try:
        coordinator = reopen()
    except (CscError, OSError) as error:
        yield refused("store", as_csc_error(error))
        return
    agreement = _guarded("client", check_agreement(project, here))
    disagreements = list(agreement)
    if disagreements:
        # A sync could now publish data on the wrong remote. So the remote is not tried,
        # and no server is started, since a server syncs.
        yield from _check_opened(coordinator, iter(()))
        yield from disagreements
        return
    known = starts(project).known
    remote = check_remote(reopen, user, known)
    yield from _check_opened(coordinator, remote)
    yield from _guarded("client", check_clients(project, known))
    yield from _guarded("hooks", check_hooks(project, here))


def _check_opened(
    coordinator: Coordinator,
    remote: Iterator[Finding],
) -> Iterator[Finding]:
    """Check an opened store and its remote, then close it."""
    whole_store = _guarded("store", check_whole(coordinator))
    with closing(coordinator):
        # git takes seconds to check a large store, so the other checks run meanwhile.
        with ThreadPoolExecutor(1) as pool:
            checking = pool.submit(list, whole_store)
            others = list(_check_content(coordinator, remote))
            damages = checking.result()
        yield from damages
        is_damaged = any(finding.level == "error" for finding in damages)
        if not is_damaged:  # else other checks report the damage too
            yield from others


def _check_content(
    coordinator: Coordinator,
    remote: Iterator[Finding],
) -> Iterator[Finding]:
    """Run all checks of an opened store, except the check of its objects."""
    yield from _guarded("size", check_size(coordinator))
    yield from _guarded("watcher", check_watch(coordinator))
    yield from _guarded("remote", remote)
    yield from _guarded("machine", check_machine(coordinator))
    yield from _guarded("clock", check_clock(coordinator))
    yield from _guarded("team", check_team(coordinator))
    yield from _guarded("branch", check_branch(coordinator))


def _guarded(
    check: str,
    findings: Iterator[Finding],
) -> Iterator[Finding]:
    """Yield the findings of a check. If the check raises an error, the error becomes a finding."""
    try:
        yield from findings
    except (CscError, OSError) as error:
        yield refused(check, as_csc_error(error))
    except Exception as error:  # noqa: BLE001  the other checks must still run
        name = type(error).__name__
        message = readable(f"This check failed: {name}: {error}")
        fix = "Check the settings by hand, and please report this error"
        yield wrong(check, message, fix)
