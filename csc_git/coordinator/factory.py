"""The factory: opens a coordinator for a directory, with a store that is ready to use."""

import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from csc_git.config.settings import SHARING, Settings, load
from csc_git.config.sources import given
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.syncing import no_progress
from csc_git.coordinator.team_settings import agreed
from csc_git.core.session import machine_from_host
from csc_git.errors import SetupError
from csc_git.git.remote import Remote
from csc_git.git.repository import Repository
from csc_git.project.discovery import discover
from csc_git.project.project import Project
from csc_git.project.tracked import tracked_files
from csc_git.project.url import listed_format
from csc_git.store.attempt import Progress
from csc_git.store.clone_id import identify
from csc_git.store.store import Store
from csc_git.store.transaction import Identity


def directory_of(project: Project) -> Path:
    """Where a clone keeps everything of ours."""
    return project.common_dir / "csc"


def open_coordinator(
    start: Path,
    flags: Mapping[str, Any] | None = None,
    progress: Progress = no_progress,
) -> Coordinator:
    """Open a coordinator for the repository at or above a directory.

    Args:
        start: The directory.
        flags: Settings given by flag; None for each that was not given.
        progress: Called with what a sync does, where a command waits for it.

    Raises:
        SetupError: no repository, somebody else's, or a setting that can't be used.
        StorageFailed: the disk refused.
    """
    project = discover(start)
    settings = load(project, flags)
    directory = directory_of(project)
    directory.mkdir(exist_ok=True)
    clone = identify(
        directory, settings.machine, machine_from_host(socket.gethostname())
    )
    email = project.email or f"csc-git@{clone.machine}"
    store = Store(
        directory,
        settings.branch,
        Identity(clone.machine, clone.id, email),
        lambda: _object_format(project, settings),
        _Connecting(project, settings, flags) if settings.sync else None,
        tracked=partial(tracked_files, project),
        dedicated=settings.dedicated,
    )
    settings = load(project, flags, agreed(store))
    url = remote_url(project, settings)
    return Coordinator(
        store,
        project,
        clone,
        settings,
        url,
        given=_given(project, flags),
        progress=progress,
    )


def _given(project: Project, flags: Mapping[str, Any] | None) -> dict[str, Any]:
    """Branch, remote and sync settings given by flag or environment."""
    found = given(project, SHARING, flags)
    return {
        name: one.value
        for name, one in found.items()
        if not one.source.startswith("git ")
    }


class _Connecting:
    """Returns the remote; makes it again when a configuration file changed, or after a failure."""

    def __init__(
        self,
        project: Project,
        settings: Settings,
        flags: Mapping[str, Any] | None,
    ) -> None:
        self._project = project
        self._settings = settings
        self._flags = flags
        self._stamp = project.config_stamp()
        self._remote: Remote | None = None

    def __call__(self, repository: Repository, *, reread: bool) -> Remote:
        stamp = self._project.config_stamp()
        if reread or stamp != self._stamp:
            self._reload()
            self._remote = None
        self._stamp = stamp
        if self._remote is None:
            now = self._settings
            self._remote = Remote(
                repository, self._project, now.remote, now.branch, now.timeout
            )
        return self._remote

    def _reload(self) -> None:
        try:
            project = discover(self._project.place)
            settings = load(project, self._flags)
        except SetupError:
            return  # a worktree that is gone, a setting just being typed: the old ones still do
        if settings.branch == self._settings.branch:
            self._project, self._settings = project, settings


def _object_format(project: Project, settings: Settings) -> str:
    """Of a new repository: the remote's, which is the project's unless another remote is set."""
    if (
        settings.remote is None
        or settings.remote in project.remotes
        or not settings.sync
    ):
        return project.object_format
    return (
        listed_format(project, settings.remote, settings.timeout)
        or project.object_format
    )


def remote_url(project: Project, settings: Settings) -> str | None:
    """The URL of the remote that is set, as it is configured; None if there is none."""
    name = settings.remote or "origin"
    if (
        settings.remote is None
        and name not in project.remotes
        and len(project.remotes) == 1
    ):
        name = project.remotes[0]
    urls = project.values(
        f"remote.{name}.url"
    )  # of several, we sync with the first
    return urls[0] if urls else settings.remote
