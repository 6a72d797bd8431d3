"""The client: the program on whose behalf a process of ours runs.

A client such as Claude Code starts its server, and its hooks, as children of its own. That is how
a hook, which MCP knows nothing of, tells the sessions of its own client from those of others.
"""

from typing import Final

_LAUNCHERS: Final = frozenset({
    "sh", "bash", "dash", "zsh", "fish", "ksh", "env", "timeout", "nice",
    "uv", "uvx", "pipx", "csc-git", "git",
})  # fmt: skip
"""Programs that only start others; a client is none of them."""


def client_process() -> int:
    """Process id of the nearest ancestor that is no shell or launcher.

    0 if there is none, or it can't be told.
    """
    import psutil  # noqa: PLC0415  only who signs on, and hooks

    try:
        for ancestor in psutil.Process().parents():
            if ancestor.name().lstrip("-") not in _LAUNCHERS:
                return ancestor.pid
    except psutil.Error:
        return 0
    return 0
