"""Sync: exchanging edits between this clone and the remote, one attempt at a time.

An attempt is made by the process that has the clone's sync lock. If another process waited for the
lock, that process then finds that the work is already done. If an attempt fails because of the
remote, no error is raised. The outcome of an attempt is a `SyncStatus`, which all processes of the
clone share.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from csc_git.core.lease import Instant
from csc_git.core.pace import Pace
from csc_git.core.remote_failure import RemoteFailure
from csc_git.core.remote_state import RemoteState
from csc_git.errors import CscError, FormatTooNew, StorageFailed, StoreGone
from csc_git.files.durable import file_identity
from csc_git.files.lock import FileLock
from csc_git.git.remote import Remote
from csc_git.store.sync.attempt import Attempt, Progress
from csc_git.store.sync.recovery import Divergence, Permit, divergence
from csc_git.store.sync.replica import Replica
from csc_git.store.sync.rotation import Rotation, rotate
from csc_git.store.sync.status import SyncStatus
from csc_git.text import readable

_log: Final = logging.getLogger(__name__)


class Sync:
    """Syncs one clone with one remote.

    Args:
        replica: This clone's copy of the branch; see `Replica`.
        connect: A function that returns the remote from the current settings. The argument is True
            if the settings must be read again, for instance after a failed attempt.
        directory: The clone's `csc` directory, which contains the sync lock and the status file.
        stopped: An event that is set when this process ends. When the event is set, a running
            attempt stops. The stopped attempt is not recorded as a failure of the remote.
    """

    def __init__(
        self,
        replica: Replica,
        connect: Callable[[bool], Remote],
        directory: Path,
        stopped: threading.Event,
    ) -> None:
        self._replica = replica
        self._connect = connect
        self._lock = FileLock(directory / "locks" / "sync")
        self._status_file = directory / "sync.json"
        self._stopped = stopped
        self._unsaved: SyncStatus | None = None
        self._loaded = SyncStatus()
        self._loaded_identity: object = None
        self.pace = Pace()

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Prevent all other syncs in this clone while the `with` block runs."""
        with self._lock.locked():
            yield

    @property
    def status(self) -> SyncStatus:
        """The outcome of the clone's last attempt."""
        if self._unsaved is not None:
            return self._unsaved
        identity = file_identity(self._status_file)
        # The file is read again only if it was replaced.
        if identity is None or identity != self._loaded_identity:
            self._loaded = SyncStatus.load(self._status_file)
            self._loaded_identity = identity
        return self._loaded

    def attempt(
        self,
        now: datetime,
        began: Instant,
        permit: Permit,
        progress: Progress,
    ) -> SyncStatus:
        """Make one attempt to sync. If another process is syncing, wait for that process first.

        Args:
            now: The current time by this machine's clock.
            began: The time of this call. No attempt is made if nothing is queued and a successful
                attempt of another process began after this time.
            permit: A person's decisions on what to do if the remote has lost commits.
            progress: A function that is called with a short text about each step.
        """
        try:
            return self._attempt(now, began, permit, progress)
        except StoreGone:
            raise
        except OSError as error:
            # The lock file or the status file can't be written, so the status is kept in memory.
            what = error.strerror or str(error)
            self._unsaved = self.status.failed(RemoteState.STORAGE, what, began)
            return self._unsaved

    def divergence(self) -> Divergence:
        """Fetch the remote's branch, and compare it with the commits that the remote had confirmed.

        The branch in this clone is not changed.

        Raises:
            RemoteFailure: the fetch failed.
        """
        repository = self._replica.repository
        branch = self._replica.branch
        with self._lock.locked():
            remote = self._connect(True)  # noqa: FBT003  a person is about to decide
            fetched = remote.fetch()
            found = divergence(repository.objects, branch, fetched)
            with repository.writing():
                branch.tidy()
            return found

    def rotate(
        self,
        now: datetime,
        began: Instant,
        progress: Progress,
    ) -> Rotation:
        """Rotate the branch; see `store.sync.rotation`.

        Args:
            now: The current time by this machine's clock.
            began: The time of this call.
            progress: A function that is called with a short text about each step.

        Raises:
            RemoteFailure: the remote refused the push, or another clone pushed first in every try.
                The branch was not rotated.
        """
        with self._lock.locked():
            remote = self._connect(True)  # noqa: FBT003  a person has decided
            reasons = dict(self.status.reasons)

            def drain() -> None:
                attempt = Attempt(
                    self._replica,
                    remote,
                    now,
                    Permit(),
                    progress,
                    reasons,
                    self.pace,
                )
                attempt.run(self._stopped.wait)

            done = rotate(self._replica, remote, now, drain)
            url = readable(remote.url())
            status = self.status.succeeded(began, url)
            status.save(self._status_file)
            return done

    def _attempt(
        self,
        now: datetime,
        began: Instant,
        permit: Permit,
        progress: Progress,
    ) -> SyncStatus:
        with self._lock.locked():
            self._replica.repository.check_place()
            before = self.status
            if _serves(before, began) and not self._replica.branch.queue():
                return before
            status = self._try(before, now, began, permit, progress)
            if self._stopped.is_set() and status.state is not RemoteState.OK:
                status = replace(before, attempt=began)
            status.save(self._status_file)
            self._unsaved = None
            return status

    def _try(
        self,
        status: SyncStatus,
        now: datetime,
        began: Instant,
        permit: Permit,
        progress: Progress,
    ) -> SyncStatus:
        reasons = dict(status.reasons)
        url = ""
        try:
            remote = self._connect(status.failures > 0)
            url = readable(remote.url())
            attempt = Attempt(
                self._replica,
                remote,
                now,
                permit,
                progress,
                reasons,
                self.pace,
            )
            attempt.run(self._stopped.wait)
            status = status.succeeded(began, url)
        except RemoteFailure as failure:
            status = status.failed(failure.state, failure.detail, began, url)
        except StorageFailed as error:
            status = status.failed(RemoteState.STORAGE, error.what, began)
        except OSError as error:
            status = status.failed(RemoteState.STORAGE, str(error), began)
        except FormatTooNew as error:
            status = status.failed(RemoteState.TOO_NEW, error.what, began)
        except CscError as error:
            status = status.failed(RemoteState.FAILED, error.what, began)
        except Exception as error:  # noqa: BLE001  the status must show the failure
            _log.exception("A sync failed in a way csc-git did not expect")
            what = f"{type(error).__name__}: {error}"
            status = status.failed(RemoteState.FAILED, what, began)
        parked = self._replica.branch.parked()
        current = {op: why for op, why in reasons.items() if op in parked}
        return replace(status, reasons=current)


def _serves(status: SyncStatus, began: Instant) -> bool:
    """Return whether the last attempt succeeded and began after the time `began`."""
    if status.state is not RemoteState.OK or status.contact is None:
        return False
    return status.contact.is_after(began)
