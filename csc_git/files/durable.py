"""Writing files so that a power cut leaves the old one or the new one, whole."""

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

UNFINISHED: Final = ".unfinished"
"""How names of unfinished files end: a git beside us takes whatever ends in `.pack` or `.idx` for a
pack, and removes what begins with `tmp_`."""


def sync_directory(path: Path | str | os.PathLike[str]) -> None:
    """Make the names in a directory durable (fsync of the directory itself)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _flush(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(root: Path) -> None:
    """Make a directory with everything below it durable."""
    for directory, _, names in os.walk(root):
        for name in names:
            descriptor = os.open(Path(directory, name), os.O_RDONLY)
            try:
                _flush(descriptor)
            finally:
                os.close(descriptor)
        sync_directory(directory)


def write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Make new files durable with their names, which they get in the order given.

    All are handed to the disk before the first is waited for, so that a file system with a journal
    writes it once. Until then they have other names.
    """
    descriptors: dict[str, int] = {}
    try:
        for name, content in files.items():
            descriptors[name] = descriptor = _create(
                f"{directory}/{name}{UNFINISHED}"
            )
            write_all(descriptor, content)
            start_writing(descriptor)
        for descriptor in descriptors.values():
            sync_data(descriptor)
        for name in files:
            os.rename(f"{directory}/{name}{UNFINISHED}", f"{directory}/{name}")  # noqa: PTH104  hot path
    except BaseException:
        for name in descriptors:
            with suppress(OSError):
                (directory / f"{name}{UNFINISHED}").unlink(missing_ok=True)
        raise
    finally:
        for descriptor in descriptors.values():
            os.close(descriptor)
    sync_directory(directory)


def write_json(path: Path, value: Any, *, durable: bool = False) -> None:  # noqa: ANN401  any JSON
    """Replace a small JSON file at once: readers see the old or the new one.

    Args:
        path: The file; its directory must exist.
        value: What `json` can write.
        durable: Also survive a power cut.
    """
    replace_file(path, json.dumps(value, indent=2).encode(), durable=durable)


def replace_file(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Replace a file at once; what a symbolic link points to, and with the mode it had."""
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(
        temporary, flags, 0o666
    )  # less what the user's umask takes
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if path.exists():
                os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            if durable:
                _flush(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def read_json(path: Path) -> Any:  # noqa: ANN401  any JSON
    """What `write_json` wrote; None if there is no such file or it can't be read as JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def file_identity(path: Path) -> object:
    """Identity of a file's content (inode, mtime, size); None if it can't be read."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _create(path: str) -> int:
    return os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o444
    )


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of it; the system may take less at a time."""
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def start_writing(descriptor: int) -> None:
    """Begin to write a file's pages to the disk without waiting: on Linux, this advice does."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def sync_data(descriptor: int) -> None:
    """Wait until a file's content and size are on the disk."""
    _sync(descriptor)


def _flush(descriptor: int) -> None:
    """Wait until a file, or a directory's names, are on the disk.

    macOS's own `fsync` leaves them in the drive's cache; see fsync(2) there.
    """
    if _FULL is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, _FULL)


_FULL: Final[int | None] = getattr(fcntl, "F_FULLFSYNC", None)
_sync = getattr(os, "fdatasync", _flush)  # macOS has none
