"""The client: the program on whose behalf this process runs.

A client such as Claude Code starts its server and its hooks as child processes. A hook, which MCP
does not know, thus recognises the sessions of its own client.
"""

import os
from pathlib import Path
from typing import Final

_LAUNCHERS: Final = frozenset({
    "sh", "bash", "dash", "zsh", "fish", "ksh", "env", "timeout", "nice",
    "uv", "uvx", "pipx", "csc-git", "git",
})  # fmt: skip
"""Programs that only start others; they are not the client."""

_START_FIELD: Final = 19
"""Place of the start time in `/proc/<pid>/stat` after the name in brackets: field 22 of proc(5)."""


def client_identity() -> str | None:
    """Return the identity of the client: the nearest ancestor that is no shell or launcher.

    It is more than the process id, which is used again, and which two containers may both have.
    None if there is no such ancestor or it can't be found out.
    """
    import psutil  # noqa: PLC0415  only a sign-on and the hooks need it

    try:
        process = psutil.Process()
        for ancestor in process.parents():
            name = ancestor.name().lstrip("-")
            if name in _LAUNCHERS:
                continue
            pid = ancestor.pid
            started = started_ticks(pid) or ancestor.create_time()
            return f"{pid} {started} {_namespace()}"
    except psutil.Error:
        return None
    return None


def started_ticks(pid: int) -> int | None:
    """Return when a process started, in ticks since boot; None if the system does not report it.

    psutil turns it into a wall clock time, which changes when the clock is set.
    """
    file = Path(f"/proc/{pid}/stat")
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    _, _, after_name = text.rpartition(")")
    fields = after_name.split()
    return int(fields[_START_FIELD])


def _namespace() -> int:
    """Return the id of the process namespace, which differs between containers; 0 if none."""
    try:
        found = os.stat("/proc/self/ns/pid")  # noqa: PTH116
    except OSError:
        return 0
    return found.st_ino
