"""The log of our repository, by `git log`: fast on long histories, and nothing of ours to keep.

What makes it fast (git's commit-graph with its filters of changed paths) is git's own, written when
the repository is maintained, and keyed by commits that never change: it can be missing or behind,
but not wrong.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from csc_git.errors import InputError, StoreError
from csc_git.git.child import GitMissing, run_git, stream_git

_SECONDS: Final = 30.0
_OURS: Final = ("--no-mailmap", "--no-show-signature", "--no-follow")
"""Whatever is configured, and whatever `.mailmap` stands on the branch: names are those of the
commits, and no other program is run.
"""


def log_lines(git_dir: Path, arguments: Sequence[str]) -> Iterator[str]:
    """What `git log` prints, line by line; what others wrote may be in it, so not for a terminal.

    Raises:
        StoreError: there is no git on PATH.
        InputError: git refuses the arguments.
    """
    try:
        yield from stream_git(["log", *_OURS, *arguments], git_dir)
    except GitMissing:
        raise _no_git() from None
    except ValueError as error:
        raise InputError(f"git log refused: {error}") from None


def commit_ids(
    git_dir: Path,
    tip: str,
    *,
    paths: Sequence[str] = (),
    author: str | None = None,
    after: str | None = None,
) -> Iterator[str]:
    """Commits from `tip` back, newest first.

    Args:
        git_dir: The repository.
        tip: A commit's full id.
        paths: Only those that change one of these, from the top; all if none are given.
        author: Only those by an author whose name ends in this.
        after: Not this commit and what it contains.

    Raises:
        StoreError: there is no git on PATH.
    """
    by = (
        ["--fixed-strings", f"--author={author} <"]
        if author is not None
        else []
    )
    but = [f"^{after}"] if after is not None else []
    where = (
        ["--", *(f":(literal){path}" for path in paths)] if paths else ["--"]
    )
    for line in log_lines(
        git_dir, ["--format=%H", "--first-parent", *by, tip, *but, *where]
    ):
        yield line.strip()


def changed_files(
    git_dir: Path, before: str | None, after: str, directory: str
) -> Iterator[tuple[bytes, str | None, str | None]] | None:
    """The files below a directory in which two commits differ; None if git fails.

    Args:
        git_dir: The repository.
        before: The one commit; None: nothing is compared with it, and all files differ.
        after: The other one.
        directory: Its path from the top.

    Returns:
        The path of each from there, and its blob in either commit; None where it isn't there.
    """
    commits = ["--root", after] if before is None else [before, after]
    options = [
        "-r",
        "-z",
        "--raw",
        "--no-abbrev",
        "--no-renames",
        "--no-commit-id",
    ]
    try:
        found = run_git(
            ["diff-tree", *options, f"--relative={directory}/", *commits, "--"],
            cwd=git_dir,
            git_dir=git_dir,
            timeout=_SECONDS,
        )
    except GitMissing:
        return None
    return _differing(found.out) if found.ok else None


def _differing(output: bytes) -> Iterator[tuple[bytes, str | None, str | None]]:
    """The lines of a raw diff; see "RAW OUTPUT FORMAT" in git-diff-tree's manual."""
    for found in _DIFFERING.finditer(output):
        yield found[3], _blob(found[1]), _blob(found[2])


def _blob(object_id: bytes) -> str | None:
    """A blob of a raw diff; None for the zeros that stand where there is none."""
    return object_id.decode() if object_id.strip(b"0") else None


_DIFFERING: Final = re.compile(
    rb":[0-7]+ [0-7]+ ([0-9a-f]+) ([0-9a-f]+) [A-Z][0-9]*\0([^\0]*)\0"
)


def count_commits(git_dir: Path, tip: str) -> int:
    """How many commits `tip` contains.

    Raises:
        StoreError: there is no git on PATH.
    """
    try:
        return int(
            next(iter(stream_git(["rev-list", "--count", tip], git_dir)))
        )
    except GitMissing:
        raise _no_git() from None


_OUR_FILE: Final = re.compile(
    rb"(?:\A|\0)100644 blob [0-9a-f]+\t(?:[a-z0-9@_+=~-]+/)+[a-z0-9@_+=.-]+\.json(?=\0)"
)


def count_files(git_dir: Path, commit: str, directory: str) -> int | None:
    """Count the files below a directory whose names csc-git may have made; None if git fails.

    Args:
        git_dir: The repository.
        commit: Where to look.
        directory: Its path from the top.
    """
    try:
        found = run_git(
            ["ls-tree", "-rz", commit, "--", f"{directory}/"],
            cwd=git_dir,
            git_dir=git_dir,
            timeout=_SECONDS,
        )
    except GitMissing:
        return None
    if not found.ok:
        return None
    return len(_OUR_FILE.findall(found.out))


def resolve(git_dir: Path, name: str) -> str | None:
    """The full id of an abbreviated commit; None if there is none, or more than one."""
    try:
        lines = list(
            stream_git(
                ["rev-parse", "--verify", "-q", f"{name}^{{commit}}"], git_dir
            )
        )
    except (GitMissing, ValueError):
        return None
    return lines[0].strip() if lines else None


def _no_git() -> StoreError:
    return StoreError(
        "There is no git on PATH", then="Install it; the data are safe"
    )
