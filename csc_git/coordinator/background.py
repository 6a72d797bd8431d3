"""The background: one thread that syncs, renews leases and notices lost names; another tidies up.

It syncs when something was written here and it is our turn (`core.pace`), looks at the remote now
and then, and less often while the remote fails. A caller that needs an answer from the remote asks
it and waits, bounded.
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
from csc_git.store.sync_status import SyncStatus

_log: Final = logging.getLogger(__name__)
_SELDOM: Final = 64
_FAILING: Final = Backoff(first=1.0, most=60.0)


class Tick(Protocol):
    """What the thread does each time."""

    def __call__(self, began: Instant) -> SyncStatus:
        """Sync, as of `began`, and what follows from it."""


class Background:
    """A thread that calls `tick` when there is reason to.

    Args:
        tick: What to do.
        poll: Most seconds between looks at the remote while nothing happens.
        pace: When it is our turn, and when to look.
        stop: Called once when the thread shall end.
    """

    def __init__(
        self, tick: Tick, poll: float, pace: Pace, stop: Callable[[], None]
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
            target=self._run, name="csc-git sync", daemon=True
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wrote(self) -> None:
        """Say that something was written here: sync it soon."""
        with self._changed:
            self._written = True
            self._changed.notify_all()

    def wait_until(self, enough: Callable[[], bool], timeout: float) -> bool:
        """Sync now, and again, until `enough` or until time runs out; whether it was enough."""
        deadline = clock.instant().seconds + timeout
        while not enough():
            began = clock.instant()
            with self._changed:
                self._wanted = True
                self._changed.notify_all()
                left = max(0.0, deadline - began.seconds)
                is_served = partial(self._served, began)
                served = self._changed.wait_for(is_served, left)
            if self._failures or self._stopping or not served:
                return enough()
        return True

    def stop(self, patience: float = 1.0) -> None:
        """End the thread, waiting a little for what it is doing."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._stop()
        self._thread.join(patience)

    def _served(self, since: Instant) -> bool:
        """Whether a tick that began after `since` has ended."""
        return self._stopping or (
            self._done is not None and self._done.seconds >= since.seconds
        )

    def _run(self) -> None:
        while not self._stopping:
            began = clock.instant()
            failures = self._once(began)
            with self._changed:
                self._failures, self._done = failures, began
                self._changed.notify_all()
                self._rest(failures)
                self._written = self._wanted = False

    def _once(self, began: Instant) -> int:
        try:
            return self._tick(began).failures
        except StoreGone as error:
            _log.warning("%s", error)
            self._stopping = True
        except CscError as error:
            _log.warning("%s", error)
        except Exception:  # noqa: BLE001  a thread that dies would stop syncing unseen
            _log.exception("The background had an error; it goes on")
        return self._failures + 1

    def _rest(self, failures: int) -> None:
        """Wait until there is reason to go on: something to say and our turn, or time to look."""
        if not self._changed.wait_for(self._is_due, self._pause(failures)):
            return
        while (
            not self._stopping and (left := self._turn() - time.monotonic()) > 0
        ):
            self._changed.wait(left)

    def _turn(self) -> float:
        return self._pace.urgent_at if self._wanted else self._pace.free_at

    def _is_due(self) -> bool:
        return (
            self._stopping
            or self._wanted
            or (self._written and not self._failures)
        )

    def _pause(self, failures: int) -> float:
        if not failures:
            return self._pace.poll(self._poll, time.monotonic())
        chance = random.random()  # noqa: S311  jitter
        return max(min(self._poll, 1.0), _FAILING.wait(failures, chance))


class Upkeep:
    """Does maintenance when it is due.

    Args:
        store: The store to maintain.
    """

    def __init__(self, store: Store) -> None:
        self._maintenance = store.repository.maintenance
        self._thread: threading.Thread | None = None
        self._edits = 0

    def wrote(self) -> None:
        """Of one edit made: each sixty-fourth looks whether it is due."""
        self._edits += 1
        if self._edits % _SELDOM == 0:
            self.begin()

    def begin(self) -> None:
        """Start it if it is due and does not run yet."""
        if (
            self._thread is None or not self._thread.is_alive()
        ) and self._is_due():
            self._thread = threading.Thread(
                target=self._run, name="csc-git upkeep", daemon=True
            )
            self._thread.start()

    def catch_up(self) -> None:
        """Do it now, if it is due and does not run."""
        if self._thread is None and self._is_due():
            self._run()

    def _is_due(self) -> bool:
        try:
            return self._maintenance.is_due()
        except (
            OSError
        ):  # the next write reports it; nothing depends on maintenance
            return False

    def _run(self) -> None:
        try:
            self._maintenance.run()
        except OSError as error:
            _log.warning("our repository can't be packed: %s", error)
