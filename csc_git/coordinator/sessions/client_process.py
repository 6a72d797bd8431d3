"""Find the client: the program that started this process, such as Claude Code.

A client starts its server and its hooks as child processes. So a hook compares its own client with
the client of each server. If both clients are the same, the hook works for the sessions of that
server. MCP itself does not define hooks.
"""

import os
from pathlib import Path
from typing import Final

_LAUNCHERS: Final = frozenset({
    "sh", "bash", "dash", "zsh", "fish", "ksh", "env", "timeout", "nice",
    "uv", "uvx", "pipx", "csc-git", "git",
})  # fmt: skip
"""These programs only start other programs, so none of them can be the client."""

_START_FIELD: Final = 19
"""The start time is field 22 of `/proc/<pid>/stat`, see proc(5). The fields that follow the name in
brackets are split into a list, in which the start time has this index."""


def client_identity() -> str | None:
    """Return the identity of the client: the nearest ancestor that is not a shell or launcher.

    The identity contains more than the process id, because the system reuses process ids, and two
    containers can use the same process id. Return None if no client can be found.
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
    """Return the start time of a process in ticks since boot; None if it is unknown.

    psutil is not used, because it converts the start time to wall time, which changes when the
    clock is set.
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
    """Return the id of the process namespace; 0 if it is unknown. Each container has its own id."""
    try:
        found = os.stat("/proc/self/ns/pid")  # noqa: PTH116
    except OSError:
        return 0
    return found.st_ino
