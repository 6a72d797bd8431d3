"""The clients: is the server registered, does it start, are the hooks there?"""

import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from csc_git.clients.client import CLIENTS, Client, is_on_path
from csc_git.clients.registration import HookRegistration, ServerRegistration
from csc_git.clients.user import UserRegistration
from csc_git.doctor.environment import client_environment
from csc_git.doctor.finding import Finding, doubtful, fine, refused, wrong
from csc_git.errors import CscError, InvalidSetting
from csc_git.git.project import Project
from csc_git.git.words import readable

_SECONDS: Final = 20.0
_AGAIN: Final = "csc-git init --undo, then csc-git init"


@dataclass(frozen=True)
class Start:
    """How a client starts our server, by an entry of its settings."""

    title: str
    command: str
    arguments: list[str]
    environment: dict[str, str]

    @classmethod
    def of(cls, client: Client, entry: Mapping[str, Any]) -> Self:
        """Read an entry, whatever became of it."""
        given = entry.get("args")
        return cls(
            client.title,
            str(entry.get("command", "")),
            [str(argument) for argument in given] if isinstance(given, list) else [],
            client_environment(client, entry),
        )

    @property
    def branch(self) -> str | None:
        """The branch it is told to serve; None: the one that is set in the project."""
        is_told = "--branch" in self.arguments[:-1]
        return self.arguments[self.arguments.index("--branch") + 1] if is_told else None


def starts(project: Project, memory: Path) -> tuple[list[Start], list[Finding]]:
    """How those clients start it that are set up to; and whose settings can't be read."""
    found, unreadable = [], []
    for client in CLIENTS.values():
        place: ServerRegistration | UserRegistration = UserRegistration({})
        if client.file is not None:
            place = ServerRegistration(client, project.top, memory, {})
        try:
            entry = place.found()
        except InvalidSetting as error:
            unreadable.append(refused("client", error))
            continue
        if isinstance(entry, dict):
            found.append(Start.of(client, entry))
    return found, unreadable


def check_clients(
    project: Project, known: list[Start], unreadable: list[Finding], branch: str
) -> Iterator[Finding]:
    """Can settings be read, does each server registered start, and does it serve this branch?"""
    yield from unreadable
    if not known and not unreadable:
        says = "No client that csc-git knows of is set up to start it here"
        yield doubtful("client", says, "csc-git init  (or csc-git init --client other)")
    for start in known:
        if shutil.which(start.command, path=start.environment.get("PATH")) is None:
            says = f"{start.title} starts {start.command}, which is not there"
            then = f"Install csc-git where {start.title} finds it, or: {_AGAIN}"
            yield wrong("client", says, then)
            continue
        yield from _check_start(start, branch)
        yield _try_out(start, project.top)


def check_hooks(project: Project, memory: Path) -> Iterator[Finding]:
    """Are the commands of the hooks there?"""
    if not project.has_work_tree:
        return
    try:
        found = HookRegistration(project.top, memory, {}).found() or []
    except InvalidSetting as error:
        yield refused("hooks", error)
        return
    for item in found:
        for hook in item.get("hooks", []):
            words = shlex.split(str(hook.get("command", "")))
            command = [word for word in words if not word.startswith("CSC_")]
            if not command or shutil.which(command[0]) is None:
                says = f"Claude Code's hook runs {command[:1]}, which is not there"
                yield wrong("hooks", says, f"{_AGAIN} --hooks")
                return
        yield fine("hooks", "set up")
        return


def _check_start(start: Start, branch: str) -> Iterator[Finding]:
    """Would other programs than this shell find it, and does it serve this branch?"""
    if not Path(start.command).is_absolute() and not is_on_path(start.command):
        says = f"{start.title} starts {start.command} by its name, which only a shell finds in \
which its virtual environment is active"
        yield doubtful("client", says, f"pipx install csc-git, or: {_AGAIN}")
    if start.branch not in {None, branch}:
        says = f"{start.title} serves the branch {start.branch}, but the one set here is {branch}"
        yield wrong("client", says, f"git config csc.branch {start.branch}, or: {_AGAIN}")


def _try_out(start: Start, top: Path) -> Finding:
    began = time.monotonic()
    try:
        tools = _started(start, top)
    except (CscError, OSError, TimeoutError, ValueError, RuntimeError, ExceptionGroup) as error:
        says = f"{start.title}'s server does not start: {readable(str(error), 200)}"
        run = shlex.join([start.command, *start.arguments])
        return wrong("client", says, f"Run it yourself and see: {run}")
    took = time.monotonic() - began
    return fine(
        "client", f"{start.title}: the server starts, and lists {tools} tools ({took:.1f} s)"
    )


def _started(start: Start, top: Path) -> int:
    """Start a server as a client does; how many tools it lists."""
    import os  # noqa: PLC0415

    import anyio  # noqa: PLC0415
    from mcp.client import Client as McpClient  # noqa: PLC0415
    from mcp.client.stdio import StdioServerParameters, stdio_client  # noqa: PLC0415

    async def ask() -> int:
        parameters = StdioServerParameters(
            command=start.command, args=start.arguments, cwd=top, env=start.environment
        )
        with anyio.fail_after(_SECONDS), open(os.devnull, "w", encoding="utf-8") as silent:  # noqa: ASYNC230, PTH123
            async with McpClient(stdio_client(parameters, errlog=silent)) as client:
                return len((await client.list_tools()).tools)

    return anyio.run(ask)
