"""Check the clients: is the server registered, does it start, does it use our branch and remote?"""

import logging
import shlex
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Final, TextIO

from csc_git.clients.launch import is_on_path
from csc_git.config.settings import SHARING
from csc_git.doctor.finding import Finding, doubtful, fine, wrong
from csc_git.doctor.server_starts import (
    Sharing,
    Start,
    starts,
    starts_elsewhere,
)
from csc_git.errors import CscError
from csc_git.project.project import Project
from csc_git.text import readable

_SECONDS: Final = 20.0


def check_agreement(
    project: Project,
    here: Sharing,
    replaced: Collection[tuple[str, Path]] = (),
) -> Iterator[Finding]:
    """Do csc-git commands here and the servers in all work trees use the same branch and remote?

    All processes of a clone share one store. If the processes use different remotes, the first
    process that syncs publishes all their data on its own remote.

    Args:
        project: The repository.
        here: The branch and remote that csc-git commands in this work tree use.
        replaced: Entries that are not checked, since they are going to be replaced. Each entry is
            given as a pair: the client's key and the settings file.
    """
    found, unreadable = starts(project)
    others, unreadable_there = starts_elsewhere(project)
    yield from unreadable
    yield from unreadable_there
    for start in found:
        if (start.client.key, start.file) not in replaced:
            yield from _check_sharing(start, project.top, here)
    for start in others:
        yield from _check_sharing(start, project.top, here)


def check_clients(
    project: Project,
    known: list[Start],
) -> Iterator[Finding]:
    """Is a client set up, and does each registered server start?

    Args:
        project: The repository.
        known: How clients start their servers, one item for each server.
    """
    if not known:
        yield _no_client(project)
    for start in known:
        path = start.environment.get("PATH")
        if shutil.which(start.command, path=path) is None:
            yield wrong(
                "client",
                f"{start.title} starts {start.command}, which does not exist",
                f"Install csc-git where {start.title} finds it, or: {start.again}",
            )
            continue
        yield from _check_command(start)
        yield _try_out(start)


def _no_client(project: Project) -> Finding:
    fix = "csc-git init --client claude-user, or other"
    if project.has_work_tree:
        fix = "csc-git init  (or csc-git init --client other)"
    return doubtful(
        "client",
        "No client is set up to start csc-git here",
        fix,
    )


def _check_sharing(
    start: Start,
    top: Path,
    here: Sharing,
) -> Iterator[Finding]:
    """Compare the branch and remote of a client's server with those of csc-git commands here.

    Args:
        start: How the client starts its server.
        top: The top of the work tree that is examined. `start` may be for another work tree.
        here: The branch and remote that csc-git commands in this work tree use.
    """
    who = start.title
    if start.top != top:
        who = f"{start.title} in {start.top}"
    if not start.command:
        yield wrong(
            "client",
            f"The entry for csc-git in {start.file} names no command",
            start.again,
        )
    elif not start.is_known:
        line = shlex.join([start.command, *start.arguments])
        yield doubtful(
            "client",
            f"{who} starts {line}, with a command or variables that init would not write. It was "
            "not run. Its branch and remote are unknown, so the remote was not tried either",
            f"Check what that command does, or replace the entry: {start.again}",
        )
    else:
        yield from _compare_sharing(start, who, here)


def _compare_sharing(
    start: Start,
    who: str,
    here: Sharing,
) -> Iterator[Finding]:
    try:
        theirs = start.sharing()
    except CscError as error:
        yield wrong(
            "client",
            f"{who}'s server won't start: {error.what}",
            error.then,
        )
    except (OSError, ValueError) as error:
        why = readable(str(error))
        yield wrong(
            "client",
            f"{who}'s server won't start: {why}",
            f"Repair the entry in {start.file}, or: {start.again}",
        )
    else:
        yield from _differences(start, who, theirs, here)


