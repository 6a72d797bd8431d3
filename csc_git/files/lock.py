"""Locks between processes: files that the kernel frees when their holder dies.

Blocking happens in the kernel, never by polling: a polling waiter loses to one that is already
running, for ever if it must.
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
    """An exclusive lock on a file, held by an open descriptor of it.

    Two of them on one path exclude each other, in one process as between processes. The file
    stays behind when the lock is released. If somebody deletes it all the same, a lock that was
    waited for on the deleted file is not taken for one on the file that is there now. No name ends
    in `.lock`, since people delete such files of git's own when a git was killed.
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
        if (
            descriptor is not None
        ):  # forgotten before it is closed: a waiter may set its own next
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
            "the lock file is replaced again and again",
            str(self._path),
        )

    def _is_file(self, descriptor: int) -> bool:
        """Whether an open file is still the one at the path."""
        opened = os.fstat(descriptor)
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return (opened.st_dev, opened.st_ino) == (there.st_dev, there.st_ino)

    def _descriptor_of_file(self) -> int:
        try:
            return _open(self._path)
        except FileNotFoundError:
            # Only this one: of a clone that was deleted nothing is made again.
            self._path.parent.mkdir(exist_ok=True)
            return _open(self._path)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def _lock(descriptor: int, path: Path, *, shared: bool, wait: bool) -> bool:
    """Lock an open file; False if another holds it, and we are not to wait."""
    import portalocker  # noqa: PLC0415  as long to import as a fifth of what a hook may take

    flags = (
        portalocker.LockFlags.SHARED
        if shared
        else portalocker.LockFlags.EXCLUSIVE
    )
    try:
        portalocker.lock(
            descriptor,
            flags if wait else flags | portalocker.LockFlags.NON_BLOCKING,
        )
    except portalocker.LockException as error:
        if not wait and isinstance(error, portalocker.AlreadyLocked):
            return False
        cause = (
            error.args[0] if error.args else None
        )  # what the system refused is hidden in it
        why = cause.strerror if isinstance(cause, OSError) else str(error)
        code = cause.errno if isinstance(cause, OSError) else errno.ENOLCK
        what = f"the file system does not lock files ({why})"
        raise OSError(code, what, str(path)) from error
    return True


def excludes(path: Path) -> bool:
    """Whether a lock on this file keeps another process from taking it; the file is made.

    Raises:
        OSError: the file can't be made or locked.
    """
    lock = FileLock(path)
    with lock.held():
        command = [sys.executable, "-I", "-S", "-c", _PROBE, str(path)]
        done = subprocess.run(  # noqa: S603  our own few lines, an argument list
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    return done.returncode != _GOT_IT
