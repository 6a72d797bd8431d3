"""`csc-git-hook EVENT`: what Claude Code runs, with the event as JSON on standard input.

Exit code 0 whatever happens; words for the model are JSON on standard output, as
https://code.claude.com/docs/en/hooks describes it. With `CSC_HOOK_DEBUG` set, what went wrong is
reported on standard error.
"""

import gc
import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from csc_git.hooks.deadline import allow, debug

_SECONDS: Final = {
    "session-start": 2.0,
    "before-edit": 2.0,
    "session-end": 0.28,
}
"""From the start of the process until it gives up. A session's start waits for a first contact with
the remote. Before an edit the settings are read first; they decide how long the hook may take.
"""

_EVENTS: Final = {
    "session-start": "csc_git.hooks.session_start",
    "before-edit": "csc_git.hooks.before_edit",
    "session-end": "csc_git.hooks.session_end",
}


def main() -> None:
    """Answer the event named on the command line."""
    if not set(sys.argv[1:]) & _EVENTS.keys():
        sys.stdout.write(
            f"usage: csc-git-hook {'|'.join(_EVENTS)} < EVENT.json\n"
        )
        return
    gc.disable()  # nothing here lives long enough
    try:
        allow(_SECONDS[sys.argv[1]])
        if said := _answer(sys.argv[1], json.load(sys.stdin)):
            sys.stdout.write(json.dumps(said))
            sys.stdout.flush()
    except Exception as error:  # noqa: BLE001  a hook never fails the user's session
        debug(f"{type(error).__name__}: {error}")
    os._exit(
        0
    )  # to take everything down in order would take a tenth of the time


def _answer(event: str, event_data: dict[str, Any]) -> dict[str, Any] | None:
    module = import_module(_EVENTS[event])
    said: dict[str, Any] | None = module.answer(
        Path(event_data.get("cwd") or "."), event_data
    )
    return said


if __name__ == "__main__":
    main()