def _differences(
    start: Start,
    who: str,
    theirs: Sharing,
    here: Sharing,
) -> Iterator[Finding]:
    """Report the first setting of a client's server that differs from those of csc-git commands."""
    if theirs.repository != here.repository:
        yield wrong(
            "client",
            f"{who}'s server works for another repository: {theirs.repository}",
            f"Repair the entry in {start.file}, or: {start.again}",
        )
    elif theirs.branch != here.branch:
        difference = (
            f"the branch {theirs.branch}, but commands here use {here.branch}"
        )
        setting = _setting(start, "csc.branch", theirs.branch)
        yield _differs(start, who, difference, setting)
    elif theirs.syncs != here.syncs:
        difference = "a remote, but commands here use no remote"
        if here.syncs:
            difference = "no remote, but commands here use a remote"
        syncs = str(theirs.syncs).lower()
        setting = _setting(start, "csc.sync", syncs)
        yield _differs(start, who, difference, setting)
    elif theirs.syncs and theirs.remote != here.remote:
        remote = readable(theirs.remote or "no remote")
        ours = readable(here.remote or "no remote")
        difference = f"{remote}, but commands here use {ours}"
        setting = _setting(start, "csc.remote", theirs.named)
        yield _differs(start, who, difference, setting)


def _setting(
    start: Start,
    name: str,
    value: str,
) -> str:
    """The arguments of `git config` that set a value. A URL with a password is not shown."""
    has_password = readable(value) != value
    if has_password:
        return f"{name} URL, with the URL from {start.file}"
    return f"{name} {quote(value)}"


def _differs(
    start: Start,
    who: str,
    difference: str,
    setting: str,
) -> Finding:
    """Report that a client's server and commands here use different branches or remotes.

    Args:
        start: How the client starts its server.
        who: The client, and its work tree if that is not the examined work tree.
        difference: What the server uses, and what commands here use.
        setting: The arguments of `git config` that give the server's setting to commands here.
    """
    return wrong(
        "client",
        f"{who}'s server uses {difference}. The remote was not tried, since that could "
        "publish data where other people can read them",
        f"git config {setting}; or remove the setting from the entry: {start.renewal(SHARING)}",
    )


def _check_command(start: Start) -> Iterator[Finding]:
    """Can programs that were not started from this shell find the command `csc-git`?"""
    is_absolute = Path(start.command).is_absolute()
    if is_absolute or is_on_path(start.command):
        return
    yield doubtful(
        "client",
        f"{start.title} starts {start.command} by its name. Only a shell in which its "
        "virtual environment is active finds that command",
        f"Install csc-git by pipx or uv tool, or: {start.again}",
    )


def _try_out(start: Start) -> Finding:
    """Start a client's server and list its tools."""
    began = time.monotonic()
    with tempfile.TemporaryFile(
        "w+",
        encoding="utf-8",
        errors="replace",
    ) as stderr:
        try:
            tools = _count_tools(start, stderr)
        except Exception as error:  # noqa: BLE001  the program may not be a server
            stderr.seek(0)
            lines = stderr.read().splitlines() or [_reason(error)]
            why = readable(lines[-1], 200)
            line = shlex.join([start.command, *start.arguments])
            return wrong(
                "client",
                f"{start.title}'s server does not start: {why}",
                f"To see why, run the server yourself: {line}",
            )
    took = time.monotonic() - began
    return fine(
        "client",
        f"{start.title}: the server starts, and lists {tools} tools ({took:.1f} s)",
    )


def _reason(error: BaseException) -> str:
    """Describe the first error of an exception group. Such groups may contain further groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return f"it does not answer within {_SECONDS:g} seconds"
    return str(error) or type(error).__name__


def _count_tools(
    start: Start,
    stderr: TextIO,
) -> int:
    """Start a server as its client does, and count the tools that it lists."""
    import anyio  # noqa: PLC0415
    from mcp.client import Client as McpClient  # noqa: PLC0415
    from mcp.client.stdio import StdioServerParameters, stdio_client  # noqa: PLC0415

    async def ask() -> int:
        parameters = StdioServerParameters(
            command=start.command,
            args=start.arguments,
            cwd=start.directory,
            env=start.environment,
        )
        transport = stdio_client(parameters, errlog=stderr)
        with anyio.fail_after(_SECONDS):
            async with McpClient(transport) as client:
                listed = await client.list_tools()
                return len(listed.tools)

    with _quiet():
        return anyio.run(ask)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the SDK's log message about an invalid answer, which the doctor itself reports."""
    log = logging.getLogger("mcp")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)
