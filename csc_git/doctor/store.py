"""Our store: is it whole, may it be written, does it stay small, are changes noticed?"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from csc_git.coordinator.coordinator import Coordinator
from csc_git.doctor.finding import Finding, doubtful, fine, wrong
from csc_git.files.durable import UNFINISHED
from csc_git.files.lock import NO_EXCLUSION, FileLock, excludes
from csc_git.git.maintenance import LOOSE_LIMIT, PACK_LIMIT
from csc_git.store.watch import Watch
from csc_git.text import count, readable

_SYNC: Final = "sync"
_LOCKS: Final = ("clone", "write", "seen", _SYNC)
_MOMENT: Final = 0.5
_PATIENCE: Final = 5.0
_LONGEST_SYNC: Final = 60.0
_PAUSE: Final = 0.05
_LARGE: Final = 1 << 30
_AGE: Final = 24 * 3600.0
_FANOUT: Final = 2
_INOTIFY: Final = (
    "fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=1024"
)


def check_locks(directory: Path) -> Iterator[Finding]:
    """Can the store be opened, written and synced, or does a process that stands still hold it?

    Args:
        directory: The clone's `csc` directory.
    """
    paths = [directory / "locks" / name for name in _LOCKS]
    held = [path for path in paths if path.exists() and not _is_free(path)]
    for path in held:
        holders = _holders(path)
        who = (
            f"Process {' and '.join(map(_called, holders))}"
            if holders
            else "A process"
        )
        pids = " ".join(str(one.pid) for one in holders) or "PID"
        then = f"kill -CONT {pids}, if it is to go on; or end it: kill -KILL {pids}. What is stored"
        yield wrong(
            "lock",
            f"{who} holds {path} and does not let go",
            f"{then} is safe either way",
        )
    if (
        not held
        and directory.is_dir()
        and not excludes(directory / "locks" / "probe")
    ):
        message = f"File locks in {directory} do not exclude other processes"
        yield wrong("lock", message, NO_EXCLUSION)
    elif not held:
        yield fine("lock", "free")


def check_whole(coordinator: Coordinator) -> Iterator[Finding]:
    """Does git find all that the branch needs?"""
    repository = coordinator.store.repository
    damage = repository.damage()
    if damage is None:
        message = f"{repository.path} was not looked through: git is not there, or took too long"
        yield doubtful(
            "store", message, "Try again when it is there, and has less to do"
        )
    elif damage:
        what = readable(damage, 200)
        yield wrong("store", f"{repository.path} is damaged: {what}", _REMAKE)
    else:
        yield fine("store", f"{repository.path}: whole")


_REMAKE: Final = (
    "Stop the sessions here, move that directory aside and keep it, since edits not yet pushed are "
    "in it (the troubleshooting guide has how to get them out); the next start makes a new one"
)


def check_size(coordinator: Coordinator) -> Iterator[Finding]:
    """Does the maintenance keep up, and is the history short enough for a new clone?"""
    path = coordinator.store.repository.path
    packs, loose, left, size = _counted(path)
    gc = f"git --git-dir={path} gc"
    if packs > 3 * PACK_LIMIT or loose > 3 * LOOSE_LIMIT:
        message = f"{packs:,} packs and {loose:,} loose objects: the maintenance does not keep up"
        yield doubtful("objects", message, f"{gc}  (safe while sessions work)")
    elif left:
        message = f"{left} files of edits that were never finished, more than a day old"
        yield doubtful(
            "objects", message, "Nothing: they go with the weekly maintenance"
        )
    else:
        yield fine("objects", f"{count(packs, 'pack')}, {loose:,} loose")
    if size > _LARGE:
        message = f"{size >> 20:,} MB: a new clone takes long to fetch that"
        yield doubtful(
            "size",
            message,
            "csc-git rotate  (begins a new history; the old one is kept)",
        )
    else:
        yield fine("size", f"{max(size >> 10, 1):,} KB")


def check_watch(coordinator: Coordinator) -> Iterator[Finding]:
    """Does the file system tell us of changes?"""
    with tempfile.TemporaryDirectory(
        dir=coordinator.store.directory
    ) as directory:
        watch = Watch(Path(directory))
        with watch.listening() as wait:
            noticed = False
            until = time.monotonic() + _PATIENCE
            while not noticed and not watch.failed and time.monotonic() < until:
                Path(directory, "change").write_text(
                    str(time.monotonic()), encoding="ascii"
                )
                wait(_PAUSE)
                noticed = watch.hints > 0
        watch.close()
    if noticed:
        yield fine("watcher", "changes by other processes are noticed at once")
    else:
        message = f"Changes are noticed after a second only: {watch.failed or 'no event came'}"
        yield doubtful("watcher", message, f"On Linux: sysctl {_INOTIFY}")


def _is_free(path: Path) -> bool:
    """Whether nobody holds a lock for longer than is usual; a sync that goes on is waited for."""
    if _is_freed(path, _MOMENT):
        return True
    if any(map(_is_stopped, _holders(path))):
        return False
    return _is_freed(path, _LONGEST_SYNC if path.name == _SYNC else _PATIENCE)


def _is_stopped(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.status() == psutil.STATUS_STOPPED
    return False


def _called(process: psutil.Process) -> str:
    return (
        f"{process.pid}{', which is stopped,' if _is_stopped(process) else ''}"
    )


def _is_freed(path: Path, patience: float) -> bool:
    until = time.monotonic() + patience
    while not FileLock(path).is_free():
        if time.monotonic() > until:
            return False
        time.sleep(_PAUSE)  # a blocking wait could not be given up
    return True


def _holders(path: Path) -> list[psutil.Process]:
    """Processes that have a file open."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(file.path == str(path) for file in process.open_files()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _counted(path: Path) -> tuple[int, int, int, int]:
    """Packs, loose objects, old unfinished files, and bytes of all."""
    packs = loose = left = size = 0
    for directory, _, names in os.walk(path):
        for file in (Path(directory, name) for name in names):
            with suppress(
                FileNotFoundError
            ):  # others write and repack meanwhile
                found = file.stat()
                size += found.st_size
                packs += file.suffix == ".pack"
                loose += (
                    file.parent.parent.name == "objects"
                    and len(file.parent.name) == _FANOUT
                )
                old = time.time() - found.st_mtime > _AGE
                left += old and file.suffix in {".keep", UNFINISHED}
    return packs, loose, left, size
