"""Create the coordinator and the store for the repository that a directory belongs to."""

import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from csc_git.config.settings import SHARING, Settings, load
from csc_git.config.sources import given
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.team_settings import agreed
from csc_git.core.session import machine_from_host
from csc_git.errors import SetupError
from csc_git.git.remote import Remote
from csc_git.git.repository import Repository
from csc_git.project.discovery import discover
from csc_git.project.project import Project
from csc_git.project.tracked import tracked_files
from csc_git.project.url import listed_format
from csc_git.store.clone_id import identify
from csc_git.store.store import Store, no_progress
from csc_git.store.sync.attempt import Progress
from csc_git.store.transaction import Identity


def directory_of(project: Project) -> Path:
    """Return the directory in which csc-git stores all its files for a clone."""
    return project.common_dir / "csc"


def open_coordinator(
    start: Path,
    flags: Mapping[str, Any] | None = None,
    progress: Progress = no_progress,
) -> Coordinator:
    """Create a coordinator for the repository that a directory belongs to.

    Args:
        start: The top directory of the repository, or any directory below the top directory.
        flags: The values of command-line flags, by the name of the setting. A flag that was not
            given has the value None. `flags` is None if there are no flags.
        progress: A function that is called at each step of a sync, if a command waits for the sync.

    Raises:
        SetupError: there is no repository, the repository belongs to another user, or a setting
            can't be used.
        StorageFailed: a file could not be written.
    """
    project = discover(start)
    settings = load(project, flags)
    directory = directory_of(project)
    directory.mkdir(exist_ok=True)
    host = socket.gethostname()
    clone = identify(
        directory,
        settings.machine,
        machine_from_host(host),
    )
    email = project.email or f"csc-git@{clone.machine}"
    identity = Identity(clone.machine, clone.id, email)
    connect: _Connecting | None = None
    if settings.sync:
        connect = _Connecting(project, settings, flags)
    store = Store(
        directory,
        settings.branch,
        identity,
        lambda: _object_format(project, settings),
        connect,
        tracked=partial(tracked_files, project),
        dedicated=settings.dedicated,
    )
    team = agreed(store)
    settings = load(project, flags, team)
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
    """Return the branch, remote and sync settings that were given by flag or environment."""
    found = given(project, SHARING, flags)
    values: dict[str, Any] = {}
    for name, setting in found.items():
        if not setting.source.startswith("git "):
            values[name] = setting.value
    return values


class _Connecting:
    """Returns the remote.

    If a settings file has changed or the last sync has failed, the settings are read again first.

    Args:
        project: The user's repository.
        settings: The settings of this process.
        flags: The values of command-line flags, by the name of the setting.
    """

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
            settings = self._settings
            self._remote = Remote(
                repository,
                self._project,
                settings.remote,
                settings.branch,
                settings.timeout,
            )
        return self._remote

    def _reload(self) -> None:
        """Read the settings again.

        If the new settings can't be read, the old settings stay in use. For instance, the
        work tree may be gone, or somebody may be editing a settings file at this moment.
        """
        try:
            project = discover(self._project.place)
            settings = load(project, self._flags)
        except SetupError:
            return
        if settings.branch == self._settings.branch:
            self._project = project
            self._settings = settings


def _object_format(project: Project, settings: Settings) -> str:
    """Return the git object format (SHA-1 or SHA-256) for a new store.

    If the object format of the remote is known, return this format. Otherwise return the object
    format of the project.
    """
    own = project.object_format
    remote = settings.remote
    if remote is None or remote in project.remotes or not settings.sync:
        return own
    listed = listed_format(project, remote, settings.timeout)
    return listed or own


def remote_url(
    project: Project,
    settings: Settings,
) -> str | None:
    """Return the configured URL of the remote to sync with; None if there is no remote.

    Args:
        project: The user's repository.
        settings: The settings, in which `remote` is the name of a remote, a URL, or None.
    """
    name = settings.remote or "origin"
    remotes = project.remotes
    if settings.remote is None and name not in remotes and len(remotes) == 1:
        name = remotes[0]
    urls = project.values(f"remote.{name}.url")
    if not urls:
        return settings.remote
    return urls[0]  # if there are several URLs, csc-git syncs with the first
