"""The client: the program on whose behalf a process of ours runs.

A client such as Claude Code starts its server, and its hooks, as children of its own. That is how
a hook, which MCP does not know, recognises the sessions of its own client.
"""

import os
from pathlib import Path
from typing import Final

_LAUNCHERS: Final = frozenset({
    "sh", "bash", "dash", "zsh", "fish", "ksh", "env", "timeout", "nice",
    "uv", "uvx", "pipx", "csc-git", "git",
})  # fmt: skip
"""Programs that only start others; they are not the client."""


_STARTED: Final = 19
"""Of `/proc/<pid>/stat`, behind the name in brackets: field 22 of proc(5)."""


def client_identity() -> str | None:
    """Which client started us: the nearest ancestor that is no shell or launcher.

    Not its process id alone, which is used again, and which two containers may both have.
    None if there is none or it is unknown.
    """
    import psutil  # noqa: PLC0415  only who signs on, and hooks

    try:
        for ancestor in psutil.Process().parents():
            if ancestor.name().lstrip("-") not in _LAUNCHERS:
                started = started_ticks(ancestor.pid) or ancestor.create_time()
                return f"{ancestor.pid} {started} {_namespace()}"
    except psutil.Error:
        return None
    return None


def started_ticks(pid: int) -> int | None:
    """When a process started, in ticks since boot, where the system reports it.

    What psutil makes of that is a time of the wall clock, and moves when the clock is set.
    """
    try:
        said = Path(f"/proc/{pid}/stat").read_text(
            encoding="utf-8", errors="replace"
        )
    except OSError:
        return None
    return int(said.rpartition(")")[2].split()[_STARTED])


def _namespace() -> int:
    """Id of the process namespace, which differs between containers; 0 where there is none."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116
    except OSError:
        return 0
