"""Sync: bringing this clone and the remote together, one attempt at a time.

Whichever process of a clone has the sync lock does the work; one that had to wait for the lock
finds it done. Nothing here raises for what the remote does: the outcome is a `SyncStatus`, which
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
from csc_git.core.remote_state import RemoteState
from csc_git.errors import CscError, FormatTooNew, StorageFailed, StoreGone
from csc_git.files.durable import file_identity
from csc_git.files.lock import FileLock
from csc_git.git.failure import RemoteFailure
from csc_git.git.remote import Remote
from csc_git.store.attempt import Attempt, Progress
from csc_git.store.recovery import Divergence, Permit, divergence
from csc_git.store.replica import Replica
from csc_git.store.rotation import Rotation, rotate
from csc_git.store.status import SyncStatus
from csc_git.text import readable

_log: Final = logging.getLogger(__name__)


class Sync:
    """Syncs one clone with one remote.

    Args:
        replica: The clone's side.
        connect: Returns the remote as the settings have it now; is passed whether the last attempt
            failed, since settings may have been mended meanwhile.
        directory: Where the lock and the status live.
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
        self._loaded: tuple[object, SyncStatus] = None, SyncStatus()
        self.pace = Pace()

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Keep every process of the clone from syncing for the length of a `with` block."""
        with self._lock.held():
            yield

    @property
    def status(self) -> SyncStatus:
        """How the clone's last attempt ended."""
        if self._unsaved is not None:
            return self._unsaved
        stamp = file_identity(self._status_file)
        if (
            stamp is None or stamp != self._loaded[0]
        ):  # read again only if it was replaced
            self._loaded = stamp, SyncStatus.load(self._status_file)
        return self._loaded[1]

    def attempt(
        self, now: datetime, began: Instant, permit: Permit, progress: Progress
    ) -> SyncStatus:
        """Try once, after waiting for another process's attempt.

        Args:
            now: The wall clock.
            began: This moment. A contact that began later serves as well as one of our own.
            permit: What a person allowed.
            progress: Told what is being done.
        """
        try:
            return self._attempt(now, began, permit, progress)
        except StoreGone:
            raise
        except (
            OSError
        ) as error:  # even the lock or the status file can't be written
            what = error.strerror or str(error)
            self._unsaved = self.status.failed(RemoteState.STORAGE, what, began)
            return self._unsaved

    def divergence(self) -> Divergence:
        """Fetch, and compare what the remote has with what it had confirmed; changes nothing.

        Raises:
            RemoteFailure: the remote can't be asked.
        """
        with self._lock.held():
            fetched = self._connect(True).fetch()  # noqa: FBT003  a person is about to decide
            repository, branch = self._replica.repository, self._replica.branch
            found = divergence(repository.objects, branch, fetched)
            with repository.writing():
                branch.tidy()
            return found

    def rotate(
        self, now: datetime, began: Instant, progress: Progress
    ) -> Rotation:
        """Rotate the branch; see `store.rotation`.

        Raises:
            RemoteFailure: it can't be; nothing was rotated.
        """
        with self._lock.held():
            remote = self._connect(True)  # noqa: FBT003  after a person's decision, settings count
            reasons = dict(self.status.reasons)

            def settle() -> None:
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

            done = rotate(self._replica, remote, now, settle)
            self.status.succeeded(began, readable(remote.url())).save(
                self._status_file
            )
            return done

    def _attempt(
        self, now: datetime, began: Instant, permit: Permit, progress: Progress
    ) -> SyncStatus:
        with self._lock.held():
            self._replica.repository.check_place()
            status = self.status
            if _serves(status, began) and not self._replica.branch.queue():
                return status
            before = status
            status = self._try(status, now, began, permit, progress)
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
        reasons, url = dict(status.reasons), ""
        try:
            remote = self._connect(status.failures > 0)
            url = readable(remote.url())
            attempt = Attempt(
                self._replica, remote, now, permit, progress, reasons, self.pace
            )
            attempt.run(self._stopped.wait)
            status = status.succeeded(began, url)
        except RemoteFailure as failure:
            status = status.failed(failure.state, failure.detail, began, url)
        except (StorageFailed, OSError) as error:
            what = error.what if isinstance(error, CscError) else str(error)
            status = status.failed(RemoteState.STORAGE, what, began)
        except FormatTooNew as error:
            status = status.failed(RemoteState.TOO_NEW, error.what, began)
        except CscError as error:
            status = status.failed(RemoteState.FAILED, error.what, began)
        except Exception as error:  # noqa: BLE001  else the state would stay what it was: a lie
            _log.exception("A sync failed in a way csc-git did not expect")
            status = status.failed(
                RemoteState.FAILED, f"{type(error).__name__}: {error}", began
            )
        held = self._replica.branch.parked()
        return replace(
            status,
            reasons={op: why for op, why in reasons.items() if op in held},
        )


def _serves(status: SyncStatus, began: Instant) -> bool:
    """Whether another process's attempt, begun since, was as good as one of ours."""
    if status.state is not RemoteState.OK or status.contact is None:
        return False
    return status.contact.is_after(began)
