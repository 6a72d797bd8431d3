"""A clone: one git common directory, with a random id and the name of its machine.

The id is bound to the place where it was made, since a session counts as alive inside its own clone
while its process holds a lock: two copies that both took themselves for that clone would end each
other's sessions. A repository that was copied, restored from an image, or started in a second
container of one image therefore gets an id of its own. A repository that was renamed keeps its id,
and so does one whose machine was restarted or given another host name.
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


@dataclass(frozen=True)
class Place:
    """What differs between a clone's directory and a copy of it; empty or None if unreadable.

    Attributes:
        inode: Of the directory.
        born: When the directory was made, in nanoseconds since 1970.
        layer: The writable layer of the container that the directory is in (overlayfs).
        machine_id: Of the operating system; see machine-id(5).
        boot: Random id of this boot of the kernel.
        host: The host name. It may change with the network.
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
        """The place of a directory as it is now."""
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
        """Whether this is another directory than the known one, by what can't change by itself."""
        if self.inode != known.inode or self.layer != known.layer:
            return True
        if None not in {self.born, known.born} and self.born != known.born:
            return True
        if (
            self.machine_id
            and known.machine_id
            and self.machine_id != known.machine_id
        ):
            return True
        return self.boot != known.boot and self.host != known.host


@dataclass(frozen=True)
class Clone:
    """Who this clone is.

    Attributes:
        id: Random, made at first use.
        machine: Fixed at first use, so that a laptop that changes its host name with the network
            stays one machine.
        place: Where the id was made; a copy is elsewhere, and gets another id.
    """

    id: str
    machine: str
    place: Place


def identify(directory: Path, machine: str | None, host: str) -> Clone:
    """Who the clone is that keeps its files in `directory`, deciding it at first use.

    Args:
        directory: The `csc` directory, which must exist.
        machine: The configured name; it wins over the one fixed before.
        host: The machine name that is kept if none is configured.
    """
    with FileLock(directory / "locks" / "clone").held():
        place = Place.of(
            directory
        )  # after the lock: in a container that may make the directory
        known = _load(directory / _FILE)
        name = machine or (known.machine if known else host)
        if known is None and not excludes(directory / "locks" / "probe"):
            raise StorageFailed(
                f"File locks in {directory} do not exclude other processes",
                safe="Nothing was stored",
                then=NO_EXCLUSION,
            )
        if (
            known is None
            or place.is_copy_of(known.place)
            or _is_elsewhere_too(known, directory)
        ):
            found = Clone(uuid.uuid4().hex, name, place)
        else:
            found = Clone(known.id, name, place)
        if found != known:
            write_json(directory / _FILE, asdict(found), durable=True)
        return found


def recall(directory: Path) -> Clone | None:
    """Who the clone is, if that was decided; changes nothing, and looks at the inode only."""
    known = _load(directory / _FILE)
    is_here = known is not None and known.place.inode == directory.stat().st_ino
    return known if is_here else None


def _is_elsewhere_too(known: Clone, directory: Path) -> bool:
    """Whether the directory in which the id was made is still there, beside this one.

    A snapshot of a whole file system keeps inodes and times, so only its path differs.
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
        return Clone(
            str(found["id"]),
            str(found["machine"]),
            Place(
                inode=int(place["inode"]),
                born=None if born is None else int(born),
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
    """The upper directory of the overlay that a directory is in, by proc(5)'s mountinfo."""
    try:
        lines = _MOUNTS.read_text(
            encoding="utf-8", errors="surrogateescape"
        ).splitlines()
    except OSError:
        return ""
    longest, found = -1, ""
    for line in lines:
        mount, _, source = line.partition(" - ")
        point = _unescaped(mount.split(" ")[4])
        if directory.is_relative_to(point) and len(point) >= longest:
            kind, _, options = source.partition(" ")
            longest, found = len(point), options if kind == "overlay" else ""
    uppers = [
        option
        for option in found.rpartition(" ")[2].split(",")
        if "upperdir=" in option
    ]
    return uppers[0].removeprefix("upperdir=") if uppers else ""


def _unescaped(text: str) -> str:
    """A path of mountinfo, where white space and backslashes are octal escapes."""
    for escape, character in (
        ("040", " "),
        ("011", "\t"),
        ("012", "\n"),
        ("134", "\\"),
    ):
        text = text.replace(f"\\{escape}", character)
    return text


_STATX_BTIME: Final = 0x800
_STATX_SIZE: Final = 256
_BTIME_AT: Final = 80
_AT_FDCWD: Final = -100


def _born(directory: Path) -> int | None:
    """When a directory was made, by statx(2) where Python's `stat` has no birth time."""
    born = getattr(directory.stat(), "st_birthtime", None)
    if born is not None:
        return int(born * 1_000_000_000)
    if sys.platform != "linux":
        return None
    import ctypes  # noqa: PLC0415  only who opens a clone

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
