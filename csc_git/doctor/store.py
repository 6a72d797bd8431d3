"""Check our store: is it undamaged and writable, is it small, are changes noticed?"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from csc_git.coordinator.coordinator import Coordinator
from csc_git.doctor.finding import Finding, doubtful, fine, wrong
from csc_git.files.durable import UNFINISHED
from csc_git.files.lock import NO_EXCLUSION, FileLock, excludes
from csc_git.store.watch import Watch
from csc_git.text import count, readable

_SYNC: Final = "sync"
_LOCKS: Final = (
    "clone",
    "write",
    "seen",
    _SYNC,
)
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
_REMAKE: Final = (
    "Stop the sessions here. Move that directory to another place and keep it, since it may have "
    "edits that are not pushed yet; the troubleshooting guide explains how to recover these edits. "
    "The next start makes a new store"
)


def check_locks(directory: Path) -> Iterator[Finding]:
    """Does a process keep a lock, so that the store can't be opened, written or synced?

    Args:
        directory: The clone's `csc` directory.
    """
    locks = directory / "locks"
    paths = [locks / name for name in _LOCKS]
    locked = [path for path in paths if path.exists() and not _is_free(path)]
    for path in locked:
        yield _kept(path)
    if locked:
        return
    if directory.is_dir() and not excludes(locks / "probe"):
        message = f"File locks in {directory} do not exclude other processes"
        yield wrong("lock", message, NO_EXCLUSION)
    else:
        yield fine("lock", "free")


def check_whole(coordinator: Coordinator) -> Iterator[Finding]:
    """Does git find all objects that the branch needs?"""
    repository = coordinator.store.repository
    damage = repository.damage()
    if damage is None:
        yield doubtful(
            "store",
            f"{repository.path} was not checked: git is missing, or the check took too long",
            "Try again when git is on PATH and the machine is less busy",
        )
    elif damage:
        what = readable(damage, 200)
        yield wrong(
            "store",
            f"{repository.path} is damaged: {what}",
            _REMAKE,
        )
    else:
        yield fine("store", f"{repository.path}: whole")


def check_size(coordinator: Coordinator) -> Iterator[Finding]:
    """Does the maintenance run often enough? Can a new clone fetch the history quickly?"""
    repository = coordinator.store.repository
    files = _count_files(repository.path)
    packs = count(files.packs, "pack")
    if repository.maintenance.is_behind():
        yield doubtful(
            "objects",
            f"{files.packs:,} packs and {files.loose:,} loose objects: "
            "the maintenance does not pack them fast enough",
            f"git --git-dir={repository.path} gc  (safe while sessions work)",
        )
    elif files.unfinished:
        yield doubtful(
            "objects",
            f"{files.unfinished} files, more than a day old, of edits that were never finished",
            "There is nothing to do: the weekly maintenance deletes these files",
        )
    else:
        yield fine("objects", f"{packs}, {files.loose:,} loose")
    if files.size > _LARGE:
        megabytes = files.size >> 20
        yield doubtful(
            "size",
            f"{megabytes:,} MB: a new clone takes long to fetch so much",
            "csc-git rotate  (starts a new history, and keeps the old history)",
        )
    else:
        kilobytes = max(files.size >> 10, 1)
        yield fine("size", f"{kilobytes:,} KB")


def check_watch(coordinator: Coordinator) -> Iterator[Finding]:
    """Does the file system report changes by other processes?"""
    with tempfile.TemporaryDirectory(
        dir=coordinator.store.directory
    ) as directory:
        file = Path(directory, "change")
        watch = Watch(Path(directory))
        is_noticed = _notices_a_change(watch, file)
        watch.close()
    if is_noticed:
        yield fine("watcher", "changes by other processes are noticed at once")
    else:
        why = watch.failed or "no event came"
        yield doubtful(
            "watcher",
            f"Changes are noticed only after a second: {why}",
            f"On Linux: sysctl {_INOTIFY}",
        )


def _notices_a_change(
    watch: Watch,
    file: Path,
) -> bool:
    """Whether a watch notices that a file in its directory is written.

    The file is written again and again until the watch notices, until the watch fails, or until
    time is up.
    """
    with watch.listening() as wait:
        until = time.monotonic() + _PATIENCE
        while not watch.failed and time.monotonic() < until:
            content = str(time.monotonic())
            file.write_text(content, encoding="ascii")
            wait(_PAUSE)
            if watch.hints > 0:
                return True
    return False


def _is_free(path: Path) -> bool:
    """Whether a lock is free now, or becomes free while this function waits.

    The wait for the lock of the sync is longer, since a sync may take long. If a process that holds
    the lock is suspended, return False after a short wait.
    """
    if _becomes_free(path, _MOMENT):
        return True
    holders = _holders(path)
    if any(map(_is_stopped, holders)):
        return False
    patience = _PATIENCE
    if path.name == _SYNC:
        patience = _LONGEST_SYNC
    return _becomes_free(path, patience)


def _becomes_free(
    path: Path,
    patience: float,
) -> bool:
    until = time.monotonic() + patience
    while not FileLock(path).is_free():
        if time.monotonic() > until:
            return False
        time.sleep(_PAUSE)  # a blocking wait could not be ended
    return True


def _kept(path: Path) -> Finding:
    """Report which processes keep a lock."""
    holders = _holders(path)
    who = "A process"
    pids = "PID"
    if holders:
        described = " and ".join(map(_described, holders))
        who = f"Process {described}"
        pids = " ".join(str(one.pid) for one in holders)
    return wrong(
        "lock",
        f"{who} holds {path} and does not release it",
        f"To let it continue: kill -CONT {pids}; to end it: kill -KILL {pids}. "
        "What is stored is safe either way",
    )


def _described(process: psutil.Process) -> str:
    if _is_stopped(process):
        return f"{process.pid}, which is stopped,"
    return str(process.pid)


def _is_stopped(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.status() == psutil.STATUS_STOPPED
    return False


def _holders(path: Path) -> list[psutil.Process]:
    """Processes that have a file open."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            files = process.open_files()
            if any(file.path == str(path) for file in files):
                found.append(process)
    return found


class _Files(NamedTuple):
    """The number of files that a repository has, and their size.

    Attributes:
        packs: The number of packs.
        loose: The number of loose objects.
        unfinished: The number of files older than a day that interrupted edits have left.
        size: The size of all files in bytes.
    """

    packs: int
    loose: int
    unfinished: int
    size: int


def _count_files(path: Path) -> _Files:
    packs = loose = unfinished = size = 0
    for file in _files_below(path):
        try:
            found = file.stat()
        except FileNotFoundError:  # another process removed it
            continue
        size += found.st_size
        if file.suffix == ".pack":
            packs += 1
        if _is_loose_object(file):
            loose += 1
        is_old = time.time() - found.st_mtime > _AGE
        if is_old and file.suffix in {".keep", UNFINISHED}:
            unfinished += 1
    return _Files(
        packs=packs,
        loose=loose,
        unfinished=unfinished,
        size=size,
    )


def _files_below(path: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(path):
        for name in names:
            yield Path(directory, name)


def _is_loose_object(file: Path) -> bool:
    directory = file.parent
    is_in_objects = directory.parent.name == "objects"
    return is_in_objects and len(directory.name) == _FANOUT
