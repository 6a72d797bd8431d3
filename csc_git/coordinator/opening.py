"""Opening a coordinator: from a directory to a store that is ready to use."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from csc_git.config import Settings, load
from csc_git.coordinator.coordinator import Coordinator
from csc_git.core.session import machine_from_host
from csc_git.errors import SetupError
from csc_git.git.project import Project, discover
from csc_git.git.remote import Remote, listed_format
from csc_git.git.repository import Repository
from csc_git.store.clone import identify
from csc_git.store.store import Store
from csc_git.store.transaction import Identity


def directory_of(project: Project) -> Path:
    """Where a clone keeps everything of ours."""
    return project.common_dir / "csc"


def open_coordinator(start: Path, flags: Mapping[str, Any] | None = None) -> Coordinator:
    """A coordinator for the repository at or above a directory.

    Raises:
        SetupError: no repository, somebody else's, or a setting that can't be used.
        StorageFailed: the disk refused.
    """
    project = discover(start)
    settings = load(project, flags)
    directory = directory_of(project)
    directory.mkdir(exist_ok=True)
    clone = identify(directory, settings.machine, machine_from_host(socket.gethostname()))
    email = project.email or f"csc-git@{clone.machine}"
    store = Store(
        directory,
        settings.branch,
        Identity(clone.machine, clone.id, email),
        lambda: _object_format(project, settings),
        _Connecting(project, settings, flags) if settings.sync else None,
        dedicated=settings.dedicated,
    )
    return Coordinator(store, project, clone, settings, _url(project, settings))


class _Connecting:
    """Makes remotes: the first as the settings were read, later ones with them read anew."""

    def __init__(
        self, project: Project, settings: Settings, flags: Mapping[str, Any] | None
    ) -> None:
        self._project = project
        self._settings = settings
        self._flags = flags
        self._first = True

    def __call__(self, repository: Repository) -> Remote:
        if not self._first:
            self._reload()
        self._first = False
        settings = self._settings
        return Remote(repository, self._project, settings.remote, settings.branch, settings.timeout)

    def _reload(self) -> None:
        try:
            project = discover(self._project.top)
            settings = load(project, self._flags)
        except SetupError:
            return  # a worktree that is gone, a setting just being typed: the old ones still do
        if settings.branch == self._settings.branch:
            self._project, self._settings = project, settings


def _object_format(project: Project, settings: Settings) -> str:
    """Of a new repository: the remote's, which is the project's unless another remote is set."""
    if settings.remote is None or settings.remote in project.remotes or not settings.sync:
        return project.object_format
    return listed_format(project, settings.remote, settings.timeout) or project.object_format


def _url(project: Project, settings: Settings) -> str | None:
    name = settings.remote or "origin"
    if settings.remote is None and name not in project.remotes and len(project.remotes) == 1:
        name = project.remotes[0]
    return project.get(f"remote.{name}.url") or settings.remote
