"""Locks between processes: files that the kernel frees when their holder dies.

Blocking happens in the kernel, never by polling: a polling waiter loses to one that is already
running, for ever if it must.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FileLock:
    """An exclusive lock on a file, held by an open descriptor of it.

    Two of them on one path exclude each other, in one process as between processes. The file
    stays behind when the lock is released: removing it would let two holders in.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Wait for the lock, however long it takes."""
        self._open(wait=True)

    def try_acquire(self) -> bool:
        """Take the lock if it is free; whether it was."""
        return self._open()

    def is_free(self) -> bool:
        """Whether nobody holds the lock; any number may ask at once without being in the way."""
        was_free = self._open(shared=True)
        self.release()
        return was_free

    def release(self) -> None:
        """Let go; releasing what isn't held does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:  # forgotten before it is closed: a waiter may set its own next
            os.close(descriptor)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for the length of a `with` block."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def _open(self, *, shared: bool = False, wait: bool = False) -> bool:
        """Lock it; whether that was possible."""
        descriptor = self._descriptor_of_file()
        is_locked = False
        try:
            is_locked = _lock(descriptor, shared=shared, wait=wait)
        finally:
            if not is_locked:
                os.close(descriptor)
        if is_locked:
            self._descriptor = descriptor
        return is_locked

    def _descriptor_of_file(self) -> int:
        try:
            return _open(self._path)
        except FileNotFoundError:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return _open(self._path)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def _lock(descriptor: int, *, shared: bool, wait: bool) -> bool:
    """Lock an open file; False if another holds it, and we are not to wait."""
    import portalocker  # noqa: PLC0415  as long to import as a fifth of what a hook may take

    flags = portalocker.LockFlags.SHARED if shared else portalocker.LockFlags.EXCLUSIVE
    try:
        portalocker.lock(descriptor, flags if wait else flags | portalocker.LockFlags.NON_BLOCKING)
    except portalocker.LockException as error:
        if not wait and isinstance(error, portalocker.AlreadyLocked):
            return False
        cause = error.args[0] if error.args else None  # what the system refused is hidden in it
        raise cause if isinstance(cause, OSError) else OSError(str(error)) from error
    return True
