"""csc-git's own bare repository. Only csc-git writes to this repository.

The repository is inside the user's repository, in `<git-common-dir>/csc/state.git`. If the branch
were in the user's own repository, the user's `gc --prune=now`, `pack-refs`, `fetch --prune` and
`push --mirror` could remove or publish the branch. Since there are two repositories, no command on
the user's repository changes csc-git's repository, and csc-git never changes the user's repository.

A process takes `lock` before it changes a ref, and changes the ref by compare-and-set. The objects
are made durable before the ref is changed. The ref's directory is made durable after the change. If
a killed process left one of git's own lock files, the process that has `lock` removes this file.
This is safe, since no other process can be writing at that time.
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
"""Time limit of a git command that walks through the history, in seconds."""

_LOOK_SECONDS: Final = 30.0
"""Time limit of a git command that searches for damage, in seconds."""

_CONFIG: Final = {
    (b"core", b"logAllRefUpdates"): b"false",
    (b"gc", b"auto"): b"0",
    (b"gc", b"packRefs"): b"false",
    (b"receive", b"denyNonFastForwards"): b"true",
}


class Repository:
    """A bare repository with one writer at a time.

    Args:
        directory: The `csc` directory, which contains the repository as `state.git`.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "state.git"
        self.lock = FileLock(directory / "locks" / "write")
        self._repo = Repo(str(self.path))
        # While the directory is open, no other directory gets its inode number.
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
        """Open the repository; make it first if it does not exist.

        Args:
            directory: The `csc` directory, which is made if it does not exist.
            object_format: A function that returns `sha1` or `sha256`. The function is called only
                if the repository is made.
            branch: Short name of the branch to which `HEAD` of a new repository points.

        Raises:
            StorageFailed: the disk refused to read or write.
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
            what = f"The repository {path} can't be read: {error}"
            raise StoreDamaged(what) from error

    @property
    def object_format(self) -> str:
        """The object format of the repository: `sha1` or `sha256`."""
        return self._repo.object_format.name

    def batch(self) -> Batch:
        """Make a new, empty batch, to which objects can be added."""
        return Batch(self.objects)

    @property
    def is_in_place(self) -> bool:
        """Whether the repository at the path is still the repository that was opened."""
        return _place(self.path) == self._place

    def check_place(self) -> None:
        """Check that the repository was not deleted, moved or replaced by another repository.

        Raises:
            StoreGone: the repository was deleted, moved or replaced.
        """
        if self.is_in_place:
            return
        raise StoreGone(
            f"{self.path} was deleted or moved while this process was using it"
        )

    def read_ref(self, name: str) -> str | None:
        """Return the id of the commit to which a ref points, or None; see `Refs.read`.

        Raises:
            StoreGone: the repository was deleted, moved or replaced.
        """
        found = self._refs.read(name)
        self.check_place()
        return found

    def refs(self, prefix: str) -> dict[str, str]:
        """Return the commits of the refs below a prefix. The prefix is removed from the names.

        Args:
            prefix: The beginning of the refs' full names; it must end with `/`.
        """
        return self._refs.below(prefix)

    def set_ref(
        self,
        name: str,
        old: str | None,
        new: str,
        batch: Batch | None = None,
    ) -> None:
        """Move a ref durably.

        The caller must have `lock`, and must have read `old` while it had the lock.

        Args:
            name: The ref's full name.
            old: Id of the commit to which the ref must point before the call. None means that the
                ref must not exist.
            new: Id of the commit to which the ref will point.
            batch: The objects to make durable before the ref is moved, and to release after that;
                None if all objects are on the disk already.

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
        """Remove a ref. The caller must have `lock`."""
        self._refs.delete(name)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Take `lock`, and keep it during a `with` block.

        Raises:
            StoreGone: the repository was deleted, moved or replaced.
            StorageFailed: the disk refused an operation in the block.
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
        """Check whether a commit is an ancestor of another commit. All parents are followed.

        The result is False if there is no git.

        Args:
            commit: Id of the commit that may be the ancestor.
            tip: Id of the commit that may be the descendant.

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
            what = f"git can't check whether {commit} is an ancestor of {tip}"
            raise StorageFailed(what)
        return done.ok

    def damage(self) -> str | None:
        """Ask git for missing or broken objects that refs need.

        A full `git fsck` is not used, since it also reports intact objects that git would have
        written differently. If the store is so large that git can't verify the packs in time, only
        missing objects are found.

        Returns:
            Git's report. Empty if there is no damage; None if git takes too long or is missing.
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
        """Run git and return the problems that it reports; None if it is too slow or missing."""
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
        """Run git in the repository; return None if there is no git."""
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
        """Make the names of fetched packs durable, since git does not sync their directory."""
        sync_directory(self.path / "objects" / "pack")

    def close(self) -> None:
        """Close all files. This method may be called several times."""
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
        # dulwich can't compare and set a ref atomically if refs are in a reftable.
        raise StorageFailed(
            f"{self.path} does not keep its refs in files",
            then=(
                "Move this directory to another place. "
                "The next start makes a new repository from the remote"
            ),
        )


def _ensure(
    directory: Path,
    object_format: Callable[[], str],
    branch: str,
) -> None:
    """Make the repository in a `csc` directory, unless it exists already.

    Raises:
        StoreDamaged: there is a directory `state.git` that has files but is not a repository.
    """
    path = directory / "state.git"
    head = path / "HEAD"
    if path.exists() and not head.exists():
        if not _holds_nothing(path):
            raise StoreDamaged(f"{path} is not a Git repository any more")
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
    """Make the repository under another name and rename it. So nobody sees half of it."""
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
    """Return a directory's device number and inode number; None if there is no directory."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _holds_nothing(path: Path) -> bool:
    """Check whether a directory has no files at any depth, so that it can be removed safely."""
    return all(not files for _, _, files in os.walk(path))


def _umask() -> int:
    """Return the umask of the process. A process can read its umask only by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
