"""An examination: all checks, one after the other; git looks through the store meanwhile."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
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
from csc_git.doctor.remote import check_clock, check_remote
from csc_git.doctor.server_starts import sharing_at, starts
from csc_git.doctor.store import (
    check_locks,
    check_size,
    check_watch,
    check_whole,
)
from csc_git.errors import CscError, as_csc_error
from csc_git.git.project import discover
from csc_git.text import readable


def examine(
    start: Path, flags: Mapping[str, Any], user: str
) -> Iterator[Finding]:
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
    locks = list(_guarded("lock", check_locks(directory_of(project))))
    yield from locks
    try:
        here = sharing_at(start, flags)
    except CscError as error:
        yield refused("settings", error)
        return
    if any(finding.level != "ok" for finding in locks):
        return  # what follows would wait for ever
    reopened = partial(open_coordinator, start, flags)
    try:
        coordinator = reopened()
    except (CscError, OSError) as error:
        yield refused("store", as_csc_error(error))
        return
    apart = list(_guarded("client", check_agreement(project, here)))
    known = [] if apart else starts(project)[0]
    try:
        with ThreadPoolExecutor(
            1
        ) as pool:  # git takes seconds for a large store
            looking = pool.submit(
                list, _guarded("store", check_whole(coordinator))
            )
            tried = iter(()) if apart else check_remote(reopened, user, known)
            seen = list(_opened(coordinator, tried))
            whole = looking.result()
        yield from whole
        if all(
            finding.level != "error" for finding in whole
        ):  # else each check would tell of it
            yield from seen
    finally:
        coordinator.close()
    yield from apart
    if not apart:  # else no server is started either, since each syncs
        yield from _guarded("client", check_clients(project, known))
        yield from _guarded("hooks", check_hooks(project, here))


def _guarded(check: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """A check's findings; what it did not expect is one too."""
    try:
        yield from findings
    except (CscError, OSError) as error:
        yield refused(check, as_csc_error(error))
    except Exception as error:  # noqa: BLE001  a doctor that faints helps nobody
        message = readable(
            f"This check failed: {type(error).__name__}: {error}"
        )
        yield wrong(
            check,
            message,
            "Look at the settings by hand; and report this, please",
        )


def _opened(
    coordinator: Coordinator, remote: Iterator[Finding]
) -> Iterator[Finding]:
    """What there is to see in a store, and at the remote."""
    yield from _guarded("size", check_size(coordinator))
    yield from _guarded("watcher", check_watch(coordinator))
    yield from _guarded("remote", remote)
    yield from _guarded("machine", check_machine(coordinator))
    yield from _guarded("clock", check_clock(coordinator))
    yield from _guarded("team", check_team(coordinator))
    yield from _guarded("branch", check_branch(coordinator))
