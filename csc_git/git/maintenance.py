"""Maintenance: keep csc-git's repository small and fast while other processes use it.

Each edit leaves a small pack. When there are many packs, `git repack --geometric` combines them, so
that each pack is at least twice as large as the next smaller one. During a million edits, each
object is repacked only about a dozen times. The number of packs grows only with the logarithm of
the number of objects. `git repack --geometric` also keeps unreachable objects. So it can't lose new
objects to which no ref points yet. Once a week, `git gc` removes objects that were unreachable for
two weeks.

Maintenance takes only a lock of its own, so no other process waits until maintenance ends.
Maintenance changes no ref.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from csc_git.errors import GitMissing
from csc_git.files.durable import UNFINISHED
from csc_git.files.lock import FileLock
from csc_git.processes.git import Children, run_git

PACK_LIMIT: Final = 200
LOOSE_LIMIT: Final = 3000
_DAY: Final = 24 * 3600.0
_WEEK: Final = 7 * _DAY
_SECONDS: Final = 3600.0
_SETTINGS: Final = (
    # Unreachable objects must not become loose: they would be packed again and would look new.
    ("gc.cruftPacks", "true"),
    ("gc.packRefs", "false"),
    ("gc.pruneExpire", "2.weeks.ago"),
    ("gc.recentObjectsHook", ""),
    ("repack.packKeptObjects", "false"),
    ("repack.writeBitmaps", "false"),
    ("core.fsync", "all"),
    ("core.fsyncMethod", "fsync"),
    ("pack.packSizeLimit", "0"),
    # Similar objects are often not next to each other, so git compares more objects.
    ("pack.window", "50"),
    ("pack.compression", "9"),
)


class Maintenance:
    """Maintenance of one repository.

    Args:
        path: Directory of the repository.
        lock: The lock that a process takes before maintenance. Other processes skip maintenance
            while the lock is taken.
        children: The git processes of the store that the repository belongs to.
    """

    def __init__(
        self,
        path: Path,
        lock: FileLock,
        children: Children,
    ) -> None:
        self._path = path
        self._lock = lock
        self._children = children
        self._stamp = path / "gc.stamp"

    def is_behind(self) -> bool:
        """Check whether there are three times as many packs or loose objects as `is_due` needs."""
        return self._has_over(3 * PACK_LIMIT, 3 * LOOSE_LIMIT)

    def is_due(self) -> bool:
        """Check whether there are enough packs or loose objects for maintenance.

        This check is fast, since it lists only two directories.
        """
        return self._has_over(PACK_LIMIT, LOOSE_LIMIT)

    def run(self) -> bool:
        """Do maintenance, unless another process is doing it. Return whether this call did it."""
        if not self._lock.try_acquire():
            return False
        try:
            self._sweep("*.keep", _DAY)
            if self._is_old():
                self._git("gc", "--quiet")
                self._sweep(f"*{UNFINISHED}", _WEEK)
                self._stamp.touch()
            else:
                self._repack()
            self.write_graph()
        finally:
            self._lock.release()
        return True

    def write_graph(self) -> None:
        """Write git's commit-graph, with the filters of changed paths that make `git log` fast.

        The commit-graph contains data about commits, which never change. So the commit-graph can
        lack new commits, but it can't be wrong.
        """
        self._git(
            "commit-graph",
            "write",
            "--reachable",
            "--changed-paths",
            "--split",
            "--no-progress",
        )

    def _repack(self) -> None:
        repacked = self._git(
            "repack",
            "-q",
            "-d",
            "-n",
            "--geometric=2",
        )
        if not repacked:
            self._git("gc", "--quiet")

    def _has_over(
        self,
        packs: int,
        loose: int,
    ) -> bool:
        """Check whether there are more than `packs` packs or more than `loose` loose objects."""
        return self._packs() > packs or self._loose() > loose

    def _packs(self) -> int:
        entries = os.scandir(self._path / "objects/pack")
        return sum(entry.name.endswith(".idx") for entry in entries)

    def _loose(self) -> int:
        """Estimate the number of loose objects: count them in 1 of 256 directories, as git does."""
        directory = self._path / "objects/17"
        try:
            names = os.listdir(directory)  # noqa: PTH208  names are enough
        except FileNotFoundError:
            return 0
        return 256 * len(names)

    def _sweep(
        self,
        names: str,
        age: float,
    ) -> None:
        """Remove files that dead processes left in the directory of packs.

        Args:
            names: A glob that the names of these files match.
            age: Files are removed if they are older than this many seconds.
        """
        directory = self._path / "objects/pack"
        for file in directory.glob(names):
            with suppress(FileNotFoundError):
                if _age(file) > age:
                    file.unlink()

    def _is_old(self) -> bool:
        """Check whether the last `git gc` was more than a week ago.

        In a new repository, the week begins at the first check.
        """
        try:
            return _age(self._stamp) > _WEEK
        except FileNotFoundError:
            self._stamp.touch()
            return False

    def _git(self, *command: str) -> bool:
        """Run git in the repository; return whether git succeeded."""
        try:
            done = run_git(
                command,
                cwd=self._path,
                git_dir=self._path,
                config=_SETTINGS,
                timeout=_SECONDS,
                children=self._children,
            )
        except GitMissing:
            return False
        return done.ok


def _age(file: Path) -> float:
    """Return how many seconds ago a file was last written."""
    written = file.stat().st_mtime
    return time.time() - written
