"""Sync: bringing this clone and the remote together, one attempt at a time.

The process of a clone that has the sync lock does the work; one that had to wait for the lock finds
it done. Nothing here raises an error for what the remote does: the outcome is a `SyncStatus`, which
all processes of the clone share.
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
        replica: The clone's side.
        connect: Returns the remote as the settings have it now. Its argument is whether to read the
            settings again, as after a failed attempt: they may have been corrected meanwhile.
        directory: The clone's `csc` directory, with the lock and the status.
        stopped: Set when this process ends. An attempt then gives up, and its result is not
            recorded as a failure of the remote.
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
        """Keep every process of the clone from syncing for the length of a `with` block."""
        with self._lock.locked():
            yield

    @property
    def status(self) -> SyncStatus:
        """How the clone's last attempt ended."""
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
        """Sync once, after waiting for another process's attempt; return how it ended.

        Args:
            now: The wall clock.
            began: This moment. If another process's attempt began later and succeeded, and nothing
                is queued, there is no new attempt.
            permit: What a person has decided.
            progress: Receives what is being done.
        """
        try:
            return self._attempt(now, began, permit, progress)
        except StoreGone:
            raise
        except OSError as error:
            # Even the lock or the status file can't be written.
            what = error.strerror or str(error)
            self._unsaved = self.status.failed(RemoteState.STORAGE, what, began)
            return self._unsaved

    def divergence(self) -> Divergence:
        """Fetch, and compare what the remote has with what it had confirmed. Nothing is changed.

        Raises:
            RemoteFailure: the remote can't be asked.
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
            now: The wall clock.
            began: This moment.
            progress: Receives what is being done.

        Raises:
            RemoteFailure: the remote refuses, or others push all the time; nothing was rotated.
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
        except Exception as error:  # noqa: BLE001  the state must not stay what it was
            _log.exception("A sync failed in a way csc-git did not expect")
            what = f"{type(error).__name__}: {error}"
            status = status.failed(RemoteState.FAILED, what, began)
        parked = self._replica.branch.parked()
        current = {op: why for op, why in reasons.items() if op in parked}
        return replace(status, reasons=current)


def _serves(status: SyncStatus, began: Instant) -> bool:
    """Return whether another process's attempt began later and succeeded."""
    if status.state is not RemoteState.OK or status.contact is None:
        return False
    return status.contact.is_after(began)
