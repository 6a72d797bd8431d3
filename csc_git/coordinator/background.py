"""Background threads: one thread syncs and renews leases, and another does maintenance.

After this process has written something, the syncing thread syncs as soon as it is the clone's turn
to push (`core.pace`). The syncing thread also fetches from the remote from time to time, and less
often while the remote fails. A caller that needs an answer from the remote waits a limited time for
the syncing thread.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from csc_git.coordinator import clock
from csc_git.core.backoff import Backoff
from csc_git.core.lease import Instant
from csc_git.core.pace import Pace
from csc_git.errors import CscError, StoreGone
from csc_git.store.store import Store
from csc_git.store.sync.status import SyncStatus

_log: Final = logging.getLogger(__name__)
_EDITS_BETWEEN_CHECKS: Final = 64
_FAILING: Final = Backoff(first=1.0, most=60.0)


class Tick(Protocol):
    """A function that does one round of the background thread's work."""

    def __call__(self, began: Instant) -> SyncStatus:
        """Sync once, and do the other work of a round, such as renewing leases.

        Args:
            began: The time when the round began.
        """


class Background:
    """A thread that calls `tick` when there are edits to push, or when it is time to fetch.

    Args:
        tick: The function that does one round of work.
        poll: While nobody writes, at most this many seconds pass between two fetches from the
            remote.
        pace: The object that decides when the clone may push and when it fetches.
        stop: A function that makes a running sync end early. The function is called once, when the
            thread must end.
    """

    def __init__(
        self,
        tick: Tick,
        poll: float,
        pace: Pace,
        stop: Callable[[], None],
    ) -> None:
        self._tick = tick
        self._poll = poll
        self._pace = pace
        self._stop = stop
        self._changed = threading.Condition()
        self._written = False
        self._wanted = False
        self._stopping = False
        self._done: Instant | None = None
        self._failures = 0
        self._thread = threading.Thread(
            target=self._run,
            name="csc-git sync",
            daemon=True,
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def request_sync(self) -> None:
        """Make the thread sync soon, because this process wrote something."""
        with self._changed:
            self._written = True
            self._changed.notify_all()

    def wait_until(
        self,
        enough: Callable[[], bool],
        timeout: float,
    ) -> bool:
        """Sync now, and repeat the sync until `enough` returns true or `timeout` seconds pass.

        The wait also ends when a sync fails.

        Args:
            enough: A function that returns whether the caller can stop waiting.
            timeout: Wait at most this many seconds.

        Returns:
            The last result of `enough`.
        """
        now = clock.instant()
        deadline = now.seconds + timeout
        while not enough():
            began = clock.instant()
            with self._changed:
                self._wanted = True
                self._changed.notify_all()
                left = max(0.0, deadline - began.seconds)
                is_served = partial(self._is_served, began)
                in_time = self._changed.wait_for(is_served, left)
            if self._failures or self._stopping or not in_time:
                return enough()
        return True

    def stop(self, patience: float = 1.0) -> None:
        """End the thread.

        Args:
            patience: Wait at most this many seconds for the end of the current round.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._stop()
        self._thread.join(patience)

    def _is_served(self, since: Instant) -> bool:
        """Check whether a round that began at or after `since` has ended."""
        if self._stopping:
            return True
        if self._done is None:
            return False
        return self._done.seconds >= since.seconds

    def _run(self) -> None:
        while not self._stopping:
            began = clock.instant()
            failures = self._run_once(began)
            with self._changed:
                self._failures = failures
                self._done = began
                self._changed.notify_all()
                self._wait_for_work(failures)
                self._written = False
                self._wanted = False

    def _run_once(self, began: Instant) -> int:
        """Do one round, and return how many rounds in a row have failed."""
        try:
            return self._tick(began).failures
        except StoreGone as error:
            _log.warning("%s", error)
            self._stopping = True
        except CscError as error:
            _log.warning("%s", error)
        except Exception:  # noqa: BLE001  a dead thread would end syncing unnoticed
            _log.exception(
                "The background thread had an error; the thread continues"
            )
        return self._failures + 1

    def _wait_for_work(self, failures: int) -> None:
        """If there are new edits, wait until the clone may push. Else wait until the next fetch."""
        pause = self._longest_pause(failures)
        if not self._changed.wait_for(self._is_due, pause):
            return
        while not self._stopping:
            left = self._turn_begins() - time.monotonic()
            if left <= 0:
                return
            self._changed.wait(left)

    def _turn_begins(self) -> float:
        """Return the time at which the clone may push next, in seconds of the monotonic clock."""
        if self._wanted:
            return self._pace.urgent_at
        return self._pace.free_at

    def _is_due(self) -> bool:
        if self._stopping or self._wanted:
            return True
        return self._written and not self._failures

    def _longest_pause(self, failures: int) -> float:
        """Return the seconds after which the thread fetches even if nobody wrote anything."""
        if not failures:
            now = time.monotonic()
            return self._pace.poll(self._poll, now)
        chance = random.random()  # noqa: S311  jitter
        shortest = min(self._poll, 1.0)
        pause = _FAILING.wait(failures, chance)
        return max(shortest, pause)


class Upkeep:
    """Maintains a store when maintenance is due.

    Args:
        store: The store to maintain.
    """

    def __init__(self, store: Store) -> None:
        self._maintenance = store.repository.maintenance
        self._thread: threading.Thread | None = None
        self._edits = 0

    def count_edit(self) -> None:
        """Count an edit; after every 64 edits, check whether maintenance is due."""
        self._edits += 1
        if self._edits % _EDITS_BETWEEN_CHECKS == 0:
            self.start_if_due()

    def start_if_due(self) -> None:
        """Start maintenance in a thread, if maintenance is due and is not already running."""
        if self._thread is not None and self._thread.is_alive():
            return
        if not self._is_due():
            return
        self._thread = threading.Thread(
            target=self._run,
            name="csc-git upkeep",
            daemon=True,
        )
        self._thread.start()

    def run_if_due(self) -> None:
        """Do maintenance now, if it is due and no maintenance thread was started."""
        if self._thread is None and self._is_due():
            self._run()

    def _is_due(self) -> bool:
        try:
            return self._maintenance.is_due()
        except OSError:
            return False  # the next write reports the error; skipping maintenance is harmless

    def _run(self) -> None:
        try:
            self._maintenance.run()
        except OSError as error:
            _log.warning("csc-git's own repository can't be packed: %s", error)
