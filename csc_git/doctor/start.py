"""Starts: how each client starts our server here, and with whom it shares by that."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

from csc_git.clients.client import CLIENTS, NAME, PASSED_ON, Client
from csc_git.clients.launch import arguments, flags_in
from csc_git.clients.registration import ServerRegistration
from csc_git.clients.user import UserRegistration
from csc_git.config.settings import Settings, load
from csc_git.coordinator.opening import remote_url
from csc_git.doctor.environment import client_environment, environment
from csc_git.doctor.finding import Finding, refused
from csc_git.errors import InvalidSetting
from csc_git.git.project import Project, discover


class Sharing(NamedTuple):
    """With whom a process of ours shares the state.

    Attributes:
        repository: The common directory of the repository it works for.
        branch: The branch.
        remote: The remote's URL, as configured; None if there is none.
        syncs: Whether it talks to a remote at all.
        named: How the remote is named.
    """

    repository: Path
    branch: str
    remote: str | None
    syncs: bool
    named: str


@dataclass(frozen=True)
class Start:
    """How a client starts our server, by an entry of its settings."""

    client: Client
    file: Path
    command: str
    arguments: list[str]
    environment: dict[str, str]

    @classmethod
    def of(cls, client: Client, file: Path, entry: Mapping[str, Any]) -> Self:
        """Read an entry, whatever became of it."""
        given = entry.get("args")
        return cls(
            client,
            file,
            str(entry.get("command", "")),
            [str(argument) for argument in given] if isinstance(given, list) else [],
            client_environment(client, entry),
        )

    @property
    def title(self) -> str:
        """The client's own name."""
        return self.client.title

    @property
    def again(self) -> str:
        """The commands that write the entry anew, as it would be written now."""
        given = {name: value for name, value in flags_in(self.arguments).items() if name in _KNOWN}
        if self.client.file is not None and self.file.name != Path(self.client.file).name:
            return f"claude mcp remove {NAME} --scope local, then csc-git init"
        client = ["--client", self.client.key]
        undone = shlex.join(["csc-git", "init", "--undo", *client])
        return f"{undone}, then {shlex.join(['csc-git', 'init', *client, *arguments(given)])}"

    def lacks(self, wanted: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """Which variables it has not, or has otherwise: those that `init` hands on, and others."""
        lacking = [name for name, value in wanted.items() if self.environment.get(name) != value]
        return [n for n in lacking if n in PASSED_ON], [n for n in lacking if n not in PASSED_ON]

    def sharing(self, top: Path) -> Sharing:
        """With whom the server shares that it starts in a project.

        Raises:
            SetupError: no repository, or a setting that can't be used.
        """
        flags = flags_in(self.arguments)
        with environment(self.environment):
            return sharing_at(top / flags.pop("directory", ""), flags)


_KNOWN = Settings.model_fields.keys()


def sharing_at(directory: Path, flags: Mapping[str, Any]) -> Sharing:
    """With whom a command with these flags shares, in the environment as it is.

    Raises:
        SetupError: no repository, or a setting that can't be used.
    """
    project = discover(directory)
    settings = load(project, flags)
    url = remote_url(project, settings)
    named = settings.remote or "origin"
    return Sharing(project.common_dir, settings.branch, url, settings.sync, named)


def starts(project: Project, memory: Path) -> tuple[list[Start], list[Finding]]:
    """How those clients start it that are set up to; and whose settings can't be read.

    Of Claude Code's three places the first one counts that names us: its own for this project, the
    project's, the one for all projects.
    """
    found, unreadable = list[Start](), list[Finding]()
    for client, file, asked in _places(project, memory):
        program = client.key.partition("-")[0]
        if any(one.client.key.startswith(program) for one in found):
            continue
        try:
            entry = asked()
        except InvalidSetting as error:
            if (finding := refused("client", error)) not in unreadable:
                unreadable.append(finding)
            continue
        if entry is not None:
            found.append(Start.of(client, file, entry if isinstance(entry, dict) else {}))
    return found, unreadable


def _places(project: Project, memory: Path) -> Iterator[tuple[Client, Path, Callable[[], Any]]]:
    user, of_user = UserRegistration({}), CLIENTS["claude-user"]
    yield CLIENTS["claude"], user.file, partial(user.found_for, project.top)
    for client in CLIENTS.values():
        if client.file is not None:
            place = ServerRegistration(client, project.top, memory, {})
            yield client, place.file, place.found
    yield of_user, user.file, user.found
