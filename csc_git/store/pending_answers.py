"""Pending answers: edits whose author still waits for the answer.

A conditional edit that the remote refuses is normally kept in a conflict record, because its
author has the answer that it is stored. An author who still waits has no answer yet: the
refusal is the answer, and a record would be one more thing for a person to clear away.

A waiting caller locks a file named after the op, from before the edit is made until the answer is
certain; the kernel frees it if the process dies. Replay, which any process of the clone may be
doing, asks whether it is locked. Moving the branch and giving up the wait both happen under the
repository's lock, so that neither can slip past the other.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from csc_git.files.lock import FileLock


class Waiting:
    """The edits of a clone that somebody waits for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "waiting"

    @contextmanager
    def for_answer(self, op: str) -> Iterator[Callable[[], None]]:
        """Wait for an edit's answer for the length of a `with` block, or until the call given."""
        path = self._path(op)
        lock = FileLock(path)
        lock.acquire()

        def done() -> None:
            with suppress(
                OSError
            ):  # a leftover file is harmless: `includes` deletes it
                path.unlink(missing_ok=True)
            lock.release()

        try:
            yield done
        finally:
            done()

    def includes(self, op: str) -> bool:
        """Whether somebody waits for an edit; what dead processes left is swept away."""
        path = self._path(op)
        if not op.isalnum() or not path.exists():
            return False
        lock = FileLock(path)
        if not lock.try_acquire():
            return True
        path.unlink(missing_ok=True)
        lock.release()
        return False

    def _path(self, op: str) -> Path:
        return self._directory / op
