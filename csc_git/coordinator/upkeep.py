"""Upkeep: maintenance of our repository, in a thread of its own: neither edits nor syncs wait."""

import logging
import threading
from typing import Final

from csc_git.git.maintenance import Maintenance

_SELDOM: Final = 64
_log: Final = logging.getLogger(__name__)


class Upkeep:
    """Does maintenance when it is due.

    Args:
        maintenance: Of the repository.
    """

    def __init__(self, maintenance: Maintenance) -> None:
        self._maintenance = maintenance
        self._thread: threading.Thread | None = None
        self._edits = 0

    def wrote(self) -> None:
        """Of one edit made: each sixty-fourth looks whether it is due."""
        self._edits += 1
        if self._edits % _SELDOM == 0:
            self.begin()

    def begin(self) -> None:
        """Start it if it is due and does not run yet."""
        if (self._thread is None or not self._thread.is_alive()) and self._is_due():
            self._thread = threading.Thread(target=self._run, name="csc-git upkeep", daemon=True)
            self._thread.start()

    def catch_up(self) -> None:
        """Do it now, if it is due and does not run."""
        if self._thread is None and self._is_due():
            self._run()

    def _is_due(self) -> bool:
        try:
            return self._maintenance.is_due()
        except OSError:  # whoever writes is told; nothing depends on tidiness
            return False

    def _run(self) -> None:
        try:
            self._maintenance.run()
        except OSError as error:
            _log.warning("our repository can't be packed: %s", error)
