"""Read the history of csc-git's repository with `git log`, which is fast on long histories.

git is fast because of its commit-graph, which has filters of changed paths. Maintenance of the
repository writes the commit-graph. The commit-graph contains data about commits, and commits never
change. So the commit-graph can be missing, and it can lack new commits, but it can't be wrong.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from csc_git.errors import GitMissing, InputError
from csc_git.processes.git import run_git, stream_git

ChangedFile = tuple[bytes, str | None, str | None]
"""A file that differs between two commits: its path, its first blob's id, its second blob's id."""

_SECONDS: Final = 30.0
"""Time limit of one call of git, in seconds."""

_OURS: Final = (
    "--no-mailmap",
    "--no-show-signature",
    "--no-follow",
)
"""Options for `git log`. With them, git prints the names that the commits contain and runs no other
program, regardless of the user's configuration and of a `.mailmap` file on the branch.
"""


def log_lines(
    git_dir: Path,
    arguments: Sequence[str],
) -> Iterator[str]:
    """Yield the lines that `git log` prints.

    The lines may contain text that other people wrote, so they must be escaped before they are
    shown on a terminal.

    Args:
        git_dir: The repository.
        arguments: Arguments of `git log`: options, commits and paths.

    Raises:
        GitMissing: there is no git on PATH.
        InputError: git does not accept the arguments.
    """
    try:
        yield from stream_git(["log", *_OURS, *arguments], git_dir)
    except ValueError as error:
        raise InputError(f"git log failed: {error}") from None


def commit_ids(
    git_dir: Path,
    tip: str,
    *,
    paths: Sequence[str] = (),
    author: str | None = None,
    after: str | None = None,
) -> Iterator[str]:
    """Yield the ids of `tip` and its ancestors, newest first.

    Args:
        git_dir: The repository.
        tip: Full id of the commit to begin with.
        paths: Yield only commits that change one of these paths. The paths begin at the top
            directory. Empty for all commits.
        author: Yield only commits whose author's name ends with this text. If None, the commits of
            all authors are yielded.
        after: Leave out this commit and its ancestors. If None, no commits are left out.

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
    """List the files below a directory that differ between two commits.

    Args:
        git_dir: The repository.
        before: Id of the first commit. If None, all files of the second commit are listed.
        after: Id of the second commit.
        directory: Path of the directory from the top.

    Returns:
        For each file: its path in the directory, the id of its blob in the first commit, and the id
        of its blob in the second commit. An id is None if the commit does not have the file. If git
        fails, the result is None.
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
    """Run git and return its output; None if git fails or is missing."""
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
    """Parse the lines of a raw diff; see "RAW OUTPUT FORMAT" in git-diff-tree's manual."""
    for found in _DIFFERING.finditer(output):
        before, after, path = found.groups()
        yield path, _blob(before), _blob(after)


def _blob(object_id: bytes) -> str | None:
    """Return the id of a blob in a raw diff; None if all digits are 0: there is no blob."""
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
    """Count a commit and all its ancestors.

    Args:
        git_dir: The repository.
        tip: Full id of the commit.

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
    """Count the files below a directory. Files with names that csc-git can't have made are ignored.

    Args:
        git_dir: The repository.
        commit: Id of the commit whose files are counted.
        directory: Path of the directory from the top.

    Returns:
        The number of files; None if git fails.
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
        name: The commit's id, which may be abbreviated.

    Returns:
        The full id; None if no commit matches the given id, or if several match it.
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
