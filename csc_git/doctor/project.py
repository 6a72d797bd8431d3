"""Check the project: its repository, git, the user's e-mail address, and space on the disk."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.probe import namesakes
from csc_git.doctor.finding import Finding, doubtful, fine, wrong
from csc_git.processes.git import git_version
from csc_git.project.project import Project
from csc_git.text import count

OLDEST_GIT: Final = (2, 31)
"""The oldest git that works. Earlier versions ignore `GIT_CONFIG_COUNT`."""

_ROOM: Final = 200 << 20


def check_git() -> Iterator[Finding]:
    """Is git installed, and is it new enough?"""
    version = git_version()
    needed = _dotted(OLDEST_GIT)
    if version is None:
        yield wrong(
            "git",
            "There is no git on PATH, and csc-git needs git to reach the remote",
            f"Install git {needed} or later, or put it on the PATH of your MCP client",
        )
        return
    found = _dotted(version)
    if version < OLDEST_GIT:
        yield wrong(
            "git",
            f"git {found} is too old",
            f"Install git {needed} or later",
        )
    else:
        yield fine("git", f"version {found}")


def check_project(project: Project) -> Iterator[Finding]:
    """What kind of repository is this? Is the user's e-mail address known? Is the disk full?"""
    kind = _kind(project)
    yield fine("repository", f"{project.top} ({kind})")
    if project.email is None:
        yield doubtful(
            "identity",
            "git does not know your e-mail address; your edits have csc-git@<machine> instead",
            "git config --global user.email YOU@EXAMPLE.COM",
        )
    else:
        yield fine("identity", project.email)
    disk = shutil.disk_usage(project.common_dir)
    if disk.free < _ROOM:
        megabytes = disk.free >> 20
        yield doubtful(
            "disk",
            f"Only {megabytes} MB are free on the disk of {project.common_dir}",
            "Free some space; what is stored is safe",
        )


def check_machine(coordinator: Coordinator) -> Iterator[Finding]:
    """Does another clone of the project have the same machine name as this one?"""
    name = coordinator.clone.machine
    others = namesakes(coordinator)
    if not others:
        yield fine("machine", name)
        return
    clones = count(others, "other clone")
    yield doubtful(
        "machine",
        f"{name}, which is also the name of {clones} of this project",
        "To give this clone another name: git config csc.machine NAME",
    )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _kind(project: Project) -> str:
    """Describe the kind of a project's repository.

    If the git directory is outside the work tree, the description names that directory.
    """
    if not project.has_work_tree:
        return "bare"
    if project.common_dir.is_relative_to(project.top):
        return "clone"
    git_dir = project.top / ".git"
    if git_dir.is_file():
        # gitrepository-layout(5): the file contains the path of the git directory
        content = git_dir.read_text(encoding="utf-8")
        git_dir = Path(content.strip())
    if git_dir.parent.name == "worktrees":
        return f"worktree; shared by all worktrees: {project.common_dir}"
    return f"clone; its git directory: {project.common_dir}"
