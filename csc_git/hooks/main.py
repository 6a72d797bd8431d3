"""`csc-git-hook EVENT`: what Claude Code runs, with the event as JSON on standard input.

Exit code 0 whatever happens; words for the model are JSON on standard output, as
https://code.claude.com/docs/en/hooks describes it. With `CSC_HOOK_DEBUG` set, what went wrong is
told on standard error.
"""

import gc
import json
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, Final

_SECONDS: Final = "0.26"
"""Until a hook gives up; the start of the interpreter takes the rest of 300 ms."""

_EVENTS: Final = {
    "session-start": "csc_git.hooks.start",
    "before-edit": "csc_git.hooks.guard",
    "session-end": "csc_git.hooks.end",
}


def main() -> None:
    """Answer the event named on the command line."""
    if not set(sys.argv[1:]) & _EVENTS.keys():
        sys.stdout.write(f"usage: csc-git-hook {'|'.join(_EVENTS)} < EVENT.json\n")
        return
    gc.disable()  # nothing here lives long enough
    try:
        signal.signal(signal.SIGALRM, _give_up)
        signal.setitimer(signal.ITIMER_REAL, float(os.environ.get("CSC_HOOK_SECONDS") or _SECONDS))
        if said := _answer(sys.argv[1], json.load(sys.stdin)):
            sys.stdout.write(json.dumps(said))
            sys.stdout.flush()
    except Exception as error:  # noqa: BLE001  a hook never fails the user's session
        _debug(f"{type(error).__name__}: {error}")
    os._exit(0)  # to take everything down in order would take a tenth of the time


def _answer(event: str, told: dict[str, Any]) -> dict[str, Any] | None:
    module = import_module(_EVENTS[event])
    said: dict[str, Any] | None = module.answer(Path(told.get("cwd") or "."), told)
    return said


def _give_up(_: int, __: FrameType | None) -> None:
    _debug("gave up: no time left")
    os._exit(0)


def _debug(words: str) -> None:
    if os.environ.get("CSC_HOOK_DEBUG"):
        sys.stderr.write(f"csc-git-hook: {words}\n")


if __name__ == "__main__":
    main()
