"""SessionEnd: when a client ends, sign off its sessions. Other sessions see the sign-off at once.

The hook only starts another process, which goes on after the hook has ended. That process finds the
client's sessions, signs them off, and pushes the sign-offs to the remote.
"""

import os
import sys
from pathlib import Path
from typing import Final

from csc_git.coordinator.sessions.client_process import client_identity
from csc_git.hooks import Event
from csc_git.processes.detached import start_detached
from csc_git.project.discovery import discover
from csc_git.store.clone_id import recall

_GOES_ON: Final = frozenset({"clear", "resume"})
"""If a conversation ends for one of these reasons, its client and its server keep running."""

_SHARING: Final = frozenset(
    {
        "CSC_BRANCH",
        "CSC_REMOTE",
        "CSC_SYNC",
    }
)
"""Variables that set the branch and the remote. Each session's own settings are used instead."""


def answer(start: Path, event: Event) -> None:
    """Start a process that signs off the client's sessions.

    Args:
        start: The directory that the session works in.
        event: The event from Claude Code, with the reason why the session ended.
    """
    # The new process will not be a child of the client, so the client is identified here.
    client = client_identity()
    reason = event.get("reason")
    if reason in _GOES_ON or client is None:
        return
    # If the work tree is removed at the end of the session, the common directory remains.
    clone = discover(start).common_dir
    if recall(clone / "csc") is None:
        return
    arguments = [str(clone), client]
    start_detached(
        "csc_git.hooks.session_end",
        arguments,
        os.environ,
    )


def sign_off_all(clone: Path, client: str) -> None:
    """Sign off a client's sessions, each on the branch and remote that its server used.

    Args:
        clone: The common directory of the clone.
        client: The identity of the client's process.
    """
    from csc_git.hooks.glance import Glance  # noqa: PLC0415  the hook itself needs none

    glance = Glance.at(clone)
    if glance is None:
        return
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in _SHARING
    }
    sessions = glance.presence.of_client(client)
    for name, session in sessions.items():
        own = {}
        for key, value in session.settings.items():
            variable = f"CSC_{key.upper()}"
            own[variable] = str(value)
        arguments = [
            "sign-off",
            "-C",
            str(clone),
            f"--holder={session.holder}",
            "--",
            name,
        ]
        start_detached(
            "csc_git",
            arguments,
            environment | own,
        )


if __name__ == "__main__":
    _, clone_argument, client_argument = sys.argv
    sign_off_all(Path(clone_argument), client_argument)
