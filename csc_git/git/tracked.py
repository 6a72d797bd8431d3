"""Tracked files: the files of the user's repository, which patterns are matched with."""

from typing import Final

from dulwich.repo import Repo

from csc_git.errors import StoreError
from csc_git.git.child import GitMissing, run_git
from csc_git.git.project import Project
from csc_git.text import readable

_SECONDS: Final = 60.0


def tracked_files(project: Project) -> list[str]:
    """Paths of the files in the index, or of a bare repository's HEAD, from the top.

    Raises:
        StoreError: git can't tell.
    """
    index, head = ["ls-files", "-z"], ["ls-tree", "-rz", "--name-only", "HEAD"]
    try:
        answer = run_git(
            index if project.has_work_tree else head,
            cwd=project.place,
            timeout=_SECONDS,
        )
    except GitMissing:
        return _from_index(project)
    if not answer.ok and project.has_work_tree:
        raise StoreError(
            f"git can't list the tracked files: {readable(answer.err)}"
        )
    return [
        name.decode(errors="surrogateescape")
        for name in answer.out.split(b"\0")
        if name
    ]


def _from_index(project: Project) -> list[str]:
    with Repo.discover(str(project.place)) as repo:
        return [
            name.decode(errors="surrogateescape") for name in repo.open_index()
        ]
