"""The log of our repository, by `git log`: fast on long histories, without an index of our own.

It is fast by git's commit-graph with its filters of changed paths, which is written when the
repository is maintained. It is keyed by commits, which never change, so it can be missing or behind
but not wrong.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from csc_git.errors import GitMissing, InputError
from csc_git.processes.git import run_git, stream_git

ChangedFile = tuple[bytes, str | None, str | None]
"""Path of a file, its blob in one commit and its blob in another."""

_SECONDS: Final = 30.0
"""Time limit of one call of git."""

_OURS: Final = (
    "--no-mailmap",
    "--no-show-signature",
    "--no-follow",
)
"""Options under which names are those of the commits and no other program is run, independently of
the user's configuration and of a `.mailmap` on the branch.
"""


def log_lines(
    git_dir: Path,
    arguments: Sequence[str],
) -> Iterator[str]:
    """Yield what `git log` prints, line by line.

    It may contain text that others wrote, so it must be escaped before a terminal shows it.

    Args:
        git_dir: The repository.
        arguments: Options, commits and paths of `git log`.

    Raises:
        GitMissing: there is no git on PATH.
        InputError: git refuses the arguments.
    """
    try:
        yield from stream_git(["log", *_OURS, *arguments], git_dir)
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
    """Yield the ids of commits from `tip` back, newest first.

    Args:
        git_dir: The repository.
        tip: A commit's full id.
        paths: Only commits that change one of these, from the top; empty for all commits.
        author: Only commits by an author whose name ends in this; None for all authors.
        after: Without this commit and its ancestors; None for all commits.

    Raises:
        GitMissing: there is no git on PATH.
    """
    arguments = ["--format=%H", "--first-parent"]
    if author is not None:
        arguments += ["--fixed-strings", f"--author={author} <"]
    arguments.append(tip)
    if after is not None:
        arguments.append(f"^{after}")
    arguments.append("--")
    for path in paths:
        arguments.append(f":(literal){path}")
    for line in log_lines(git_dir, arguments):
        yield line.strip()


def changed_files(
    git_dir: Path,
    before: str | None,
    after: str,
    directory: str,
) -> Iterator[ChangedFile] | None:
    """List the files below a directory in which two commits differ; None if git fails.

    Args:
        git_dir: The repository.
        before: One commit; None to list all files of the other one.
        after: The other commit.
        directory: Path of the directory from the top.

    Returns:
        The path of each file from the directory, and its blob in either commit; None in place of a
        blob where the file isn't there.
    """
    commits = ["--root", after]
    if before is not None:
        commits = [before, after]
    printed = _printed(
        git_dir,
        "diff-tree",
        "-r",
        "-z",
        "--raw",
        "--no-abbrev",
        "--no-renames",
        "--no-commit-id",
        f"--relative={directory}/",
        *commits,
        "--",
    )
    if printed is None:
        return None
    return _differing(printed)


def _printed(git_dir: Path, *command: str) -> bytes | None:
    """Return what git prints; None if it fails or is missing."""
    try:
        done = run_git(
            command,
            cwd=git_dir,
            git_dir=git_dir,
            timeout=_SECONDS,
        )
    except GitMissing:
        return None
    if not done.ok:
        return None
    return done.out


def _differing(output: bytes) -> Iterator[ChangedFile]:
    """Read the lines of a raw diff; see "RAW OUTPUT FORMAT" in git-diff-tree's manual."""
    for found in _DIFFERING.finditer(output):
        before, after, path = found.groups()
        yield path, _blob(before), _blob(after)


def _blob(object_id: bytes) -> str | None:
    """Return the id of a blob in a raw diff; None for zeros, which mean that there is none."""
    if not object_id.strip(b"0"):
        return None
    return object_id.decode()


_DIFFERING: Final = re.compile(
    rb":[0-7]+ [0-7]+ ([0-9a-f]+) ([0-9a-f]+) [A-Z][0-9]*\0([^\0]*)\0"
)


def count_commits(
    git_dir: Path,
    tip: str,
) -> int:
    """Count the commits that `tip` contains.

    Args:
        git_dir: The repository.
        tip: A commit's full id.

    Raises:
        GitMissing: there is no git on PATH.
    """
    lines = stream_git(["rev-list", "--count", tip], git_dir)
    count = next(iter(lines))
    return int(count)


_OUR_FILE: Final = re.compile(
    rb"(?:\A|\0)100644 blob [0-9a-f]+\t(?:[a-z0-9@_+=~-]+/)+[a-z0-9@_+=.-]+\.json(?=\0)"
)


def count_files(
    git_dir: Path,
    commit: str,
    directory: str,
) -> int | None:
    """Count the files below a directory whose names csc-git may have made; None if git fails.

    Args:
        git_dir: The repository.
        commit: Where to look.
        directory: Path of the directory from the top.
    """
    printed = _printed(
        git_dir,
        "ls-tree",
        "-rz",
        commit,
        "--",
        f"{directory}/",
    )
    if printed is None:
        return None
    names = _OUR_FILE.findall(printed)
    return len(names)


def resolve(
    git_dir: Path,
    name: str,
) -> str | None:
    """Find the full id of a commit.

    Args:
        git_dir: The repository.
        name: Its id, which may be abbreviated.

    Returns:
        The full id; None if there is no such commit, or more than one.
    """
    asked = [
        "rev-parse",
        "--verify",
        "-q",
        f"{name}^{{commit}}",
    ]
    try:
        lines = list(stream_git(asked, git_dir))
    except (GitMissing, ValueError):
        return None
    if not lines:
        return None
    return lines[0].strip()
