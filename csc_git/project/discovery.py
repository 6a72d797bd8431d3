"""Find the user's repository and read its configuration.

This module uses git. If there is no git, this module uses dulwich.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from dulwich.errors import NotGitRepository
from dulwich.repo import Repo

from csc_git.errors import (
    ForeignRepository,
    GitMissing,
    InvalidSetting,
    NotARepository,
    SetupError,
)
from csc_git.processes.git import run_git
from csc_git.project.project import ConfigLine, Project
from csc_git.text import readable

_LIST: Final = (
    "config",
    "--list",
    "--null",
    "--show-scope",
    "--includes",
)


def discover(start: Path) -> Project:
    """Find the repository at or above a directory.

    Raises:
        NotARepository: there is no repository, or the repository can't be written.
        ForeignRepository: the repository belongs to another user. git would refuse this repository
            too.
        InvalidSetting: git can't read its configuration.
    """
    try:
        found = _ask_git(start)
    except GitMissing:
        found = _ask_dulwich(start)
    if not os.access(found.common_dir, os.W_OK):
        raise NotARepository(
            f"You have no write permission for {found.common_dir}",
            then=(
                "Give yourself write permission for it, "
                "or clone the repository yourself"
            ),
        )
    return found


def _ask_git(start: Path) -> Project:
    answer = run_git(
        [
            "rev-parse",
            "--path-format=absolute",
            "--git-common-dir",
            "--absolute-git-dir",
            "--show-object-format",
        ],
        cwd=start,
    )
    if not answer.ok:
        raise _refusal(start, answer.err)
    common_dir, git_dir, object_format, *_ = _decoded(answer.out).split("\n")
    work_tree = _work_tree(start)
    lines = run_git(_LIST, cwd=start)
    if not lines.ok:
        raise _unreadable_config(lines.err)
    config = _lines(lines.out)
    return Project(
        common_dir=Path(common_dir),
        top=Path(work_tree or git_dir),
        object_format=object_format,
        config=tuple(config),
        has_work_tree=bool(work_tree),
    )


def _work_tree(start: Path) -> str:
    """Return the path of the top directory of the work tree; empty if there is no work tree."""
    answer = run_git(
        [
            "rev-parse",
            "--path-format=absolute",
            "--show-toplevel",
        ],
        cwd=start,
    )
    if not answer.ok:
        return ""
    return _decoded(answer.out).rstrip("\n")


def configuration(git_dir: Path) -> list[ConfigLine]:
    """Return the configuration that git uses in a repository; an empty list if git fails."""
    try:
        lines = run_git(
            _LIST,
            cwd=git_dir,
            git_dir=git_dir,
        )
    except GitMissing:
        return []
    if not lines.ok:
        return []
    return list(_lines(lines.out))


def _refusal(
    start: Path,
    stderr: str,
) -> SetupError:
    start = start.resolve()
    if "bad config" in stderr:
        return _unreadable_config(stderr)
    if "dubious ownership" in stderr:
        return ForeignRepository(
            f"The repository at {start} belongs to another user, so git refuses to use it",
            then=(
                "If you trust the repository: "
                "git config --global --add safe.directory <its path>"
            ),
        )
    reason = readable(stderr)
    return NotARepository(f"git finds no repository at {start}: {reason}")


def _unreadable_config(stderr: str) -> InvalidSetting:
    reason = readable(stderr)
    return InvalidSetting(
        f"git can't read its configuration: {reason}",
        then="Repair the file that git's message names, then start again",
    )


def _lines(output: bytes) -> Iterator[ConfigLine]:
    """Parse the output of `git config --list`: after each scope come a name and its value."""
    fields = _decoded(output).split("\0")
    scopes = fields[::2]
    lines = fields[1::2]
    for scope, line in zip(scopes, lines, strict=False):
        name, newline, value = line.partition("\n")
        if not newline:
            value = "true"
        yield ConfigLine(scope, name, value)


def _decoded(output: bytes) -> str:
    return output.decode(errors="surrogateescape")


def _ask_dulwich(start: Path) -> Project:
    """Find the repository with dulwich. Without git, only local work is possible.

    Fewer settings are read than with git.
    """
    try:
        repo = Repo.discover(str(start))
    except NotGitRepository:
        raise NotARepository(f"There is no Git repository at {start}") from None
    with repo:
        common = Path(repo.commondir()).resolve()
        if _is_foreign(common):
            raise ForeignRepository(
                f"The repository at {start} belongs to another user",
                then="Clone the repository yourself and work in your clone",
            )
        return Project(
            common_dir=common,
            top=Path(repo.path).resolve(),
            object_format=repo.object_format.name,
            config=tuple(_dulwich_lines(repo)),
            has_work_tree=not repo.bare,
        )


def _is_foreign(directory: Path) -> bool:
    """Check whether a directory belongs to another user; False if the system has no users."""
    if not hasattr(os, "geteuid"):
        return False
    owner = directory.stat().st_uid
    return owner != os.geteuid()


def _dulwich_lines(repo: Repo) -> Iterator[ConfigLine]:
    """Read the configuration files that dulwich finds. The repository's own file is read last."""
    files = repo.get_config_stack().backends
    for file in reversed(files):
        for section in file.sections():
            values: Mapping[bytes, bytes] = dict(file.items(section))
            for name, value in values.items():
                full_name = _setting_name((*section, name))
                text = value.decode(errors="replace")
                yield ConfigLine("unknown", full_name, text)


def _setting_name(parts: Sequence[bytes]) -> str:
    """Join the parts of a setting's name. As in git, the first and last part become lower case."""
    words = [part.decode(errors="replace") for part in parts]
    words[0] = words[0].lower()
    words[-1] = words[-1].lower()
    return ".".join(words)
