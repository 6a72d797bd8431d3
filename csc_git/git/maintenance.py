"""Maintenance: keeping our repository small and quick while others read and write it.

Each edit leaves a small pack. Once there are many, `git repack --geometric` puts them together, so
that sizes grow by powers of two: each object is written again a dozen times in a million edits,
and the number of packs grows with the logarithm of the number of objects. It takes all objects,
reachable or not, so it can't lose those that a process is about to name. Once a week `git gc` drops
what has been unreachable for two weeks.

No other process waits for it: it holds no lock but its own. It touches no ref.
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
    # As loose objects, those that nothing names would be packed again, and look new.
    ("gc.cruftPacks", "true"),
    ("gc.packRefs", "false"),
    ("gc.pruneExpire", "2.weeks.ago"),
    ("gc.recentObjectsHook", ""),
    ("repack.packKeptObjects", "false"),
    ("repack.writeBitmaps", "false"),
    ("core.fsync", "all"),
    ("core.fsyncMethod", "fsync"),
    ("pack.packSizeLimit", "0"),
    # Commits and values resemble others of their kind, but not the next ones.
    ("pack.window", "50"),
    ("pack.compression", "9"),
)


class Maintenance:
    """Maintenance of one repository.

    Args:
        path: The repository.
        lock: Held by the process that does maintenance; the others skip it.
        children: The git processes of the store that it belongs to.
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
        """Check whether there is three times as much to do as when it is usually done."""
        return self._has_over(3 * PACK_LIMIT, 3 * LOOSE_LIMIT)

    def is_due(self) -> bool:
        """Check whether there is anything to do; costs two listings of directories."""
        return self._has_over(PACK_LIMIT, LOOSE_LIMIT)

    def run(self) -> bool:
        """Do it, unless another process does it now; return whether it was done."""
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
        """Write git's commit-graph, with the filters of changed paths that make its log fast.

        It is keyed by commits, which never change, so it can be behind but not wrong.
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
        """Check whether there are more packs, or more loose objects, than that."""
        return self._packs() > packs or self._loose() > loose

    def _packs(self) -> int:
        entries = os.scandir(self._path / "objects/pack")
        return sum(entry.name.endswith(".idx") for entry in entries)

    def _loose(self) -> int:
        """Estimate the loose objects as `git gc --auto` does: by one of 256 directories."""
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
        """Remove files that a process left beside the packs when it died.

        Args:
            names: A pattern of their names.
            age: Seconds from which a file is removed.
        """
        directory = self._path / "objects/pack"
        for file in directory.glob(names):
            with suppress(FileNotFoundError):
                if _age(file) > age:
                    file.unlink()

    def _is_old(self) -> bool:
        """Check whether the last `git gc` was a week ago.

        In a new repository the week begins now.
        """
        try:
            return _age(self._stamp) > _WEEK
        except FileNotFoundError:
            self._stamp.touch()
            return False

    def _git(self, *command: str) -> bool:
        """Run git; return whether it succeeded."""
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
    """Return the seconds since a file was written."""
    written = file.stat().st_mtime
    return time.time() - written
