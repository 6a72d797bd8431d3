"""How each client starts our server here, and which branch and remote that server uses."""

import os
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

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
from csc_git.project.discovery import discover
from csc_git.project.project import Project

_KNOWN: Final = Settings.model_fields.keys()
_LOCAL: Final = replace(
    CLIENTS["claude"],
    key="claude-local",
    title="Claude Code, for you alone",
    file=None,
)
"""Claude Code with the personal settings for one project, which `claude mcp add` writes."""


@dataclass(frozen=True)
class Sharing:
    """The branch and remote of a process. Processes with equal branch and remote share one state.

    Attributes:
        repository: The common directory of the repository that the process works for.
        branch: The branch.
        remote: The remote's URL, as configured; None if there is no remote.
        syncs: Whether the process syncs with a remote at all.
        named: The value of `csc.remote` that selects this remote: a name or a URL.
    """

    repository: Path
    branch: str
    remote: str | None
    syncs: bool
    named: str = field(compare=False)


@dataclass(frozen=True)
class Start:
    """How a client starts our server, according to an entry in the client's settings.

    Attributes:
        client: The client.
        file: The settings file with the entry.
        top: The top of the work tree that the entry is for.
        command: The program that is started.
        arguments: The program's arguments; empty if the entry has no arguments.
        directory: The directory in which the program is started.
        environment: All environment variables that the program gets.
        given: The names of the variables that the entry itself sets.
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
        cls,
        client: Client,
        file: Path,
        top: Path,
        entry: Mapping[str, Any],
    ) -> Self:
        """Read an entry of a client's settings. Members of a wrong type are ignored.

        Args:
            client: The client.
            file: The settings file with the entry.
            top: The top of the work tree that the entry is for.
            entry: The entry, as parsed from JSON.
        """
        command = str(entry.get("command") or "")
        given = entry.get("args")
        if not isinstance(given, list):
            given = []
        variables = entry.get("env")
        if not isinstance(variables, dict):
            variables = {}
        directory = str(entry.get("cwd") or "")
        return cls(
            client=client,
            file=file,
            top=top,
            command=command,
            arguments=[expanded_in(str(one), top) for one in given],
            directory=top / expanded_in(directory, top),
            environment=client_environment(client, entry),
            given=frozenset(map(str, variables)),
        )

    @property
    def title(self) -> str:
        """The client's own name."""
        return self.client.title

    @property
    def again(self) -> str:
        """The commands that replace the entry by a new entry."""
        return self.renewal()

    def renewal(self, without: Collection[str] = ()) -> str:
        """The commands that replace the entry by a new entry without some of the settings.

        Args:
            without: Names of the settings that are left out of the new entry.
        """
        if self.client == _LOCAL:
            return f"claude mcp remove {NAME} --scope local, then csc-git init"
        flags = flags_in(self.arguments)
        kept = {
            name: value
            for name, value in flags.items()
            if name in _KNOWN and name not in without
        }
        client = ["--client", self.client.key]
        settings = arguments(kept)
        undo = shlex.join(
            [
                "csc-git",
                "init",
                "--undo",
                *client,
            ]
        )
        init = shlex.join(
            [
                "csc-git",
                "init",
                *client,
                *settings,
            ]
        )
        return f"{undo}, then {init}"

    @property
    def is_known(self) -> bool:
        """Whether the entry starts our server, in the same way as this shell would start it.

        The doctor does not run the command of any other entry.

        `is_server` checks the command. The variables that the entry sets are checked too, since a
        variable may set a search path, a proxy, or the command that git runs for ssh.
        """
        for name in self.given:
            if name.startswith("CSC_"):
                continue
            value = self.environment.get(name, "")
            if value != os.environ.get(name, ""):
                return False
        return is_server([self.command, *self.arguments])

    def lacks(self, wanted: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """Names of wanted variables that the server does not get, or gets with another value.

        The first list has the variables that `init` passes on, and the second list has the others.

        Args:
            wanted: The wanted variables and their values.
        """
        by_init = list[str]()
        by_hand = list[str]()
        for name, value in wanted.items():
            if self.environment.get(name) == value:
                continue
            if name in PASSED_ON:
                by_init.append(name)
            else:
                by_hand.append(name)
        return by_init, by_hand

    def sharing(self) -> Sharing:
        """The branch and remote of the server that the client starts.

        Raises:
            SetupError: There is no repository, or a setting can't be used.
        """
        flags = flags_in(self.arguments)
        directory = self.directory / flags.pop("directory", "")
        with environment(self.environment):
            return sharing_at(directory, flags)


def sharing_at(
    directory: Path,
    flags: Mapping[str, Any],
) -> Sharing:
    """The branch and remote that a csc-git command uses if it has this process's environment.

    Args:
        directory: The directory where the command is run.
        flags: The settings, by name, that the command gets as options.

    Raises:
        SetupError: There is no repository, or a setting can't be used.
    """
    project = discover(directory)
    settings = load(project, flags)
    default = "origin"
    if len(project.remotes) == 1:
        default = project.remotes[0]
    return Sharing(
        repository=project.common_dir,
        branch=settings.branch,
        remote=remote_url(project, settings),
        syncs=settings.sync,
        named=settings.remote or default,
    )


class Starts(NamedTuple):
    """How clients start the server, and findings on settings that can't be read."""

    known: list[Start]
    unreadable: list[Finding]


def starts(project: Project) -> Starts:
    """How clients start the server in a project's work tree.

    Claude Code has three places for entries: for one person in this project, for all users of the
    project, and for all projects of a person. The first place with an entry for csc-git is used.
    """
    known = list[Start]()
    unreadable = list[Finding]()
    programs = set[str]()
    for client, file, read in _places(project):
        program, _, _ = client.key.partition("-")
        if program in programs:
            continue
        try:
            entry = read()
        except InvalidSetting as error:
            finding = refused("client", error)
            if finding not in unreadable:
                unreadable.append(finding)
            continue
        if entry is None:
            continue
        if not isinstance(entry, dict):
            entry = {}
        programs.add(program)
        start = Start.of(client, file, project.top, entry)
        known.append(start)
    return Starts(known, unreadable)


def starts_elsewhere(project: Project) -> Starts:
    """How clients start the server in the repository's other work trees.

    All work trees of a repository share one store.
    """
    known = list[Start]()
    unreadable = list[Finding]()
    for top in project.worktrees():
        if top == project.top:
            continue
        there = starts(replace(project, top=top))
        known.extend(there.known)
        unreadable.extend(there.unreadable)
    return Starts(known, unreadable)


def _places(
    project: Project,
) -> Iterator[tuple[Client, Path, Callable[[], Any]]]:
    """Yield the places where an entry may be.

    A place is a client, a settings file, and a function that reads the entry from the file.
    """
    user = UserRegistration({})
    memory = memory_of(project)
    yield _LOCAL, user.file, partial(user.found_for, project.top)
    for client in CLIENTS.values():
        if client.file is not None:
            place = ServerRegistration(
                client,
                project.top,
                memory,
                {},
            )
            yield client, place.file, place.found
    yield CLIENTS["claude-user"], user.file, user.found
