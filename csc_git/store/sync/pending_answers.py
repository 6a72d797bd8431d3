"""Pending answers: edits whose authors still wait for the answer.

A conditional edit that the remote refuses is normally kept in a conflict record, because its
author has the answer that it is stored. An author who still waits has no answer yet: the refusal is
the answer, and a record would only be one more thing for a person to remove.

A caller that waits locks a file named after the op, from before the edit is made until the answer
is certain. The kernel frees the lock if the process dies. Any process of the clone may replay the
edit; it checks whether the file is locked. A process moves the branch, and stops waiting, only
under the repository's lock, so that each notices the other.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from csc_git.files.lock import FileLock


class PendingAnswers:
    """The edits of a clone whose authors still wait for the answer.

    Args:
        directory: The clone's `csc` directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "waiting"

    @contextmanager
    def for_answer(self, op: str) -> Iterator[Callable[[], None]]:
        """Mark an edit as pending until the `with` block ends.

        The block is given a function that ends it earlier.
        """
        path = self._path(op)
        lock = FileLock(path)
        lock.acquire()

        def done() -> None:
            # A leftover file is harmless: `includes` sees that it is unlocked and deletes it.
            with suppress(OSError):
                path.unlink(missing_ok=True)
            lock.release()

        try:
            yield done
        finally:
            done()

    def includes(self, op: str) -> bool:
        """Return whether an edit is pending; delete a file that a dead process left."""
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
