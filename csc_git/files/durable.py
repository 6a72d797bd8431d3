"""Writing files so that after a power cut either the old or the new file is there, complete."""

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

UNFINISHED: Final = ".unfinished"
"""Ending of the names of unfinished files. A git that runs at the same time takes a file that ends
in `.pack` or `.idx` for a pack, and removes one that begins with `tmp_`."""

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
"""Flags to open a file that is to be written."""


def sync_directory(path: Path | str | os.PathLike[str]) -> None:
    """Make the names in a directory durable (fsync of the directory itself)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _flush(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(root: Path) -> None:
    """Make a directory durable with everything below it."""
    for directory, _, names in os.walk(root):
        for name in names:
            path = Path(directory, name)
            _sync_file(path)
        sync_directory(directory)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _flush(descriptor)
    finally:
        os.close(descriptor)


def write_files(
    directory: Path,
    files: Mapping[str, bytes],
) -> None:
    """Make new files durable together with their names.

    All files are handed to the disk before the first one is waited for, so that a file system with
    a journal writes it once. Until all are on the disk they have other names.

    Args:
        directory: Where to write the files.
        files: Name and content of each file. They get their names in this order.
    """
    final = {name: f"{directory}/{name}" for name in files}
    descriptors: dict[str, int] = {}
    try:
        for name, content in files.items():
            descriptor = _create(final[name] + UNFINISHED)
            descriptors[name] = descriptor
            write_all(descriptor, content)
            start_writing(descriptor)
        for descriptor in descriptors.values():
            sync_data(descriptor)
        for path in final.values():
            os.rename(path + UNFINISHED, path)  # noqa: PTH104  hot path
    except BaseException:
        for name in descriptors:
            unfinished = Path(final[name] + UNFINISHED)
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
        raise
    finally:
        for descriptor in descriptors.values():
            os.close(descriptor)
    sync_directory(directory)


def write_json(
    path: Path,
    value: Any,  # noqa: ANN401  any JSON
    *,
    durable: bool = False,
) -> None:
    """Replace a small JSON file at once, so that readers see the old or the new one.

    Args:
        path: The file; its directory must exist.
        value: What `json` can write.
        durable: Whether the new file must survive a power cut.
    """
    text = json.dumps(value, indent=2)
    content = text.encode()
    replace_file(path, content, durable=durable)


def replace_file(
    path: Path,
    content: bytes,
    *,
    durable: bool = False,
) -> None:
    """Replace a file at once. The new file has the mode of the old one.

    Args:
        path: The file. If it is a symbolic link, the file that it points to is replaced.
        content: The whole new content.
        durable: Whether the new file must survive a power cut.
    """
    path = path.resolve()
    chance = os.urandom(8).hex()
    temporary = path.with_name(f".{path.name}.{chance}")
    # The user's umask removes some bits of the mode.
    descriptor = os.open(temporary, _NEW | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if path.exists():
                mode = path.stat().st_mode
                os.fchmod(descriptor, mode & 0o777)
            if durable:
                _flush(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def read_json(path: Path) -> Any:  # noqa: ANN401  any JSON
    """Read what `write_json` wrote; None if there is no such file or it is not JSON."""
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text)
    except (FileNotFoundError, ValueError):
        return None


def file_identity(path: Path) -> object:
    """Return the identity of a file's content (inode, mtime, size); None if it can't be read."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (
        found.st_ino,
        found.st_mtime_ns,
        found.st_size,
    )


def _create(path: str) -> int:
    return os.open(path, _NEW | os.O_TRUNC, 0o444)


def write_all(
    descriptor: int,
    content: bytes,
) -> None:
    """Write all of some content, even if the system takes only a part of it at a time.

    Args:
        descriptor: An open file.
        content: What to write.
    """
    left = memoryview(content)
    while left:
        written = os.write(descriptor, left)
        left = left[written:]


def start_writing(descriptor: int) -> None:
    """Begin to write a file's pages to the disk without waiting.

    On Linux this advice has that effect.
    """
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(
            descriptor,
            0,
            0,
            os.POSIX_FADV_DONTNEED,
        )


def sync_data(descriptor: int) -> None:
    """Wait until a file's content and size are on the disk."""
    _sync(descriptor)


def _flush(descriptor: int) -> None:
    """Wait until a file, or a directory's names, are on the disk.

    The `fsync` of macOS leaves them in the drive's cache; see fsync(2) there.
    """
    if _FULL is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, _FULL)


_FULL: Final[int | None] = getattr(fcntl, "F_FULLFSYNC", None)
_sync = getattr(os, "fdatasync", _flush)  # macOS has none
