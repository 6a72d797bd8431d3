"""Our own repository: a bare one beside the user's, that only csc-git writes.

It stands in `<git-common-dir>/csc/state.git`. Inside the user's own object store the branch would
be at the mercy of their `gc --prune=now`, `pack-refs`, `fetch --prune` and `push --mirror`;
beside it, nothing of theirs can touch ours, and nothing of ours touches theirs.

Every change of a ref happens under `lock`, by compare-and-set, with the objects on disk before it
and the ref's directory after it. A lock file of git's own that a killed writer left behind is
removed while holding `lock`: nobody else can be writing.
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

from csc_git.errors import StorageFailed, StoreDamaged, StoreGone
from csc_git.files.durable import sync_directory, sync_tree
from csc_git.files.lock import FileLock
from csc_git.git.child import GitMissing, run_git
from csc_git.git.maintenance import Maintenance
from csc_git.git.objects.batch import Batch
from csc_git.git.objects.database import ObjectDatabase
from csc_git.git.objects.reader import Objects
from csc_git.git.refs import Refs
from csc_git.text import readable

_WALK_SECONDS: Final = 600.0
_LOOK_SECONDS: Final = 30.0

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
        # As long as it is open, no other directory gets its inode.
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        self._directory: int | None = os.open(self.path, flags)
        self._place = _place(self.path)
        self._refs = Refs(self.path, self._files_backend())
        self.maintenance = Maintenance(
            self.path, FileLock(directory / "locks" / "maintenance")
        )
        self._database = ObjectDatabase(
            self.path / "objects", self._repo.object_format
        )
        self.objects = Objects(self._database)

    @classmethod
    def open(
        cls, directory: Path, object_format: Callable[[], str], branch: str
    ) -> "Repository":
        """Open the repository, making it first if it isn't there.

        Args:
            directory: The `csc` directory, made if need be.
            object_format: Asked only for a new repository: `sha1` or `sha256`.
            branch: What `HEAD` of a new one names.

        Raises:
            StorageFailed: the disk refused.
            StoreDamaged: what is there can't be read.
        """
        try:
            half_made = directory / "state.git"
            if half_made.exists() and not (half_made / "HEAD").exists():
                if not _holds_nothing(half_made):
                    raise StoreDamaged(
                        f"{half_made} is no Git repository any more"
                    )
                shutil.rmtree(half_made)
            if not (directory / "state.git" / "HEAD").exists():
                directory.mkdir(exist_ok=True)
                with FileLock(directory / "locks" / "write").held():
                    _create(directory / "state.git", object_format, branch)
            return cls(directory)
        except OSError as error:
            raise StorageFailed(
                f"{directory} can't be used: {error.strerror}"
            ) from error
        except (
            ValueError,
            NotGitRepository,
            UnsupportedVersion,
            UnsupportedExtension,
        ) as error:
            what = f"{directory / 'state.git'} is no repository that can be read: {error}"
            raise StoreDamaged(what) from error

    @property
    def object_format(self) -> str:
        """`sha1` or `sha256`."""
        return self._repo.object_format.name

    def batch(self) -> Batch:
        """A new, empty batch of objects to write."""
        return Batch(self.objects)

    @property
    def is_in_place(self) -> bool:
        """Whether the repository that was opened is still the one at its path."""
        return _place(self.path) == self._place

    def check_place(self) -> None:
        """Refuse to go on in a repository that was deleted or moved, or in another one there.

        Raises:
            StoreGone: it was.
        """
        if not self.is_in_place:
            raise StoreGone(
                f"{self.path} was deleted or moved while this process was using it"
            )

    def read_ref(self, name: str) -> str | None:
        """The commit that a ref names, or None if there is no such ref; see `Refs.read`.

        Raises:
            StoreGone: the repository is not there any more.
        """
        found = self._refs.read(name)
        self.check_place()
        return found

    def refs(self, prefix: str) -> dict[str, str]:
        """The refs below `prefix` (which ends in `/`), by the rest of their names."""
        return self._refs.below(prefix)

    def set_ref(
        self, name: str, old: str | None, new: str, batch: Batch | None = None
    ) -> None:
        """Move a ref from `old` (None: it must not exist) to `new`, durably.

        The caller holds `lock`, and has read `old` under it.

        Args:
            name: The ref.
            old: What it names.
            new: What it shall name.
            batch: Objects to be made durable before, and released after; None if they are already.

        Raises:
            StorageFailed: it was not moved.
        """
        batch = batch or self.batch()
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
        """Hold the lock, and say in our words what the disk refuses meanwhile."""
        try:
            with self.lock.held():
                self.check_place()
                yield
        except FileNotFoundError as error:
            self.check_place()
            raise StorageFailed(
                f"The disk refused: {error.strerror or error}"
            ) from error
        except OSError as error:
            raise StorageFailed(
                f"The disk refused: {error.strerror or error}"
            ) from error

    def is_ancestor(self, commit: str, tip: str) -> bool:
        """Whether `tip` contains `commit` by any of its parents; False without git.

        Raises:
            StorageFailed: git can't tell.
        """
        asked = ["merge-base", "--is-ancestor", commit, tip]
        try:
            done = run_git(
                asked, cwd=self.path, git_dir=self.path, timeout=_WALK_SECONDS
            )
        except GitMissing:
            return False
        if done.code not in {0, 1}:
            raise StorageFailed(
                f"git can't tell whether {tip} contains {commit}"
            )
        return done.ok

    def damage(self) -> str | None:
        """What git finds missing or broken of what refs need; None if it takes too long.

        An object that git itself would have written differently is not damage, though `git fsck`
        reports it. If git has no time to verify the packs of a large store, only missing objects
        are found.
        """
        connected = [
            "fsck",
            "--connectivity-only",
            "--no-dangling",
            "--no-progress",
        ]
        packs = [
            str(file) for file in sorted(self.path.glob("objects/pack/*.idx"))
        ]
        found = self._looked(connected)
        if found or found is None or not packs:
            return found
        return self._looked(["verify-pack", *packs]) or ""

    def _looked(self, asking: list[str]) -> str | None:
        """Git's report of what is wrong; None if git does not end in time or is missing."""
        try:
            done = run_git(
                asking, cwd=self.path, git_dir=self.path, timeout=_LOOK_SECONDS
            )
        except GitMissing:
            return None
        if done.code is None:
            return None
        said = (done.err + done.out.decode(errors="replace")).strip()
        return "" if done.ok else readable(said or asking[0])

    def settle_packs(self) -> None:
        """Make the names of packs durable that git has fetched; it syncs no directories."""
        sync_directory(self.path / "objects" / "pack")

    def close(self) -> None:
        """Close files."""
        directory, self._directory = self._directory, None
        if directory is not None:
            os.close(directory)
        self._database.close()
        self._repo.close()

    def _files_backend(self) -> DiskRefsContainer:
        refs = self._repo.refs
        if not isinstance(refs, DiskRefsContainer):
            raise StorageFailed(  # reftable's compare-and-set in dulwich is not atomic
                f"{self.path} does not keep its refs in files",
                then="Move it away; the next start makes a new one from the remote",
            )
        return refs


def _create(path: Path, object_format: Callable[[], str], branch: str) -> None:
    """Make the repository under another name and rename it: it is there whole or not at all."""
    if (path / "HEAD").exists():
        return
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix="new-"))
    try:
        with Repo.init_bare(
            str(temporary), object_format=object_format()
        ) as repo:
            config = repo.get_config()
            for (section, name), value in _CONFIG.items():
                config.set((section,), name, value)
            config.write_to_path()
            repo.refs.set_symbolic_ref(
                Ref(b"HEAD"), Ref(b"refs/heads/" + branch.encode())
            )
        sync_tree(temporary)
        temporary.chmod(0o777 & ~_umask())
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_directory(path.parent)
    sync_directory(path.parent.parent)


def _place(path: Path) -> tuple[int, int] | None:
    """Device and inode of a directory; None if there is no such directory."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _holds_nothing(path: Path) -> bool:
    """Whether a directory has no files, at whatever depth: nothing in it can be lost."""
    return not any(names for _, _, names in os.walk(path))


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
