"""SessionEnd: the sessions of the client that ends are signed off, so that others know at once.

The hook itself only starts that: it goes on in a process of its own, which looks whose sessions
those were, and pushes that to the remote.
"""

import os
import sys
from pathlib import Path
from typing import Any, Final

from csc_git.coordinator.client_process import client_identity
from csc_git.git.child import start_detached
from csc_git.git.project import discover
from csc_git.store.clone_id import recall

_GOES_ON: Final = frozenset({"clear", "resume"})
"""Reasons for which a conversation ends, and its client and its server don't."""

_SHARING: Final = frozenset({"CSC_BRANCH", "CSC_REMOTE", "CSC_SYNC"})


def answer(start: Path, event_data: dict[str, Any]) -> None:
    """Have the client's sessions signed off."""
    # A process that goes on by itself is no child of the client, so it is asked here.
    client = client_identity()
    if event_data.get("reason") in _GOES_ON or client is None:
        return
    clone = discover(
        start
    ).common_dir  # a worktree may be removed with its session
    if recall(clone / "csc") is not None:
        start_detached(
            "csc_git.hooks.session_end", [str(clone), client], os.environ
        )


def sign_off_all(clone: Path, client: str) -> None:
    """Sign a client's sessions off, each where its server shares: what was to stay here does."""
    from csc_git.hooks.glance import Glance  # noqa: PLC0415  the hook itself needs none

    glance = Glance.at(clone)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _SHARING
    }
    for name, one in (
        glance.presence.of_client(client).items() if glance else ()
    ):
        given = {
            f"CSC_{key.upper()}": str(value)
            for key, value in one.settings.items()
        }
        where = ["-C", str(clone), f"--holder={one.holder}"]
        start_detached(
            "csc_git", ["sign-off", *where, "--", name], kept | given
        )


if __name__ == "__main__":
    sign_off_all(Path(sys.argv[1]), sys.argv[2])
