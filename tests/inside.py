"""The private parts of csc-git that tests reach, each in one function.

A test goes through the public interface where there is one. Each function here names what it
reaches, and why there is no public way to it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from csc_git.coordinator.claims.claims import Claims
from csc_git.coordinator.sessions.sessions import Sessions
from csc_git.git.maintenance import Maintenance
from csc_git.git.objects.objects import Objects
from csc_git.git.remote import Remote
from csc_git.store.sync.attempt import Attempt


def clone_of(remote: Remote) -> str:
    """Name of the directory whose clone pushes (`Remote._project`).

    A failing push in one process must tell its own clone from another one that it opens. Users of
    a remote need no such thing.
    """
    return remote._project.top.name  # noqa: SLF001


@contextmanager
def maintenance_running(maintenance: Maintenance) -> Iterator[None]:
    """Hold the lock that a running maintenance holds (`Maintenance._lock`).

    It is a lock of another process. Nothing public holds it for as long as a test needs.
    """
    with maintenance._lock.locked():  # noqa: SLF001
        yield


def forget_pending_renewals(sessions: Sessions) -> None:
    """Have each session of this process renewed again (`Sessions._own`).

    A renewal waits until the one before it is synced. A test of many renewals can't sync each.
    """
    for own in sessions._own.values():  # noqa: SLF001
        own.op = None


def set_tracked_files(
    patch: pytest.MonkeyPatch, claims: Claims, listed: Callable[[], list[str]]
) -> None:
    """Replace the list of tracked files that patterns are matched against (`Claims._tracked`).

    It comes from `git ls-files` when a clone is opened. A test has to know when it is asked for.
    """
    patch.setattr(claims, "_tracked", listed)


class ReadCount:
    """How often an object is read from disk while a test runs (`Objects._raw`).

    Each public way to read an object may answer from memory instead.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.reads = 0
        read = Objects._raw  # noqa: SLF001

        def counted(objects: Objects, object_id: str, kind: int) -> bytes:
            self.reads += 1
            return read(objects, object_id, kind)

        patch.setattr(Objects, "_raw", counted)


def fail_after_parking(patch: pytest.MonkeyPatch) -> None:
    """Have a sync end after it parked an edit, with the edit still queued (`Attempt._adopt`).

    A crash between two steps of one call can't be caused from outside.
    """

    def fail(*_: object) -> None:
        raise OSError("the power went")

    patch.setattr(Attempt, "_adopt", fail)


def fail_pushes(
    patch: pytest.MonkeyPatch, error: BaseException | type[BaseException]
) -> None:
    """Have each push of this process end in an error, before it reaches the remote.

    A real remote can decline a push. It can't kill the process that pushes.
    """

    def fail(*_: object, **__: object) -> None:
        raise error

    patch.setattr(Remote, "push", fail)


def read_trees_when_a_listing_exceeds(
    patch: pytest.MonkeyPatch, size: int
) -> None:
    """Lower the size from which a listing by git is not used (`database._MOST_AT_ONCE`).

    It is a constant. A branch that large would take minutes to make.
    """
    patch.setattr("csc_git.git.objects.database._MOST_AT_ONCE", size)


def compare_trees_of_every_edit(patch: pytest.MonkeyPatch) -> None:
    """Take each edit for one of many keys, whose trees are compared (`past_edits._MANY`).

    It is a constant, and the other way must give the same result.
    """
    patch.setattr("csc_git.store.past_edits._MANY", 0)


def remember_parts_of_the_index(patch: pytest.MonkeyPatch, most: int) -> None:
    """Limit what the index keeps in memory (`scopes._MOST_PARTS`).

    It is a constant. Only a huge store would reach it.
    """
    patch.setattr("csc_git.store.tree.scopes._MOST_PARTS", most)


def recheck_each(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """Set how often a wait looks without a notification of the file system (`watch._RECHECK`).

    It is a constant. With it a missing notification would go unnoticed.
    """
    patch.setattr("csc_git.store.watch._RECHECK", seconds)


def store_after(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """Set how long a command waits for its first fetch (`writer._LONGEST_FIRST`).

    It is a constant, and longer than a test should take.
    """
    patch.setattr("csc_git.coordinator.writer._LONGEST_FIRST", seconds)
