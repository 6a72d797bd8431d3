"""Watching: noticing that a process of this clone moved the branch.

The file system reports changes of the refs, through the package `watchfiles`. The events are only
hints. A waiting caller reads the refs again at each hint, and once a second even if there is no
hint. If an event is lost, the caller notices the change at most a second later. So no change is
missed.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_log: Final = logging.getLogger(__name__)
_RECHECK: Final = 1.0
_STEP_MS: Final = 10


class Watch:
    """Wakes callers when refs of a repository change.

    The refs are watched only while at least one caller listens.

    Args:
        refs: The directory that contains the refs.
    """

    def __init__(self, refs: Path) -> None:
        self._refs = refs
        self._mutex = threading.Lock()
        self._changed = threading.Condition()
        self._count = 0
        self._listeners = 0
        self._closed = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.failed = ""
        """The reason why the file system can't report changes; empty if it can."""

    @property
    def hints(self) -> int:
        """How many times callers were woken: by the file system, or by `wake`."""
        return self._count

    @contextmanager
    def listening(self) -> Iterator[Callable[[float], bool]]:
        """Listen for changes until the `with` block ends.

        The `with` block receives a function that waits for a change. The function's argument is the
        longest wait in seconds. The function returns at once if there was a change since the last
        call of the function, or since the start of the block. The function returns True if the
        caller should read the refs again. The function returns False if the argument was not
        positive, or if the watch is closed.
        """
        self._begin()
        seen = self._count

        def is_over() -> bool:
            return self._closed or self._count != seen

        def wait(seconds: float) -> bool:
            nonlocal seen
            with self._changed:
                self._changed.wait_for(is_over, min(seconds, _RECHECK))
                seen = self._count
                return not self._closed and seconds > 0

        try:
            yield wait
        finally:
            self._end()

    def wake(self) -> None:
        """Wake all callers, so that they read the refs again."""
        self._notify()

    def close(self) -> None:
        """Wake all callers. After this call, a function that waits for a change returns at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._ended.set()

    def _begin(self) -> None:
        with self._mutex:
            self._listeners += 1
            if self._thread is None and not self._closed:
                self._ended = threading.Event()
                self._thread = threading.Thread(
                    target=self._run,
                    args=(self._ended,),
                    name="csc-git watch",
                    daemon=True,
                )
                self._thread.start()

    def _end(self) -> None:
        with self._mutex:
            self._listeners -= 1
            if not self._listeners:
                self._ended.set()
                self._thread = None

    def _run(self, ended: threading.Event) -> None:
        import watchfiles  # noqa: PLC0415  only callers that wait need it

        try:
            for _ in watchfiles.watch(
                self._refs,
                watch_filter=_is_ref,
                step=_STEP_MS,
                debounce=_STEP_MS * 5,
                stop_event=ended,
                rust_timeout=1000,
                raise_interrupt=False,
            ):
                self._notify()
        except (OSError, RuntimeError) as error:
            # For instance, the system has no watches left. Callers still read refs once a second.
            self.failed = str(error)
            _log.warning(
                "can't watch files, so the refs are read once a second: %s",
                error,
            )

    def _notify(self) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()


def _is_ref(_: object, path: str) -> bool:
    return not path.endswith(".lock")
