"""Our own repository: a bare one beside the user's, that only csc-git writes.

It is in `<git-common-dir>/csc/state.git`. If the branch were in the user's own object store, their
`gc --prune=now`, `pack-refs`, `fetch --prune` and `push --mirror` could remove or publish it. As it
is, no command on their repository touches ours, and no command of ours touches theirs.

Every change of a ref happens under `lock`, by compare-and-set. The objects are on disk before it,
and the ref's directory is made durable after it. A lock file of git's own that a killed writer left
behind is removed while holding `lock`, since no other process can be writing.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from dulwich.errors import NotGitRepository
from dulwich.refs import DiskRefsContainer, Ref
from dulwich.repo import Repo, UnsupportedExtension, UnsupportedVersion

from csc_git.errors import GitMissing, StorageFailed, StoreDamaged, StoreGone
from csc_git.files.durable import sync_directory, sync_tree
from csc_git.files.lock import FileLock
from csc_git.git.maintenance import Maintenance
from csc_git.git.objects.batch import Batch
from csc_git.git.objects.database import ObjectDatabase
from csc_git.git.objects.objects import Objects
from csc_git.git.refs import Refs
from csc_git.processes.git import Children, Completed, run_git
from csc_git.text import readable

_WALK_SECONDS: Final = 600.0
"""Time limit of a walk through the history."""

_LOOK_SECONDS: Final = 30.0
"""Time limit of one search for damage."""

_CONFIG: Final = {
    (b"core", b"logAllRefUpdates"): b"false",
    (b"gc", b"auto"): b"0",
    (b"gc", b"packRefs"): b"false",
    (b"receive", b"denyNonFastForwards"): b"true",
}


class Repository:
    """A bare repository with one writer at a time.

    Args:
        directory: The `csc` directory; the repository is `state.git` in it.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "state.git"
        self.lock = FileLock(directory / "locks" / "write")
        self._repo = Repo(str(self.path))
        # While the directory is open, no other one gets its inode.
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        self._directory: int | None = os.open(self.path, flags)
        self._place = _place(self.path)
        self.children = Children()
        self._refs = Refs(self.path, self._files_backend())
        self.maintenance = Maintenance(
            self.path,
            FileLock(directory / "locks" / "maintenance"),
            self.children,
        )
        self._database = ObjectDatabase(
            self.path / "objects",
            self._repo.object_format,
        )
        self.objects = Objects(self._database)

    @classmethod
    def open(
        cls,
        directory: Path,
        object_format: Callable[[], str],
        branch: str,
    ) -> "Repository":
        """Open the repository, making it first if it isn't there.

        Args:
            directory: The `csc` directory, made if need be.
            object_format: Called only for a new repository; returns `sha1` or `sha256`.
            branch: Short name of the branch that `HEAD` of a new repository names.

        Raises:
            StorageFailed: the disk refused.
            StoreDamaged: the repository can't be read.
        """
        try:
            _ensure(directory, object_format, branch)
            return cls(directory)
        except OSError as error:
            what = f"{directory} can't be used: {error.strerror}"
            raise StorageFailed(what) from error
        except (
            ValueError,
            NotGitRepository,
            UnsupportedVersion,
            UnsupportedExtension,
        ) as error:
            path = directory / "state.git"
            what = f"{path} is no repository that can be read: {error}"
            raise StoreDamaged(what) from error

    @property
    def object_format(self) -> str:
        """`sha1` or `sha256`."""
        return self._repo.object_format.name

    def batch(self) -> Batch:
        """Make a new, empty batch of objects to write."""
        return Batch(self.objects)

    @property
    def is_in_place(self) -> bool:
        """Whether the repository that was opened is still the one at its path."""
        return _place(self.path) == self._place

    def check_place(self) -> None:
        """Check that the repository was not deleted, moved or replaced by another one.

        Raises:
            StoreGone: it was.
        """
        if self.is_in_place:
            return
        raise StoreGone(
            f"{self.path} was deleted or moved while this process was using it"
        )

    def read_ref(self, name: str) -> str | None:
        """Return the commit that a ref names, or None if there is no such ref; see `Refs.read`.

        Raises:
            StoreGone: the repository is not there any more.
        """
        found = self._refs.read(name)
        self.check_place()
        return found

    def refs(self, prefix: str) -> dict[str, str]:
        """Return the refs below `prefix` (which ends in `/`), by the rest of their names."""
        return self._refs.below(prefix)

    def set_ref(
        self,
        name: str,
        old: str | None,
        new: str,
        batch: Batch | None = None,
    ) -> None:
        """Move a ref, durably.

        The caller holds `lock`, and has read `old` under it.

        Args:
            name: The ref's full name.
            old: The commit that it must name; None: it must not exist.
            new: The commit that it will name.
            batch: Objects to make durable before the move and to release after it; None if all
                objects are on disk already.

        Raises:
            StorageFailed: the ref was not moved.
        """
        if batch is None:
            batch = self.batch()
        try:
            with self._refs.moving(name, old, new):
                batch.flush()
        finally:
            batch.release()

    def delete_ref(self, name: str) -> None:
        """Remove a ref. The caller holds `lock`."""
        self._refs.delete(name)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock during a `with` block.

        Raises:
            StoreGone: the repository was deleted, moved or replaced.
            StorageFailed: the disk refused something in the block.
        """
        try:
            with self.lock.locked():
                self.check_place()
                yield
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                self.check_place()
            reason = error.strerror or error
            raise StorageFailed(f"The disk refused: {reason}") from error

    def is_ancestor(
        self,
        commit: str,
        tip: str,
    ) -> bool:
        """Check whether one commit contains another by any of its parents; False without git.

        Args:
            commit: The one that may be contained.
            tip: The one that may contain it.

        Raises:
            StorageFailed: git failed.
        """
        command = [
            "merge-base",
            "--is-ancestor",
            commit,
            tip,
        ]
        done = self._git(command, _WALK_SECONDS)
        if done is None:
            return False
        if done.code not in {0, 1}:
            what = f"git can't check whether {tip} contains {commit}"
            raise StorageFailed(what)
        return done.ok

    def damage(self) -> str | None:
        """Ask git which objects that refs need are missing or broken.

        An object that git itself would have written differently is not damage, though `git fsck`
        reports it. If git has no time to verify the packs of a large store, only missing objects
        are found.

        Returns:
            Git's report; empty if there is no damage, None if git takes too long or is missing.
        """
        missing = self._reported(
            [
                "fsck",
                "--connectivity-only",
                "--no-dangling",
                "--no-progress",
            ]
        )
        if missing is None or missing:
            return missing
        indexes = sorted(self.path.glob("objects/pack/*.idx"))
        packs = [str(index) for index in indexes]
        if not packs:
            return ""
        broken = self._reported(["verify-pack", *packs])
        return broken or ""

    def _reported(self, command: list[str]) -> str | None:
        """Return what git reports as wrong; None if git does not end in time or is missing."""
        done = self._git(command, _LOOK_SECONDS)
        if done is None or done.code is None:
            return None
        if done.ok:
            return ""
        printed = done.err + done.out.decode(errors="replace")
        return readable(printed.strip() or command[0])

    def _git(
        self,
        command: list[str],
        timeout: float,
    ) -> Completed | None:
        """Run git in the repository; None if it is missing."""
        try:
            return run_git(
                command,
                cwd=self.path,
                git_dir=self.path,
                timeout=timeout,
                children=self.children,
            )
        except GitMissing:
            return None

    def fsync_packs(self) -> None:
        """Make the names of fetched packs durable, since git does not fsync their directory."""
        sync_directory(self.path / "objects" / "pack")

    def close(self) -> None:
        """Close all files; safe to call again."""
        directory = self._directory
        self._directory = None
        if directory is not None:
            os.close(directory)
        self._database.close()
        self._repo.close()

    def _files_backend(self) -> DiskRefsContainer:
        refs = self._repo.refs
        if isinstance(refs, DiskRefsContainer):
            return refs
        # dulwich does not compare and set a ref of a reftable atomically.
        raise StorageFailed(
            f"{self.path} does not keep its refs in files",
            then="Move it away; the next start makes a new one from the remote",
        )


def _ensure(
    directory: Path,
    object_format: Callable[[], str],
    branch: str,
) -> None:
    """Make the repository in a `csc` directory, unless it is there.

    Raises:
        StoreDamaged: something else is there, and it is not empty.
    """
    path = directory / "state.git"
    head = path / "HEAD"
    if path.exists() and not head.exists():
        if not _holds_nothing(path):
            raise StoreDamaged(f"{path} is no Git repository any more")
        shutil.rmtree(path)
    if head.exists():
        return
    directory.mkdir(exist_ok=True)
    lock = FileLock(directory / "locks" / "write")
    with lock.locked():
        if not head.exists():
            _create(path, object_format(), branch)


def _create(
    path: Path,
    object_format: str,
    branch: str,
) -> None:
    """Make the repository under another name and rename it, so that it is never there in part."""
    made = tempfile.mkdtemp(dir=path.parent, prefix="new-")
    temporary = Path(made)
    try:
        with Repo.init_bare(made, object_format=object_format) as repo:
            config = repo.get_config()
            for (section, name), value in _CONFIG.items():
                config.set((section,), name, value)
            config.write_to_path()
            target = b"refs/heads/" + branch.encode()
            repo.refs.set_symbolic_ref(Ref(b"HEAD"), Ref(target))
        sync_tree(temporary)
        temporary.chmod(0o777 & ~_umask())
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_directory(path.parent)
    sync_directory(path.parent.parent)


def _place(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a directory; None if there is no such directory."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _holds_nothing(path: Path) -> bool:
    """Check whether a directory has no files at any depth, so that nothing in it can be lost."""
    return all(not files for _, _, files in os.walk(path))


def _umask() -> int:
    """Return the process's umask, which can be read only by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
