"""The identity of a clone: a random id, and the name of the machine.

A clone is one Git common directory, with all its work trees. The clone's id is valid only in the
place where the id was made. Processes of one clone treat a session as alive only while the process
of the session has a file lock. If two copies of a clone had the same id, each copy would end the
sessions of the other copy. A repository therefore gets a new id if it was copied, restored from an
image, or started in a second container of the same image. A repository keeps its id if it was
renamed, if the machine was restarted, or if the machine got another host name.
"""

import os
import socket
import struct
import sys
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from csc_git.errors import StorageFailed
from csc_git.files.durable import read_json, write_json
from csc_git.files.lock import NO_EXCLUSION, FileLock, excludes

_FILE: Final = "clone.json"
_MACHINE_ID: Final = Path("/etc/machine-id")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_MOUNTS: Final = Path("/proc/self/mountinfo")
_ESCAPES: Final = (
    (r"\040", " "),
    (r"\011", "\t"),
    (r"\012", "\n"),
    (r"\134", "\\"),
)
"""The octal escapes in `/proc/self/mountinfo`, in the order in which they are decoded."""


@dataclass(frozen=True)
class Place:
    """Facts by which a clone's directory is distinguished from a copy of that directory.

    Attributes:
        inode: The directory's inode.
        born: The time at which the directory was made, in nanoseconds since 1970; None if the time
            can't be read.
        layer: The writable layer (overlayfs) of the container that contains the directory; empty if
            the directory is not in a container.
        machine_id: The operating system's id, see machine-id(5); empty if the id can't be read.
        boot: The random id that the kernel makes at each boot; empty if the id can't be read.
        host: The host name. The host name may change with the network.
        path: The directory's absolute path.
    """

    inode: int
    born: int | None
    layer: str
    machine_id: str
    boot: str
    host: str
    path: str

    @classmethod
    def of(cls, directory: Path) -> "Place":
        """Return the current place of a directory."""
        return cls(
            inode=directory.stat().st_ino,
            born=_born(directory),
            layer=_layer(directory.resolve()),
            machine_id=_text(_MACHINE_ID),
            boot=_text(_BOOT_ID),
            host=socket.gethostname(),
            path=str(directory.resolve()),
        )

    def is_copy_of(self, known: "Place") -> bool:
        """Return whether this directory is a copy of the directory that `known` describes.

        A difference is ignored if it can also have another cause, such as a restart of the machine.
        """
        if self.inode != known.inode or self.layer != known.layer:
            return True
        if _differ(self.born, known.born):
            return True
        if _differ(self.machine_id, known.machine_id):
            return True
        return self.boot != known.boot and self.host != known.host


def _differ(now: int | str | None, known: int | str | None) -> bool:
    """Return whether two facts differ; False if one of them is unknown (None or empty)."""
    if now in {None, ""} or known in {None, ""}:
        return False
    return now != known


@dataclass(frozen=True)
class Clone:
    """The identity of a clone.

    Attributes:
        id: A random id, made when csc-git is first used in the clone.
        machine: The machine's name. The name is stored at first use and kept, because the host name
            of a laptop may change with the network.
        place: The place where the id was made. A copy of the clone is in a different place, and
            gets a different id.
    """

    id: str
    machine: str
    place: Place


def identify(directory: Path, machine: str | None, host: str) -> Clone:
    """Return the identity of a clone. At first use, the identity is made and stored.

    Args:
        directory: The clone's `csc` directory, which must exist.
        machine: The configured machine name, which replaces a stored machine name; None if no name
            is configured.
        host: The machine name to store at first use if no name is configured.

    Raises:
        StorageFailed: file locks in the directory do not exclude other processes.
    """
    locks = directory / "locks"
    file = directory / _FILE
    with FileLock(locks / "clone").locked():
        # In a container, locking may make the directory, so the place is read after locking.
        place = Place.of(directory)
        known = _load(file)
        if known is None:
            _check_locks(locks)
            found = Clone(uuid.uuid4().hex, machine or host, place)
        else:
            clone_id = known.id
            if place.is_copy_of(known.place) or _has_twin(known, directory):
                clone_id = uuid.uuid4().hex
            found = Clone(clone_id, machine or known.machine, place)
        if found != known:
            write_json(file, asdict(found), durable=True)
        return found


