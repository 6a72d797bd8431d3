"""Refs: names of commits, read and moved as git does, but durably and with every error raised.

A ref is moved by git's own protocol: its new value is written to `<ref>.lock`, which must not be
there yet, and renamed. Reading and moving are done here and not by dulwich, which takes any error
for the absence of a ref, so that short of file descriptors a store would look empty.

All writers of our repository hold its lock, so a lock file of a ref that stands in the way was left
by a process that died.
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
        backend: dulwich's view of them: it knows packed ones.
    """

    def __init__(self, path: Path, backend: DiskRefsContainer) -> None:
        self._path = path
        self._backend = backend

    def read(self, name: str) -> str | None:
        """The commit that a ref names, or None if there is no such ref.

        Raises:
            OSError: it can't be read.
            StoreDamaged: the file holds no id.
        """
        try:
            value = _content(f"{self._path}/{name}").strip()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            value = self._backend.get_packed_refs().get(Ref(name.encode()), b"")
            return value.decode() or None
        if not _ID.fullmatch(value):
            raise StoreDamaged(f"The ref {name} holds no id")
        return value.decode()

    def below(self, prefix: str) -> dict[str, str]:
        """The refs below `prefix` (which ends in `/`), by the rest of their names."""
        packed = (ref.decode() for ref in self._backend.get_packed_refs())
        names = {
            *self._loose(prefix),
            *(name for name in packed if name.startswith(prefix)),
        }
        found = {name.removeprefix(prefix): self.read(name) for name in names}
        return {name: target for name, target in found.items() if target}

    @contextmanager
    def moving(self, name: str, old: str | None, new: str) -> Iterator[None]:
        """Move a ref from `old` (None: it must not exist) to `new` at the end of a `with` block.

        Its new value is on its way to the disk when the block begins: what the block makes durable
        takes it along. An error in the block leaves the ref where it was.

        Raises:
            StorageFailed: it was somewhere else, or the disk refused.
        """
        if (
            ".." in name
        ):  # git takes no such name, and it could lead out of here
            raise StorageFailed(f"{name!a} is no name of a ref")
        path = f"{self._path}/{name}"
        made = _make_directories(os.path.dirname(path))  # noqa: PTH120
        descriptor = _lock(path)
        try:
            self._expect(name, old)
            write_all(descriptor, f"{new}\n".encode())
            start_writing(descriptor)
            yield
            sync_data(descriptor)
            os.rename(f"{path}.lock", path)  # noqa: PTH104  the hot path has no Path
        except BaseException:
            with suppress(OSError):
                os.unlink(f"{path}.lock")  # noqa: PTH108
            raise
        finally:
            os.close(descriptor)
        self._settle(name, made=made)

    def delete(self, name: str) -> None:
        """Remove a ref."""
        ref = Ref(name.encode())
        try:
            self._backend.remove_if_equals(ref, None)
        except FileLocked as stale:
            os.unlink(stale.lockfilename)  # noqa: PTH108  the name may be bytes
            self._backend.remove_if_equals(ref, None)

    def _expect(self, name: str, old: str | None) -> None:
        if self.read(name) != old:
            raise StorageFailed(
                f"The ref {name} can't be moved from {old or 'nothing'}"
            )

    def _settle(self, name: str, *, made: bool) -> None:
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
                then="Mend the disk, then read what stands there before you repeat the call",
            ) from error

    def _loose(self, prefix: str) -> Iterator[str]:
        for directory, _, files in os.walk(
            self._path / prefix, onerror=_unless_missing
        ):
            for file in files:
                if not file.endswith(".lock"):
                    yield (
                        Path(directory, file).relative_to(self._path).as_posix()
                    )


def _make_directories(path: str) -> bool:
    """See to it that a directory is there; whether it had to be made."""
    if os.path.isdir(path):  # noqa: PTH112  the hot path
        return False
    os.makedirs(path, exist_ok=True)  # noqa: PTH103
    return True


def _lock(path: str) -> int:
    try:
        return os.open(f"{path}.lock", _NEW, 0o666)
    except FileExistsError:
        os.unlink(f"{path}.lock")  # noqa: PTH108
        return os.open(f"{path}.lock", _NEW, 0o666)


def _content(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _LONGEST)
    finally:
        os.close(descriptor)


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
