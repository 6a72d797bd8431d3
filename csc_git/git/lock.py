"""Locks between processes: files that the kernel frees when their holder dies.

Blocking happens in the kernel, never by polling: a polling waiter loses to one that is already
running, for ever if it must.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import portalocker

_EXCLUSIVE: Final = portalocker.LockFlags.EXCLUSIVE
_TRY: Final = portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING
_LOOK: Final = portalocker.LockFlags.SHARED | portalocker.LockFlags.NON_BLOCKING


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
        self._open(_EXCLUSIVE)

    def try_acquire(self) -> bool:
        """Take the lock if it is free; whether it was."""
        try:
            self._open(_TRY)
        except portalocker.AlreadyLocked:
            return False
        return True

    def is_free(self) -> bool:
        """Whether nobody holds the lock; any number may ask at once without being in the way."""
        try:
            self._open(_LOOK)
        except portalocker.AlreadyLocked:
            return False
        self.release()
        return True

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

    def _open(self, flags: portalocker.LockFlags) -> None:
        descriptor = self._descriptor_of_file()
        try:
            _lock(descriptor, flags)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _descriptor_of_file(self) -> int:
        try:
            return _open(self._path)
        except FileNotFoundError:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return _open(self._path)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def _lock(descriptor: int, flags: portalocker.LockFlags) -> None:
    try:
        portalocker.lock(descriptor, flags)
    except portalocker.LockException as error:
        if flags != _EXCLUSIVE and isinstance(error, portalocker.AlreadyLocked):
            raise
        cause = error.args[0] if error.args else None  # what the system refused is hidden in it
        raise cause if isinstance(cause, OSError) else OSError(str(error)) from error
