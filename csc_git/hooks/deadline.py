"""The time limit of a hook. When the time is up, the hook's process ends.

The time is counted from the start of the process. On a busy machine, Python may take long to start.
"""

import os
import signal
import sys
import time
from types import FrameType
from typing import Final

from csc_git.coordinator.sessions.client_process import started_ticks

_LEAST: Final = 0.05
"""A hook gets at least this many seconds, even if its time is already up."""

_START: Final = 0.02
"""The assumed seconds that Python needs to start, if the system does not report the start time."""


def allow(seconds: float) -> None:
    """Limit the time of the process. A second call replaces the limit of the first call.

    Args:
        seconds: The limit, counted from the start of the process. If the
            environment variable `CSC_HOOK_SECONDS` is set, its value is used as the limit instead.
    """
    configured = os.environ.get("CSC_HOOK_SECONDS")
    allowed = float(configured or seconds)
    rest = max(_LEAST, allowed - _elapsed())
    signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, rest)


def debug(words: str) -> None:
    """If `CSC_HOOK_DEBUG` is set, write to standard error what went wrong."""
    if os.environ.get("CSC_HOOK_DEBUG"):
        sys.stderr.write(f"csc-git-hook: {words}\n")


def _elapsed() -> float:
    """Seconds since this process was started."""
    ticks = started_ticks(os.getpid())
    if ticks is None:
        return _START
    ticks_a_second = os.sysconf("SC_CLK_TCK")
    started = ticks / ticks_a_second
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    return now - started


def _give_up(_signal: int, _frame: FrameType | None) -> None:
    debug("gave up: no time left")
    os._exit(0)
