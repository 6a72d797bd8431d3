"""Refs: names that point to commits. Refs are read and moved as git does it, but durably.

A ref is moved by git's own protocol: its new value is written to a new file `<ref>.lock`, and the
file is renamed to the name of the ref. This module reads and moves refs itself and does not use
dulwich for that. dulwich treats every error as a missing ref, so a store would look empty if the
process had no free file descriptors. This module raises every error that the system reports.

Every process that writes to csc-git's repository has the repository's lock. So if the lock file of
a ref already exists, a process left it when it died.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from dulwich.file import FileLocked
from dulwich.refs import DiskRefsContainer, Ref

from csc_git.errors import StorageFailed, StoreDamaged
from csc_git.files.durable import (
    start_writing,
    sync_data,
    sync_directory,
    write_all,
)

_ID: Final = re.compile(rb"[0-9a-f]{40}|[0-9a-f]{64}")
_LONGEST: Final = 4096
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Refs:
    """The refs of a bare repository, kept as files.

    Args:
        path: Directory of the repository.
        backend: dulwich's container of the same refs, which is used to read packed refs.
    """

    def __init__(
        self,
        path: Path,
        backend: DiskRefsContainer,
    ) -> None:
        self._path = path
        self._backend = backend

    def read(self, name: str) -> str | None:
        """Return the id of the commit to which a ref points, or None if there is no such ref.

        Raises:
            OSError: the ref can't be read.
            StoreDamaged: the file of the ref does not contain an id.
        """
        path = f"{self._path}/{name}"
        try:
            value = _content(path).strip()
        except (
            FileNotFoundError,
            IsADirectoryError,
            NotADirectoryError,
        ):
            return self._read_packed(name)
        if not _ID.fullmatch(value):
            raise StoreDamaged(f"The ref {name} does not contain an id")
        return value.decode()

    def below(self, prefix: str) -> dict[str, str]:
        """Return the commits of the refs below a prefix. The prefix is removed from the names.

        Args:
            prefix: The beginning of the refs' full names; it must end with `/`.
        """
        names = set(self._loose(prefix))
        for ref in self._backend.get_packed_refs():
            name = ref.decode()
            if name.startswith(prefix):
                names.add(name)
        found = {}
        for name in names:
            target = self.read(name)
            if target:
                rest = name.removeprefix(prefix)
                found[rest] = target
        return found

    @contextmanager
    def moving(
        self,
        name: str,
        old: str | None,
        new: str,
    ) -> Iterator[None]:
        """Move a ref at the end of a `with` block.

        The ref's new value is sent to the disk before the block begins, so the file system can
        write it together with the files that the block makes durable. If the block raises an error,
        the ref is not moved.

        Args:
            name: The ref's full name.
            old: Id of the commit to which the ref must point before the block. None means that the
                ref must not exist.
            new: Id of the commit to which the ref will point.

        Raises:
            StorageFailed: the ref points to another commit, or the disk refused to write.
        """
        if (
            ".." in name
        ):  # git rejects such a name, which could be a path outside the directory
            raise StorageFailed(f"{name!a} is not a valid name of a ref")
        path = f"{self._path}/{name}"
        lock_file = f"{path}.lock"
        directory = os.path.dirname(path)  # noqa: PTH120  the hot path
        made = _make_directories(directory)
        descriptor = _open_new(lock_file)
        try:
            self._expect(name, old)
            write_all(descriptor, f"{new}\n".encode())
            start_writing(descriptor)
            yield
            sync_data(descriptor)
            os.rename(lock_file, path)  # noqa: PTH104  the hot path
        except BaseException:
            with suppress(OSError):
                os.unlink(lock_file)  # noqa: PTH108
            raise
        finally:
            os.close(descriptor)
        self._fsync_name(name, made=made)

    def delete(self, name: str) -> None:
        """Remove a ref."""
        ref = Ref(name.encode())
        try:
            self._backend.remove_if_equals(ref, None)
        except FileLocked as stale:
            os.unlink(stale.lockfilename)  # noqa: PTH108  the name may be bytes
            self._backend.remove_if_equals(ref, None)

    def _read_packed(self, name: str) -> str | None:
        packed = self._backend.get_packed_refs()
        ref = Ref(name.encode())
        value = packed.get(ref, b"")
        return value.decode() or None

    def _expect(
        self,
        name: str,
        old: str | None,
    ) -> None:
        if self.read(name) == old:
            return
        from_what = old or "nothing"
        raise StorageFailed(
            f"The ref {name} can't be moved, since it is not at {from_what}"
        )

    def _fsync_name(
        self,
        name: str,
        *,
        made: bool,
    ) -> None:
        """Make a ref's name durable, and the names of directories that were made for the ref."""
        directory = (self._path / name).parent
        try:
            sync_directory(directory)
            while made and directory != self._path:
                directory = directory.parent
                sync_directory(directory)
        except OSError as error:
            raise StorageFailed(
                f"The disk refused to confirm {name}: {error.strerror}",
                safe="The edit was written, but the disk may still lose it",
                then="Repair the disk, then read the value before you repeat the call",
            ) from error

    def _loose(self, prefix: str) -> Iterator[str]:
        """Yield the full names of the refs below a prefix that have their own files."""
        top = self._path / prefix
        for directory, _, files in os.walk(top, onerror=_unless_missing):
            for file in files:
                if file.endswith(".lock"):
                    continue
                path = Path(directory, file)
                yield path.relative_to(self._path).as_posix()


def _make_directories(path: str) -> bool:
    """Make a directory if it does not exist; return whether it was made."""
    if os.path.isdir(path):  # noqa: PTH112  the hot path
        return False
    os.makedirs(path, exist_ok=True)  # noqa: PTH103
    return True


def _open_new(lock_file: str) -> int:
    """Create a ref's lock file. A lock file that a dead process left is replaced."""
    try:
        return os.open(lock_file, _NEW, 0o666)
    except FileExistsError:
        os.unlink(lock_file)  # noqa: PTH108
        return os.open(lock_file, _NEW, 0o666)


def _content(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _LONGEST)
    finally:
        os.close(descriptor)


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
