"""Power cuts: a file system that stops in the middle, as a disk does when the power goes.

A clone is on a loop-mounted ext4 or XFS. While sessions write in it, the file system is shut
down without flushing its log (the `FS_IOC_SHUTDOWN` ioctl, whose number and flags ext4 took over
from XFS's `XFS_IOC_GOINGDOWN`), unmounted, mounted and recovered from its journal. What had been
acknowledged by then must be there.
"""

import fcntl
import json
import os
import shutil
import struct
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, Literal

from tests.world import REF, ROOT, World, git, put, run_command, state_of

System = Literal["ext4", "xfs"]
SYSTEMS: Final[tuple[System, ...]] = ("ext4", "xfs")
_SHUTDOWN: Final = 0x8004587D
_WITHOUT_LOG_FLUSH: Final = struct.pack("I", 2)
_MEGABYTES: Final = {"ext4": 64, "xfs": 320}
_WRITERS: Final = 3
_MOST_ACKNOWLEDGED: Final = 60
_TRIES: Final = 2000


def why_no_power_cut() -> str | None:
    """Reason that power can't be cut here; None if it can."""
    if os.geteuid() != 0:
        return "cutting the power of a loop mount takes root"
    tools = [
        tool
        for tool in ("mkfs.ext4", "mkfs.xfs", "losetup")
        if not shutil.which(tool)
    ]
    if tools:
        return f"{', '.join(tools)} not installed"
    return (
        None
        if Path("/dev/loop-control").exists()
        else "there are no loop devices"
    )


@dataclass
class Cuts:
    """What power cuts did.

    Attributes:
        runs: How many there were.
        acknowledged: Edits acknowledged before a cut.
        unacknowledged: Edits that survived although they had not been acknowledged.
        synced: Edits that the remote had when the power went.
    """

    runs: int = 0
    acknowledged: int = 0
    unacknowledged: int = 0
    synced: int = 0
    lost: list[str] = field(default_factory=list)

    def __add__(self, other: "Cuts") -> "Cuts":
        """Both together."""
        return Cuts(
            self.runs + other.runs,
            self.acknowledged + other.acknowledged,
            self.unacknowledged + other.unacknowledged,
            self.synced + other.synced,
            self.lost + other.lost,
        )


class Disk:
    """A file system of its own in a file.

    Args:
        directory: Where the file and the mount point are made.
        system: Its kind.
    """

    def __init__(self, directory: Path, system: System) -> None:
        self._image, self.path = directory / f"{system}.img", directory / system
        self.path.mkdir()
        with self._image.open("wb") as image:
            image.truncate(_MEGABYTES[system] << 20)
        run_command(f"mkfs.{system}", "-q", str(self._image))
        self._mount()

    def cut(self) -> None:
        """Take the power away: what is not on disk by now never will be."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, _WITHOUT_LOG_FLUSH)
        finally:
            os.close(descriptor)

    def restart(self) -> None:
        """Give it its power again."""
        self.close()
        self._mount()

    def close(self) -> None:
        """Unmount it, once the last git of a dead writer has ended."""
        for _ in range(_TRIES):
            done = subprocess.run(
                ["umount", self.path], capture_output=True, check=False
            )
            if done.returncode == 0:
                return
        run_command("umount", "--lazy", str(self.path))
        raise AssertionError(f"somebody keeps a file of {self.path} open")

    def _mount(self) -> None:
        run_command("mount", "-o", "loop", str(self._image), str(self.path))


def cut_power(
    directory: Path, system: System, *, online: bool, chance: Random
) -> Cuts:
    """One power cut at a random moment, and what is left of it.

    Args:
        directory: An empty one, on another file system.
        system: The file system to cut.
        online: Whether a remote is synced meanwhile; else the queue grows.
        chance: Chooses the moment.
    """
    world = World(directory)
    world.make_remote()
    disk = Disk(directory, system)
    try:
        clone = world.clone(f"{system}/one")
        os.sync()
        acknowledged = _write_until_cut(
            clone, disk, online=online, chance=chance
        )
        begun = git("for-each-ref", REF, cwd=world.remote)
        synced = {record.op for record in world.log()} if begun else set[str]()
        disk.restart()
        return _examine(world, clone, acknowledged, synced)
    finally:
        world.close()
        disk.close()


def _write_until_cut(
    clone: Path, disk: Disk, *, online: bool, chance: Random
) -> list[str]:
    writers = [
        _Writer(clone, number, online=online) for number in range(_WRITERS)
    ]
    first, wanted = writers[0], chance.randint(1, _MOST_ACKNOWLEDGED)
    for _ in range(wanted):
        first.wait_for_next()
    disk.cut()
    for writer in writers:
        writer.process.kill()
    return [op for writer in writers for op in writer.finish()]


class _Writer:
    """A process that writes without end, and prints each edit that is acknowledged."""

    def __init__(self, clone: Path, number: int, *, online: bool) -> None:
        syncs = online and number == _WRITERS - 1
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.endless_writer", str(clone),
             f"writer:{number}", "sync" if syncs else ""],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
        )  # fmt: skip
        self._ops: list[str] = []

    def wait_for_next(self) -> None:
        """Wait for the next acknowledgement."""
        assert self.process.stdout is not None
        self._ops.append(json.loads(self.process.stdout.readline()))

    def finish(self) -> list[str]:
        """Everything acknowledged, when it is dead."""
        rest = self.process.communicate()[0].splitlines(keepends=True)
        return self._ops + [
            json.loads(line) for line in rest if line.endswith("\n")
        ]


def _examine(
    world: World, clone: Path, acknowledged: list[str], synced: set[str]
) -> Cuts:
    """Use the clone as if nothing had happened, and count."""
    coordinator = world.open(clone)
    acknowledged = [*acknowledged, put(coordinator, "after", "the cut", 1)]
    here = Counter(
        record.op for record in world.log(coordinator.store.repository.path)
    )
    git(
        "fsck",
        "--strict",
        "--no-dangling",
        cwd=coordinator.store.repository.path,
    )
    assert state_of(coordinator) == "ok", coordinator.store.sync_status
    there = Counter(record.op for record in world.log())
    git("fsck", "--strict", cwd=world.remote)
    wanted = {*acknowledged, *synced}
    return Cuts(
        runs=1,
        acknowledged=len(acknowledged) - 1,
        unacknowledged=len(here.keys() - wanted),
        synced=len(synced),
        lost=[op for op in acknowledged if here[op] != 1]
        + [op for op in wanted if there[op] != 1],
    )
