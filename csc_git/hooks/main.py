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
import time
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, Final

from csc_git.coordinator.client import started_ticks

_SECONDS: Final = 0.28
"""From the start of the process until it gives up; its end takes the rest of 300 ms."""

_SECONDS_AT_START: Final = 2.0
"""The same for the start of a session, which waits for a first contact with the remote."""

_LEAST: Final = 0.05
_START: Final = 0.02
"""What the interpreter's own start takes, where the system doesn't tell when that was."""

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
        signal.setitimer(signal.ITIMER_REAL, max(_LEAST, _allowed(sys.argv[1]) - _elapsed()))
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


def _allowed(event: str) -> float:
    usual = _SECONDS_AT_START if event == "session-start" else _SECONDS
    return float(os.environ.get("CSC_HOOK_SECONDS") or usual)


def _elapsed() -> float:
    """Seconds since this process was started; a busy machine may take long to start it."""
    ticks = started_ticks(os.getpid())
    if ticks is None:
        return _START
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def _give_up(_: int, __: FrameType | None) -> None:
    _debug("gave up: no time left")
    os._exit(0)


def _debug(words: str) -> None:
    if os.environ.get("CSC_HOOK_DEBUG"):
        sys.stderr.write(f"csc-git-hook: {words}\n")


if __name__ == "__main__":
    main()