def _check_locks(locks: Path) -> None:
    """Raise StorageFailed if file locks in a directory do not exclude other processes."""
    if not excludes(locks / "probe"):
        raise StorageFailed(
            f"File locks in {locks.parent} do not exclude other processes",
            safe="Nothing was stored",
            then=NO_EXCLUSION,
        )


def recall(directory: Path) -> Clone | None:
    """Return the stored identity of a clone.

    The result is None if no identity is stored, or if the clone is a copy.

    This function writes nothing. A copy is recognized only by the inode of the clone's directory.
    """
    known = _load(directory / _FILE)
    if known is None or known.place.inode != directory.stat().st_ino:
        return None
    return known


def _has_twin(known: Clone, directory: Path) -> bool:
    """Return whether the directory in which the id was made still exists in another place.

    If a whole file system was copied as a snapshot, inodes and times are equal in both copies. Then
    only the path shows which directory is the copy.
    """
    origin = Path(known.place.path)
    try:
        if origin.samefile(directory):
            return False
    except OSError:
        return False
    found = _load(origin / _FILE)
    return found is not None and found.id == known.id


def _load(path: Path) -> Clone | None:
    found = read_json(path)
    try:
        place: dict[str, Any] = found["place"]
        born = place["born"]
        if born is not None:
            born = int(born)
        return Clone(
            id=str(found["id"]),
            machine=str(found["machine"]),
            place=Place(
                inode=int(place["inode"]),
                born=born,
                layer=str(place["layer"]),
                machine_id=str(place["machine_id"]),
                boot=str(place["boot"]),
                host=str(place["host"]),
                path=str(place["path"]),
            ),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _layer(directory: Path) -> str:
    """Return the overlayfs upper directory for a path; empty if the path is not in an overlayfs.

    The upper directory is read from `/proc/self/mountinfo`, see proc(5). In each line of that file,
    the fifth field is the mount point. The fields after ` - ` are the type of the file system, the
    source and the options.
    """
    try:
        text = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    longest = -1
    found = ""
    for line in text.splitlines():
        mount, _, source = line.partition(" - ")
        point = _unescaped(mount.split(" ")[4])
        is_nearer = len(point) >= longest
        if is_nearer and directory.is_relative_to(point):
            longest = len(point)
            found = source
    kind, _, rest = found.partition(" ")
    if kind != "overlay":
        return ""
    _, _, options = rest.rpartition(" ")
    for option in options.split(","):
        if "upperdir=" in option:
            return option.removeprefix("upperdir=")
    return ""


def _unescaped(text: str) -> str:
    """Decode a path from mountinfo, where white space and backslashes are octal escapes."""
    for escape, character in _ESCAPES:
        text = text.replace(escape, character)
    return text


_STATX_BTIME: Final = 0x800
_STATX_SIZE: Final = 256
_BTIME_AT: Final = 80
_AT_FDCWD: Final = -100


def _born(directory: Path) -> int | None:
    """Return the time at which a directory was made, in nanoseconds since 1970; None if unknown.

    If Python's `stat` does not report the time, the time is read with statx(2).
    """
    born = getattr(directory.stat(), "st_birthtime", None)
    if born is not None:
        return int(born * 1_000_000_000)
    if sys.platform != "linux":
        return None
    import ctypes  # noqa: PLC0415  few processes need it

    found = ctypes.create_string_buffer(_STATX_SIZE)
    try:
        call = ctypes.CDLL(None).statx
    except (OSError, AttributeError):
        return None
    if call(_AT_FDCWD, os.fsencode(directory), 0, _STATX_BTIME, found):
        return None
    (mask,) = struct.unpack_from("I", found.raw)
    if not mask & _STATX_BTIME:
        return None
    seconds, nanoseconds = struct.unpack_from("qI", found.raw, _BTIME_AT)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)
