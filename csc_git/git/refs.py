"""Refs: names of commits, read and moved as git does, but durably and with every error raised.

A ref is moved by git's own protocol: its new value is written to `<ref>.lock`, which must not be
there yet, and renamed. Reading and moving are done here and not by dulwich, which takes any error
for the absence of a ref, so that short of file descriptors a store would look empty.

All writers of our repository hold its lock, so a ref's lock file that is there already was left by
a process that died.
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
        path: The repository.
        backend: dulwich's container of the same refs, which reads packed ones.
    """

    def __init__(
        self,
        path: Path,
        backend: DiskRefsContainer,
    ) -> None:
        self._path = path
        self._backend = backend

    def read(self, name: str) -> str | None:
        """Return the commit that a ref names, or None if there is no such ref.

        Raises:
            OSError: it can't be read.
            StoreDamaged: the file does not contain an id.
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
        """Return the refs below `prefix` (which ends in `/`), by the rest of their names."""
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

        Its new value is on its way to the disk when the block begins, so the file system can write
        it together with what the block makes durable. An error in the block leaves the ref where it
        was.

        Args:
            name: The ref's full name.
            old: The commit that it must name; None: it must not exist.
            new: The commit that it will name.

        Raises:
            StorageFailed: it names something else, or the disk refused.
        """
        if ".." in name:  # git rejects such a name, and it could lead elsewhere
            raise StorageFailed(f"{name!a} is no name of a ref")
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
        raise StorageFailed(f"The ref {name} can't be moved from {from_what}")

    def _fsync_name(
        self,
        name: str,
        *,
        made: bool,
    ) -> None:
        """Make a ref's name durable, and those of the directories that were made for it."""
        directory = (self._path / name).parent
        try:
            sync_directory(directory)
            while made and directory != self._path:
                directory = directory.parent
                sync_directory(directory)
        except OSError as error:
            raise StorageFailed(
                f"The disk refused to confirm {name}: {error.strerror}",
                safe="The edit is there, unless the disk loses it",
                then="Mend the disk, then read what is there before you repeat the call",
            ) from error

    def _loose(self, prefix: str) -> Iterator[str]:
        """Yield the full names of the refs below a prefix that are files."""
        top = self._path / prefix
        for directory, _, files in os.walk(top, onerror=_unless_missing):
            for file in files:
                if file.endswith(".lock"):
                    continue
                path = Path(directory, file)
                yield path.relative_to(self._path).as_posix()


def _make_directories(path: str) -> bool:
    """Make a directory if it isn't there; return whether it had to be made."""
    if os.path.isdir(path):  # noqa: PTH112  the hot path
        return False
    os.makedirs(path, exist_ok=True)  # noqa: PTH103
    return True


def _open_new(lock_file: str) -> int:
    """Create a ref's lock file, in place of one that a process left when it died."""
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
