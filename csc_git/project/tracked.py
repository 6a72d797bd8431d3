"""Tracked files: list the files that the user's repository tracks.

The patterns of claims are compared with these files.
"""

from typing import Final

from dulwich.repo import Repo

from csc_git.errors import GitMissing, StoreError
from csc_git.processes.git import run_git
from csc_git.project.project import Project
from csc_git.text import readable

_SECONDS: Final = 60.0


def tracked_files(project: Project) -> list[str]:
    """List the paths of the files in the index, or in HEAD if the repository is bare.

    The paths begin at the top directory.

    Raises:
        StoreError: git failed.
    """
    command = [
        "ls-tree",
        "-rz",
        "--name-only",
        "HEAD",
    ]
    if project.has_work_tree:
        command = ["ls-files", "-z"]
    try:
        answer = run_git(
            command,
            cwd=project.place,
            timeout=_SECONDS,
        )
    except GitMissing:
        return _from_index(project)
    if not answer.ok and project.has_work_tree:
        reason = readable(answer.err)
        raise StoreError(f"git can't list the tracked files: {reason}")
    names = answer.out.split(b"\0")
    return [_decoded(name) for name in names if name]


def _from_index(project: Project) -> list[str]:
    """List the files in the index without git."""
    with Repo.discover(str(project.place)) as repo:
        index = repo.open_index()
        return [_decoded(name) for name in index]


def _decoded(name: bytes) -> str:
    return name.decode(errors="surrogateescape")
