"""The clients: is the server registered, does it start, are the hooks there?"""

import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from csc_git.clients.client import CLIENTS, is_on_path
from csc_git.clients.registration import HookRegistration, ServerRegistration
from csc_git.clients.user import UserRegistration
from csc_git.doctor.environment import client_environment
from csc_git.doctor.finding import Finding, doubtful, fine, wrong
from csc_git.errors import CscError
from csc_git.git.project import Project
from csc_git.git.words import readable

_SECONDS: Final = 20.0
_AGAIN: Final = "csc-git init --undo, then csc-git init"


def entries(project: Project, memory: Path) -> dict[str, dict[str, Any]]:
    """Our entries in the settings of clients, by the client's title."""
    found = {}
    for client in CLIENTS.values():
        place: ServerRegistration | UserRegistration = UserRegistration({})
        if client.file is not None:
            place = ServerRegistration(client, project.top, memory, {})
        entry = place.found()
        if isinstance(entry, dict):
            found[client.title] = entry
    return found


def check_clients(
    project: Project, known: Mapping[str, dict[str, Any]], branch: str
) -> Iterator[Finding]:
    """Does each of the servers registered start, and serve this branch?"""
    if not known:
        says = "No client that csc-git knows of is set up to start it here"
        yield doubtful("client", says, "csc-git init  (or csc-git init --client other)")
    for title, entry in known.items():
        yield from _check_entry(title, entry, branch, project)


def check_hooks(project: Project, memory: Path) -> Iterator[Finding]:
    """Are the commands of the hooks there?"""
    if not project.has_work_tree:
        return
    for item in HookRegistration(project.top, memory).found() or []:
        for hook in item.get("hooks", []):
            words = shlex.split(str(hook.get("command", "")))
            command = [word for word in words if not word.startswith("CSC_BRANCH=")]
            if not command or shutil.which(command[0]) is None:
                says = f"Claude Code's hook runs {command[:1]}, which is not there"
                yield wrong("hooks", says, f"{_AGAIN} --hooks")
                return
        yield fine("hooks", "set up")
        return


def _check_entry(
    title: str, entry: Mapping[str, Any], branch: str, project: Project
) -> Iterator[Finding]:
    command = str(entry.get("command", ""))
    given = entry.get("args")
    arguments = [str(argument) for argument in given] if isinstance(given, list) else []
    served = arguments[arguments.index("--branch") + 1] if "--branch" in arguments[:-1] else None
    environment = client_environment(entry)
    if shutil.which(command, path=environment.get("PATH")) is None:
        says = f"{title} starts {command}, which is not there"
        yield wrong("client", says, f"Install csc-git where {title} finds it, or: {_AGAIN}")
        return
    if not Path(command).is_absolute() and not is_on_path(command):
        says = f"{title} starts {command} by its name, which only a shell finds in which its \
virtual environment is active"
        yield doubtful("client", says, f"pipx install csc-git, or: {_AGAIN}")
    if served is not None and served != branch:
        says = f"{title} serves the branch {served}, but the one set here is {branch}"
        yield wrong("client", says, f"git config csc.branch {served}, or: {_AGAIN}")
    began = time.monotonic()
    try:
        tools = _started(command, arguments, environment, project.top)
    except (CscError, OSError, TimeoutError, ValueError, RuntimeError, ExceptionGroup) as error:
        says = f"{title}'s server does not start: {readable(str(error), 200)}"
        yield wrong("client", says, f"Run it yourself and see: {command} {' '.join(arguments)}")
        return
    took = time.monotonic() - began
    yield fine("client", f"{title}: the server starts, and lists {tools} tools ({took:.1f} s)")


def _started(command: str, arguments: list[str], environment: dict[str, str], top: Path) -> int:
    """Start a server as a client does; how many tools it lists."""
    import os  # noqa: PLC0415

    import anyio  # noqa: PLC0415
    from mcp.client import Client  # noqa: PLC0415
    from mcp.client.stdio import StdioServerParameters, stdio_client  # noqa: PLC0415

    async def ask() -> int:
        parameters = StdioServerParameters(
            command=command, args=arguments, cwd=top, env=environment
        )
        with anyio.fail_after(_SECONDS), open(os.devnull, "w", encoding="utf-8") as silent:  # noqa: ASYNC230, PTH123
            async with Client(stdio_client(parameters, errlog=silent)) as client:
                return len((await client.list_tools()).tools)

    return anyio.run(ask)
