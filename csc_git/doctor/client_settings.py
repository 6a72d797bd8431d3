"""The clients: is the server registered, does it start, does it share what commands share?"""

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
from csc_git.git.project import Project
from csc_git.text import readable

_SECONDS: Final = 20.0


def check_agreement(
    project: Project, here: Sharing, replaced: Collection[tuple[str, Path]] = ()
) -> Iterator[Finding]:
    """Do clients' servers sync with the same branch and remote as a command here, in all worktrees?

    They have one store. Where they don't, or where it is unknown, whichever syncs first shows
    the one's state to those whom the other shares with.

    Args:
        project: The repository.
        here: The branch and remote of commands.
        replaced: Clients and files whose entries don't count, since others take their place.
    """
    found, unreadable = starts(project)
    others, unreadable_there = starts_elsewhere(project)
    yield from [*unreadable, *unreadable_there]
    known = [one for one in found if (one.client.key, one.file) not in replaced]
    yield from _check_sharing([*known, *others], project.top, here)


def _check_sharing(
    known: list[Start], top: Path, here: Sharing
) -> Iterator[Finding]:
    for start in known:
        who = (
            start.title if start.top == top else f"{start.title} in {start.top}"
        )
        if not start.command:
            yield wrong(
                "client",
                f"The entry for csc-git in {start.file} names no command",
                start.again,
            )
        elif not start.is_known:
            message = f"{who} starts {shlex.join([start.command, *start.arguments])}, or gives it \
settings, as init would not. It was not run, and which branch and remote it uses is unknown"
            then = (
                f"Look at what it does, or have it written again: {start.again}"
            )
            yield doubtful(
                "client", f"{message}, so the remote was not tried", then
            )
        else:
            yield from _compared(start, who, here)


def _compared(start: Start, who: str, here: Sharing) -> Iterator[Finding]:
    try:
        yield from _apart(start, who, start.sharing(), here)
    except CscError as error:
        yield wrong(
            "client", f"{who}'s server won't start: {error.what}", error.then
        )
    except (OSError, ValueError) as error:
        message = f"{who}'s server won't start: {readable(str(error))}"
        yield wrong(
            "client",
            message,
            f"Mend its entry in {start.file}, or: {start.again}",
        )


def check_clients(project: Project, known: list[Start]) -> Iterator[Finding]:
    """Is there a client, and does each server that is registered start?"""
    if not known:
        message = "No client that csc-git knows of is set up to start it here"
        here = "csc-git init  (or csc-git init --client other)"
        other = "csc-git init --client claude-user, or other"
        yield doubtful(
            "client", message, here if project.has_work_tree else other
        )
    for start in known:
        if (
            shutil.which(start.command, path=start.environment.get("PATH"))
            is None
        ):
            message = (
                f"{start.title} starts {start.command}, which is not there"
            )
            then = f"Install csc-git where {start.title} finds it, or: {start.again}"
            yield wrong("client", message, then)
            continue
        yield from _check_command(start)
        yield _try_out(start)


def _apart(
    start: Start, who: str, theirs: Sharing, here: Sharing
) -> Iterator[Finding]:
    """What sets a client's server apart from the commands here."""
    if theirs.repository != here.repository:
        message = (
            f"{who}'s server works for another repository: {theirs.repository}"
        )
        yield wrong(
            "client",
            message,
            f"Mend its entry in {start.file}, or: {start.again}",
        )
    elif theirs.branch != here.branch:
        message = (
            f"the branch {theirs.branch}, but the one set here is {here.branch}"
        )
        yield _unlike(start, who, message, "csc.branch", theirs.branch)
    elif theirs.syncs != here.syncs:
        whose, other = (
            ("nobody", "a remote") if here.syncs else ("a remote", "nobody")
        )
        message = f"{whose}, but commands here with {other}"
        yield _unlike(
            start, who, message, "csc.sync", str(theirs.syncs).lower()
        )
    elif theirs.syncs and theirs.remote != here.remote:
        ours = readable(here.remote or "no remote")
        message = f"{readable(theirs.remote or 'no remote')}, but commands here with {ours}"
        yield _unlike(start, who, message, "csc.remote", theirs.named)


def _unlike(
    start: Start, who: str, message: str, name: str, value: str
) -> Finding:
    masked = (
        readable(value) != value
    )  # it holds a password, which is to be shown to nobody
    setting = (
        f"{name} URL, with the one of {start.file}"
        if masked
        else f"{name} {quote(value)}"
    )
    then = f"git config {setting}; or take that out of the entry: {start.renewal(SHARING)}"
    untried = (
        "The remote was not tried, so as to show neither what the other has"
    )
    return wrong(
        "client", f"{who}'s server shares with {message}. {untried}", then
    )


def _check_command(start: Start) -> Iterator[Finding]:
    """Would other programs than this shell find it?"""
    if not Path(start.command).is_absolute() and not is_on_path(start.command):
        message = (
            f"{start.title} starts {start.command} by its name, which only a shell finds in \
which its virtual environment is active"
        )
        yield doubtful(
            "client",
            message,
            f"Install csc-git by pipx or uv tool, or: {start.again}",
        )


def _try_out(start: Start) -> Finding:
    began = time.monotonic()
    with tempfile.TemporaryFile(
        "w+", encoding="utf-8", errors="replace"
    ) as said:
        try:
            tools = _started(start, said)
        except Exception as error:  # noqa: BLE001  whatever a program may answer that is no server
            said.seek(0)
            lines = said.read().splitlines()
            why = readable(lines[-1] if lines else _reason(error), 200)
            run = shlex.join([start.command, *start.arguments])
            message = f"{start.title}'s server does not start: {why}"
            return wrong("client", message, f"Run it yourself and see: {run}")
    took = time.monotonic() - began
    return fine(
        "client",
        f"{start.title}: the server starts, and lists {tools} tools ({took:.1f} s)",
    )


def _reason(error: BaseException) -> str:
    """What went wrong, inside whatever it was wrapped in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return f"it gives no answer within {_SECONDS:g} seconds"
    return str(error) or type(error).__name__


def _started(start: Start, said: TextIO) -> int:
    """Start a server as a client does; how many tools it lists."""
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
        with anyio.fail_after(_SECONDS):
            async with McpClient(
                stdio_client(parameters, errlog=said)
            ) as client:
                return len((await client.list_tools()).tools)

    with _quiet():
        return anyio.run(ask)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the SDK's message about an answer that is not one: it becomes a finding."""
    log = logging.getLogger("mcp")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)
