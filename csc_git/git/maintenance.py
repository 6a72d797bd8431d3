"""Maintenance: keeping our repository small and quick, beside all who read and write it.

Each edit leaves a small pack. Once they are many, `git repack --geometric` puts them together, so
that sizes grow by powers of two: each object is written again a dozen times in a million edits,
and the number of packs stays that of their logarithm. It goes by objects, not by what is
reachable, so nothing can be lost that a process is about to name. Once a week `git gc` drops what
has been unreachable for two weeks.

Nobody waits for it: no lock is held but its own. It touches no ref.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from csc_git.files.durable import UNFINISHED
from csc_git.files.lock import FileLock
from csc_git.git.child import GitMissing, run_git

PACK_LIMIT: Final = 200
LOOSE_LIMIT: Final = 3000
_DAY: Final = 24 * 3600.0
_WEEK: Final = 7 * _DAY
_SECONDS: Final = 3600.0
_SETTINGS: Final = (
    (
        "gc.cruftPacks",
        "true",
    ),  # loose, what nothing names would be packed again, and look new
    ("gc.packRefs", "false"),
    ("gc.pruneExpire", "2.weeks.ago"),
    ("gc.recentObjectsHook", ""),
    ("repack.packKeptObjects", "false"),
    ("repack.writeBitmaps", "false"),
    ("core.fsync", "all"),
    ("core.fsyncMethod", "fsync"),
    ("pack.packSizeLimit", "0"),
    (
        "pack.window",
        "50",
    ),  # commits and values are like others of theirs, but not the next ones
    ("pack.compression", "9"),
)


class Maintenance:
    """Of one repository.

    Args:
        path: The repository.
        lock: Held by the process that does it; the others skip it.
    """

    def __init__(self, path: Path, lock: FileLock) -> None:
        self._path = path
        self._lock = lock
        self._stamp = path / "gc.stamp"

    def is_due(self) -> bool:
        """Whether there is anything to do; costs two listings of directories."""
        return self._packs() > PACK_LIMIT or self._loose() > LOOSE_LIMIT

    def run(self) -> bool:
        """Do it, unless another process does; whether it was done."""
        if not self._lock.try_acquire():
            return False
        try:
            self._sweep("*.keep", _DAY)
            if self._is_old():
                self._git("gc", "--quiet")
                self._sweep(f"*{UNFINISHED}", _WEEK)
                self._stamp.touch()
            else:
                self._git(
                    "repack", "-q", "-d", "-n", "--geometric=2"
                ) or self._git("gc", "--quiet")
            self.write_graph()
        finally:
            self._lock.release()
        return True

    def write_graph(self) -> None:
        """Write git's commit-graph, with the filters of changed paths that make its log fast.

        It is git's own and keyed by commits, which never change: it can be behind, not wrong.
        """
        self._git(
            "commit-graph",
            "write",
            "--reachable",
            "--changed-paths",
            "--split",
            "--no-progress",
        )

    def _packs(self) -> int:
        return sum(
            entry.name.endswith(".idx")
            for entry in os.scandir(self._path / "objects/pack")
        )

    def _loose(self) -> int:
        """As `git gc --auto` estimates it: one of 256 directories stands for all."""
        with suppress(FileNotFoundError):
            return 256 * len(os.listdir(self._path / "objects/17"))  # noqa: PTH208
        return 0

    def _sweep(self, names: str, age: float) -> None:
        """Remove files that a process which died left beside the packs."""
        for file in (self._path / "objects/pack").glob(names):
            with suppress(FileNotFoundError):
                if time.time() - file.stat().st_mtime > age:
                    file.unlink()

    def _is_old(self) -> bool:
        """Whether the last `git gc` was a week ago; in a new repository it counts from now."""
        with suppress(FileNotFoundError):
            return time.time() - self._stamp.stat().st_mtime > _WEEK
        self._stamp.touch()
        return False

    def _git(self, *command: str) -> bool:
        with suppress(GitMissing):
            return run_git(
                command,
                cwd=self._path,
                git_dir=self._path,
                config=_SETTINGS,
                timeout=_SECONDS,
            ).ok
        return False
