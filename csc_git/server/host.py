"""The host opens the coordinator at the first call. If opening fails, the next call tries again.

A server that can't open its project still starts. Its tools then return the reason to the model. If
the server exited, the model would not learn the reason.
"""

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.factory import open_coordinator
from csc_git.errors import CscError, SetupError, StoreGone, as_csc_error

_log: Final = logging.getLogger(__name__)


class Host:
    """The coordinator of one server. The first call that needs the coordinator opens it.

    Args:
        start: A directory in the project.
        flags: Settings from the command line, by name; None if no setting is given.
    """

    def __init__(
        self,
        start: Path,
        flags: Mapping[str, Any] | None = None,
    ) -> None:
        self._start = start
        self._flags = flags
        self._mutex = threading.Lock()
        self._coordinator: Coordinator | None = None
        self._last: Coordinator | None = None
        self._is_closed = False
        self._has_left = threading.Event()

    def get(self) -> Coordinator:
        """Return the coordinator. If the coordinator is not open yet, open and start it first.

        Raises:
            CscError: The coordinator can't be opened. The next call tries again.
        """
        with self._mutex:
            if self._is_closed:
                raise SetupError("This server is ending", then="Start it again")
            if self._coordinator is not None:
                self._check_place(self._coordinator)
            if self._coordinator is None:
                coordinator = open_coordinator(self._start, self._flags)
                coordinator.start()
                self._coordinator = self._last = coordinator
            return self._coordinator

    def reading(self) -> Coordinator:
        """Return the coordinator for a read. The first read waits briefly for the remote.

        Raises:
            CscError: The coordinator can't be opened. The next call tries again.
        """
        coordinator = self.get()
        coordinator.writer.wait_for_first_contact()
        return coordinator

    def _check_place(self, coordinator: Coordinator) -> None:
        """Raise `StoreGone` if the clone's directory is gone.

        The next call opens a new coordinator.
        """
        try:
            coordinator.store.repository.check_place()
        except StoreGone:
            self._coordinator = None
            coordinator.close()
            raise

    def warm(self) -> None:
        """Open the coordinator before the first call, in a separate thread."""
        opening = threading.Thread(
            target=self._try,
            name="csc-git open",
            daemon=True,
        )
        opening.start()

    def close(self) -> None:
        """If the coordinator is open, sign off the server's sessions and close the coordinator."""
        with self._mutex:
            is_second = self._is_closed
            self._is_closed = True
            coordinator = self._coordinator
            self._coordinator = None
        if is_second:
            # The process may end after this call. So this call waits until the first call is done.
            self._has_left.wait()
            return
        try:
            if coordinator is not None:
                coordinator.leave()
        finally:
            self._has_left.set()

    def abandon(self) -> None:
        """Stop without closing the coordinator, because closing takes too long.

        Later, another process finds that this server's sessions are dead. That process signs off
        these sessions and pushes the queue.
        """
        if self._last is not None:
            self._last.hand_over()
            self._last.store.stop()

    def _try(self) -> None:
        try:
            self.get()
        except (CscError, OSError) as error:
            _log.warning("%s", as_csc_error(error))
