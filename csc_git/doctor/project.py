"""The project: is there a repository, a git, an identity, room on the disk?"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.probe import namesakes
from csc_git.doctor.finding import Finding, doubtful, fine, wrong
from csc_git.git.child import git_version
from csc_git.git.project import Project
from csc_git.text import count

OLDEST_GIT: Final = (2, 31)
"""Before that, git takes no configuration from `GIT_CONFIG_COUNT`."""

_ROOM: Final = 200 << 20


def check_git() -> Iterator[Finding]:
    """Is there a git, and does it know what we need?"""
    version = git_version()
    needed = ".".join(map(str, OLDEST_GIT))
    if version is None:
        advice = f"Install git {needed} or later, or put it on the PATH of your MCP client"
        yield wrong(
            "git",
            "There is no git on PATH; only git talks to the remote",
            advice,
        )
    elif version < OLDEST_GIT:
        found = ".".join(map(str, version))
        yield wrong(
            "git", f"git {found} is too old", f"Install git {needed} or later"
        )
    else:
        yield fine("git", f"version {'.'.join(map(str, version))}")


def check_project(project: Project) -> Iterator[Finding]:
    """What kind of repository it is, and whose commits it makes."""
    yield fine("repository", f"{project.top} ({_kind(project)})")
    if project.email is None:
        message = "git knows no e-mail address of yours; edits carry csc-git@<machine> instead"
        yield doubtful(
            "identity",
            message,
            "git config --global user.email YOU@EXAMPLE.COM",
        )
    else:
        yield fine("identity", project.email)
    free = shutil.disk_usage(project.common_dir).free
    if free < _ROOM:
        message = (
            f"Only {free >> 20} MB are free on the disk of {project.common_dir}"
        )
        yield doubtful(
            "disk", message, "Free some space; what is stored is safe"
        )


def check_machine(coordinator: Coordinator) -> Iterator[Finding]:
    """Does another clone of the project call its machine as this one does?"""
    name = coordinator.clone.machine
    if others := namesakes(coordinator):
        message = f"{name}, like {count(others, 'other clone')} of this project"
        advice = "To tell their sessions apart, in one of them: git config csc.machine NAME"
        yield doubtful("machine", message, advice)
    else:
        yield fine("machine", name)


def _kind(project: Project) -> str:
    if not project.has_work_tree:
        return "bare"
    if project.common_dir.is_relative_to(project.top):
        return "clone"
    named = (
        project.top / ".git"
    )  # gitrepository-layout(5): it names the place of its own directory
    git_dir = (
        Path(named.read_text(encoding="utf-8").strip())
        if named.is_file()
        else named
    )
    if git_dir.parent.name == "worktrees":
        return f"worktree; shared by all: {project.common_dir}"
    return f"clone; its git directory: {project.common_dir}"
