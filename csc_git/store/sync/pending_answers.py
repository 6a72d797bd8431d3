"""Pending answers: edits whose authors still wait for the outcome.

Normally, an edit that is refused at replay is kept in a conflict record, because its author already
has the answer that the edit is stored. But an author who still waits gets the refusal as the
answer.
A conflict record about the same refusal would only be one more thing for a person to remove.

A caller that waits locks a file whose name is the op of the edit. The file is locked before the
edit is made, and stays locked until the outcome is certain. If the process of the caller dies, the
kernel frees the lock. The process of the clone that replays the edit checks whether the file is
locked. A process may move the branch, or end a wait, only under the repository's lock. So the
branch never moves while a caller ends its wait.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from csc_git.files.lock import FileLock


class PendingAnswers:
    """The edits in one clone for which an author still waits for the outcome.

    Args:
        directory: The clone's `csc` directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "waiting"

    @contextmanager
    def for_answer(self, op: str) -> Iterator[Callable[[], None]]:
        """Mark an edit as pending until the `with` block ends.

        The value of the `with` block is a function that ends the pending state before the block
        ends.
        """
        path = self._path(op)
        lock = FileLock(path)
        lock.acquire()

        def done() -> None:
            # A leftover file is harmless: `includes` finds the file unlocked and deletes it.
            with suppress(OSError):
                path.unlink(missing_ok=True)
            lock.release()

        try:
            yield done
        finally:
            done()

    def includes(self, op: str) -> bool:
        """Return whether an edit is pending. If a dead process left a file, delete the file."""
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
