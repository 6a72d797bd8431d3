"""Starts: how each client starts our server here, and which branch and remote it then uses."""

import os
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

from csc_git.clients.client import CLIENTS, NAME, PASSED_ON, Client
from csc_git.clients.launch import arguments, flags_in, is_server
from csc_git.clients.registration import ServerRegistration, memory_of
from csc_git.clients.user import UserRegistration
from csc_git.config.settings import Settings, load
from csc_git.coordinator.factory import remote_url
from csc_git.doctor.environment import (
    client_environment,
    environment,
    expanded_in,
)
from csc_git.doctor.finding import Finding, refused
from csc_git.errors import InvalidSetting
from csc_git.git.project import Project, discover

_KNOWN: Final = Settings.model_fields.keys()
_LOCAL: Final = replace(
    CLIENTS["claude"],
    key="claude-local",
    title="Claude Code, for you alone",
    file=None,
)
"""Claude Code by its settings of one person for one project, which `claude mcp add` writes."""


@dataclass(frozen=True)
class Sharing:
    """The branch and remote of a process; two are equal if they share one state.

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
    named: str = field(compare=False)


@dataclass(frozen=True)
class Start:
    """How a client starts our server, by an entry of its settings.

    Attributes:
        client: Which one.
        file: Where the entry stands.
        top: Of the work tree that it is for.
        command: The program.
        arguments: Its arguments, if they are known beforehand.
        directory: Where it is started.
        environment: What it gets.
        given: The names in that which the entry itself gives.
    """

    client: Client
    file: Path
    top: Path
    command: str
    arguments: list[str]
    directory: Path
    environment: dict[str, str]
    given: frozenset[str]

    @classmethod
    def of(
        cls, client: Client, file: Path, top: Path, entry: Mapping[str, Any]
    ) -> Self:
        """Read an entry in the settings for a work tree, whatever became of it."""
        given = entry.get("args")
        return cls(
            client,
            file,
            top,
            str(entry.get("command") or ""),
            [expanded_in(str(one), top) for one in given]
            if isinstance(given, list)
            else [],
            top / expanded_in(str(entry.get("cwd") or ""), top),
            client_environment(client, entry),
            frozenset(
                map(
                    str,
                    env if isinstance(env := entry.get("env"), dict) else (),
                )
            ),
        )

    @property
    def title(self) -> str:
        """The client's own name."""
        return self.client.title

    @property
    def again(self) -> str:
        """The commands that replace the entry by a new one."""
        return self.renewal()

    def renewal(self, without: Collection[str] = ()) -> str:
        """As `again`, but without some of the settings that it gives."""
        if self.client == _LOCAL:
            return f"claude mcp remove {NAME} --scope local, then csc-git init"
        names = _KNOWN - {*without}
        given = {
            name: value
            for name, value in flags_in(self.arguments).items()
            if name in names
        }
        client = ["--client", self.client.key]
        undone = shlex.join(["csc-git", "init", "--undo", *client])
        return f"{undone}, then {shlex.join(['csc-git', 'init', *client, *arguments(given)])}"

    @property
    def is_known(self) -> bool:
        """Whether it starts our server, as this shell would; no other is run, see `is_server`.

        What it is given decides too: a search path, a proxy, or what git runs for ssh.
        """
        others = (name for name in self.given if not name.startswith("CSC_"))
        same = all(
            self.environment.get(n, "") == os.environ.get(n, "") for n in others
        )
        return same and is_server([self.command, *self.arguments])

    def lacks(self, wanted: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """Which variables it has not, or has otherwise: those that `init` hands on, and others."""
        lacking = [
            name
            for name, value in wanted.items()
            if self.environment.get(name) != value
        ]
        return [n for n in lacking if n in PASSED_ON], [
            n for n in lacking if n not in PASSED_ON
        ]

    def sharing(self) -> Sharing:
        """The branch and remote of the server that it starts.

        Raises:
            SetupError: no repository, or a setting that can't be used.
        """
        flags = flags_in(self.arguments)
        with environment(self.environment):
            return sharing_at(
                self.directory / flags.pop("directory", ""), flags
            )


def sharing_at(directory: Path, flags: Mapping[str, Any]) -> Sharing:
    """The branch and remote of a command with these flags in this environment.

    Raises:
        SetupError: no repository, or a setting that can't be used.
    """
    project = discover(directory)
    settings = load(project, flags)
    url = remote_url(project, settings)
    only = project.remotes[0] if len(project.remotes) == 1 else "origin"
    named = settings.remote or only
    return Sharing(
        project.common_dir, settings.branch, url, settings.sync, named
    )


def starts(project: Project) -> tuple[list[Start], list[Finding]]:
    """How those clients start it that are set up to; and whose settings can't be read.

    Of Claude Code's three places the first one counts that names us: its own for this project, the
    project's, the one for all projects.
    """
    found, unreadable = list[Start](), list[Finding]()
    for client, file, asked in _places(project):
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
            members = entry if isinstance(entry, dict) else {}
            found.append(Start.of(client, file, project.top, members))
    return found, unreadable


def starts_elsewhere(project: Project) -> tuple[list[Start], list[Finding]]:
    """As `starts`, in the other worktrees: all of them have one store."""
    found, unreadable = list[Start](), list[Finding]()
    for top in project.worktrees():
        if top != project.top:
            more = starts(replace(project, top=top))
            found += more[0]
            unreadable += more[1]
    return found, unreadable


def _places(
    project: Project,
) -> Iterator[tuple[Client, Path, Callable[[], Any]]]:
    user, of_user = UserRegistration({}), CLIENTS["claude-user"]
    yield _LOCAL, user.file, partial(user.found_for, project.top)
    for client in CLIENTS.values():
        if client.file is not None:
            place = ServerRegistration(
                client, project.top, memory_of(project), {}
            )
            yield client, place.file, place.found
    yield of_user, user.file, user.found
