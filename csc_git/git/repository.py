"""Our own repository: a bare one beside the user's, that only csc-git writes.

It stands in `<git-common-dir>/csc/state.git`. Inside the user's own object store the branch would
be at the mercy of their `gc --prune=now`, `pack-refs`, `fetch --prune` and `push --mirror`;
beside it, nothing of theirs can touch ours, and nothing of ours touches theirs.

Every change of a ref happens under `lock`, by compare-and-set, with the objects on disk before it
and the ref's directory after it. A lock file of git's own that a killed writer left behind is
removed while holding `lock`: nobody else can be writing.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from dulwich.file import FileLocked
from dulwich.objects import ZERO_SHA, ObjectID
from dulwich.refs import DiskRefsContainer, Ref
from dulwich.repo import Repo

from csc_git.errors import StorageFailed, StoreDamaged
from csc_git.git.child import GitMissing, run_git
from csc_git.git.durable import sync_directory, sync_tree
from csc_git.git.lock import FileLock
from csc_git.git.objects import Objects

LOOSE_LIMIT: Final = 3000
PACK_LIMIT: Final = 40
_GC_SECONDS: Final = 600.0
_ID: Final = re.compile(rb"[0-9a-f]{40}|[0-9a-f]{64}")

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
        self.lock = FileLock(directory / "write.lock")
        self._repo = Repo(str(self.path))
        self._refs = self._files_backend()
        self.objects = Objects(self._repo.object_store)

    @classmethod
    def open(cls, directory: Path, object_format: Callable[[], str], branch: str) -> "Repository":
        """Open the repository, making it first if it isn't there.

        Args:
            directory: The `csc` directory, made if need be.
            object_format: Asked only for a new repository: `sha1` or `sha256`.
            branch: What `HEAD` of a new one names.

        Raises:
            StorageFailed: the disk refused.
        """
        try:
            if (directory / "state.git").exists() and not (directory / "state.git/HEAD").exists():
                raise StoreDamaged(f"{directory / 'state.git'} is no Git repository any more")
            if not (directory / "state.git" / "HEAD").exists():
                directory.mkdir(exist_ok=True)
                with FileLock(directory / "write.lock").held():
                    _create(directory / "state.git", object_format, branch)
            return cls(directory)
        except OSError as error:
            raise StorageFailed(f"{directory} can't be used: {error.strerror}") from error

    @property
    def object_format(self) -> str:
        """`sha1` or `sha256`."""
        return self._repo.object_format.name

    def read_ref(self, name: str) -> str | None:
        """The commit that a ref names, or None if there is no such ref.

        Raises:
            OSError: it can't be told. dulwich takes a ref that can't be read for one that isn't
                there, and the store would look empty.
            StoreDamaged: the file holds no id.
        """
        try:
            value = (self.path / name).read_bytes().strip()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            value = self._refs.get_packed_refs().get(Ref(name.encode()), b"")
            return value.decode() or None
        if not _ID.fullmatch(value):
            raise StoreDamaged(f"The ref {name} holds no id")
        return value.decode()

    def refs(self, prefix: str) -> dict[str, str]:
        """The refs below `prefix` (which ends in `/`), by the rest of their names."""
        packed = (ref.decode() for ref in self._refs.get_packed_refs())
        names = {*self._loose(prefix), *(name for name in packed if name.startswith(prefix))}
        found = {name.removeprefix(prefix): self.read_ref(name) for name in names}
        return {name: target for name, target in found.items() if target}

    def _loose(self, prefix: str) -> Iterator[str]:
        for directory, _, files in os.walk(self.path / prefix, onerror=_unless_missing):
            for file in files:
                if not file.endswith(".lock"):
                    yield Path(directory, file).relative_to(self.path).as_posix()

    def set_ref(self, name: str, old: str | None, new: str) -> None:
        """Move a ref from `old` (None: it must not exist) to `new`, durably.

        The caller holds `lock`, has read `old` under it, and has flushed the objects.

        Raises:
            StorageFailed: it was not moved. dulwich says only that, not why.
        """
        ref, target = Ref(name.encode()), ObjectID(new.encode())
        expected = ObjectID(old.encode()) if old else self._no_object
        if not self._unblocked(lambda: self._refs.set_if_equals(ref, expected, target)):
            raise StorageFailed(f"The ref {name} can't be moved from {old or 'nothing'}")
        try:
            self._sync_directories(name, made=old is None)
        except OSError as error:
            raise StorageFailed(
                f"The disk refused to confirm {name}: {error.strerror}",
                safe="The edit is there, as far as this can be told without the disk's word",
                then="Mend the disk, then read what stands there before you repeat the call",
            ) from error

    def delete_ref(self, name: str) -> None:
        """Remove a ref. The caller holds `lock`."""
        ref = Ref(name.encode())
        self._unblocked(lambda: self._refs.remove_if_equals(ref, None))

    def _sync_directories(self, name: str, *, made: bool) -> None:
        """Make a ref's name durable, and those of the directories that were made for it."""
        directory = (self.path / name).parent
        sync_directory(directory)
        while made and directory != self.path:
            directory = directory.parent
            sync_directory(directory)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock, and say in our words what the disk refuses meanwhile."""
        try:
            with self.lock.held():
                yield
        except OSError as error:
            raise StorageFailed(f"The disk refused: {error.strerror or error}") from error

    def is_ancestor(self, commit: str, tip: str) -> bool:
        """Whether `tip` contains `commit` by any of its parents; False without git."""
        with suppress(GitMissing):
            asked = ["merge-base", "--is-ancestor", commit, tip]
            return run_git(asked, cwd=self.path, git_dir=self.path, timeout=_GC_SECONDS).ok
        return False

    def maintain(self) -> None:
        """Pack objects once loose ones or packs are many, by `git gc`.

        It never touches refs, and drops only what has been unreachable for two weeks, so writers
        need not wait for it. Whoever calls it sees to it that nobody else does meanwhile.
        """
        store = self._repo.object_store
        if store.count_loose_objects() <= LOOSE_LIMIT and store.count_pack_files() <= PACK_LIMIT:
            return
        settings = [("gc.packRefs", "false"), ("gc.pruneExpire", "2.weeks.ago")]
        self._run(["gc", "--quiet"], settings)
        self.maintain_log()

    def maintain_log(self) -> None:
        """Write git's commit-graph, with the filters of changed paths that make its log fast.

        It is git's own and keyed by commits, which never change: it can be behind, not wrong.
        """
        self._run(["commit-graph", "write", "--reachable", "--changed-paths", "--no-progress"])

    def _run(self, command: list[str], settings: Sequence[tuple[str, str]] = ()) -> None:
        with suppress(GitMissing):
            run_git(command, cwd=self.path, git_dir=self.path, config=settings, timeout=_GC_SECONDS)

    def close(self) -> None:
        """Close files."""
        self.objects.close()
        self._repo.close()

    @property
    def _no_object(self) -> ObjectID:
        # With None in its place, dulwich's compare-and-set is unconditional.
        return ZERO_SHA

    def _files_backend(self) -> DiskRefsContainer:
        refs = self._repo.refs
        if not isinstance(refs, DiskRefsContainer):
            raise StorageFailed(  # reftable's compare-and-set in dulwich is not atomic
                f"{self.path} does not keep its refs in files",
                then="Move it away; the next start makes a new one from the remote",
            )
        return refs

    @staticmethod
    def _unblocked(change: Callable[[], bool]) -> bool:
        try:
            return change()
        except FileLocked as stale:
            os.unlink(stale.lockfilename)  # noqa: PTH108  the name may be bytes
            return change()


def _create(path: Path, object_format: Callable[[], str], branch: str) -> None:
    """Make the repository under another name and rename it: it is there whole or not at all."""
    if (path / "HEAD").exists():
        return
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix="new-"))
    try:
        with Repo.init_bare(str(temporary), object_format=object_format()) as repo:
            config = repo.get_config()
            for (section, name), value in _CONFIG.items():
                config.set((section,), name, value)
            config.write_to_path()
            repo.refs.set_symbolic_ref(Ref(b"HEAD"), Ref(b"refs/heads/" + branch.encode()))
        sync_tree(temporary)
        temporary.chmod(0o777 & ~_umask())
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_directory(path.parent)
    sync_directory(path.parent.parent)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
