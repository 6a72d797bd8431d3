"""File locks between processes. If a process dies, the kernel releases its locks.

A process that waits for a lock sleeps in the kernel and does not poll. If it polled, it might never
get a lock that other processes take again and again.
"""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

NO_EXCLUSION: Final = (
    "Two processes would overwrite each other's edits. Keep the repository on a local disk: some "
    "network file systems, and folders shared with a virtual machine, lock nothing"
)
_TRIES: Final = 100
_GOT_IT: Final = 17
_PROBE: Final = f"""
import fcntl, sys
with open(sys.argv[1]) as file:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(0)
sys.exit({_GOT_IT})
"""


class FileLock:
    """An exclusive lock on a file. The lock lasts until its file descriptor is closed.

    Two locks on the same path exclude each other, within a process and between processes. The file
    is not deleted when the lock is released. If somebody else deletes the file and a new file is
    made at the path, a lock on the deleted file does not lock the new file. The name of a lock file
    never ends in `.lock`, since people delete such files after a git process was killed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock; wait without a time limit until it is free."""
        self._open(wait=True)

    def try_acquire(self) -> bool:
        """Take the lock if it is free; return whether the lock was taken."""
        return self._open()

    def is_free(self) -> bool:
        """Check whether the lock is free. Two checks at the same time do not block each other."""
        was_free = self._open(shared=True)
        self.release()
        return was_free

    def release(self) -> None:
        """Release the lock, if this object has it."""
        descriptor = self._descriptor
        # Set this before the file is closed. Then a waiting thread may set its own descriptor.
        self._descriptor = None
        if descriptor is not None:
            os.close(descriptor)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Take the lock, and keep it during a `with` block."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def _open(self, *, shared: bool = False, wait: bool = False) -> bool:
        """Lock the file; return whether the file was locked.

        Args:
            shared: Whether other processes may have a shared lock at the same time.
            wait: Whether to wait until the lock is free.
        """
        for _ in range(_TRIES):
            descriptor = self._descriptor_of_file()
            is_locked = is_current = False
            try:
                is_locked = _lock(
                    descriptor, self._path, shared=shared, wait=wait
                )
                is_current = is_locked and self._is_file(descriptor)
            finally:
                if not is_current:
                    os.close(descriptor)
            if is_current:
                self._descriptor = descriptor
            if is_current or not is_locked:
                return is_locked
        raise OSError(
            errno.EAGAIN,
            "other processes replace the lock file again and again",
            str(self._path),
        )

    def _is_file(self, descriptor: int) -> bool:
        """Check whether an open file is still the file at the lock's path."""
        opened = os.fstat(descriptor)
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(opened, there)

    def _descriptor_of_file(self) -> int:
        try:
            return _open(self._path)
        except FileNotFoundError:
            # No parent directories are made. If the clone was deleted, they must not come back.
            self._path.parent.mkdir(exist_ok=True)
            return _open(self._path)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def _lock(
    descriptor: int,
    path: Path,
    *,
    shared: bool,
    wait: bool,
) -> bool:
    """Lock an open file; return False if it is already locked and `wait` is False."""
    import portalocker  # noqa: PLC0415  the import is slow, and hooks must be fast

    flags = portalocker.LockFlags.EXCLUSIVE
    if shared:
        flags = portalocker.LockFlags.SHARED
    if not wait:
        flags |= portalocker.LockFlags.NON_BLOCKING
    try:
        portalocker.lock(descriptor, flags)
    except portalocker.LockException as error:
        if not wait and isinstance(error, portalocker.AlreadyLocked):
            return False
        raise _no_lock(error, path) from error
    return True


def _no_lock(error: Exception, path: Path) -> OSError:
    """Make the error for a file that can't be locked.

    Args:
        error: The error of portalocker. The error's first argument may be the system's error.
        path: Path of the file.
    """
    code: int | None = errno.ENOLCK
    why: str | None = str(error)
    cause = next(iter(error.args), None)
    if isinstance(cause, OSError):
        code = cause.errno
        why = cause.strerror
    what = f"the file system does not lock files ({why})"
    return OSError(code, what, str(path))


def excludes(path: Path) -> bool:
    """Check whether a lock on a file excludes another process. The file is created if necessary.

    Raises:
        OSError: the file can't be created or locked.
    """
    lock = FileLock(path)
    with lock.locked():
        command = [sys.executable, "-I", "-S", "-c", _PROBE, str(path)]
        done = subprocess.run(  # noqa: S603  a few lines of our own, no shell
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    return done.returncode != _GOT_IT
