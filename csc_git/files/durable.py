"""Write files so that after a power cut either the complete old or the complete new file exists."""

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

UNFINISHED: Final = ".unfinished"
"""The names of unfinished files end with this text. If a name ended in `.pack` or `.idx`, a running
git would use the file as a pack. If a name began with `tmp_`, a running git would delete the file.
"""

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
"""The flags with which a file is opened for writing."""


def sync_directory(path: Path | str | os.PathLike[str]) -> None:
    """Make the names in a directory durable. To do this, call fsync for the directory itself."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _flush(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(root: Path) -> None:
    """Make a directory and everything below it durable."""
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
    """Write new files durably, including their names.

    All files are sent to the disk before the function waits for the first file, so that a file
    system with a journal writes its journal only once. The files have temporary names until all of
    them are on the disk.

    Args:
        directory: The directory in which to write the files.
        files: The content of each file by name. The files get their final names in the order of
            this mapping.
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
    """Replace a small JSON file in one step, so that readers see either the old or the new file.

    Args:
        path: Path of the file. The directory must exist.
        value: Any value that the `json` module can write.
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
    """Replace a file in one step. The new file gets the permissions of the old file.

    Args:
        path: Path of the file. If the file is a symbolic link, the link's target is replaced.
        content: The whole new content of the file.
        durable: Whether the new file must survive a power cut.
    """
    path = path.resolve()
    chance = os.urandom(8).hex()
    temporary = path.with_name(f".{path.name}.{chance}")
    # The user's umask removes some of these permissions.
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
    """Read a JSON file that `write_json` wrote; None if the file is missing or is not JSON."""
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text)
    except (FileNotFoundError, ValueError):
        return None


def file_identity(path: Path) -> object:
    """Return inode, mtime and size of a file, which identify its content; None on an error."""
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
    """Write all bytes to a file, even if one system call writes only a part of the bytes.

    Args:
        descriptor: Descriptor of an open file.
        content: The bytes to write.
    """
    left = memoryview(content)
    while left:
        written = os.write(descriptor, left)
        left = left[written:]


def start_writing(descriptor: int) -> None:
    """Start to write a file's content to the disk, and return before the disk has all of it.

    On Linux, the advice `POSIX_FADV_DONTNEED` has this effect.
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
    """Wait until a file, or the names in a directory, are on the disk.

    On macOS, `F_FULLFSYNC` is used, since `fsync` leaves data in the drive's cache (see fsync(2)).
    """
    if _FULL is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, _FULL)


_FULL: Final[int | None] = getattr(fcntl, "F_FULLFSYNC", None)
_sync = getattr(os, "fdatasync", _flush)  # macOS has no fdatasync
