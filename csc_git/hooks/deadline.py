"""The deadline: somebody waits for a hook, so it ends by itself when its time is up.

Time counts from the start of the process, since a busy machine may take long to start it.
"""

import os
import signal
import sys
import time
from types import FrameType
from typing import Final

from csc_git.coordinator.client_process import started_ticks

_LEAST: Final = 0.05
_START: Final = 0.02
"""Seconds that the interpreter takes to start, for systems that do not report when it did."""


def allow(seconds: float) -> None:
    """End the process this many seconds after its start. A later call replaces an earlier one.

    Args:
        seconds: How long; the variable `CSC_HOOK_SECONDS` sets another length.
    """
    allowed = float(os.environ.get("CSC_HOOK_SECONDS") or seconds)
    signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, max(_LEAST, allowed - _elapsed()))


def debug(words: str) -> None:
    """Print what went wrong to standard error, if `CSC_HOOK_DEBUG` is set."""
    if os.environ.get("CSC_HOOK_DEBUG"):
        sys.stderr.write(f"csc-git-hook: {words}\n")


def _elapsed() -> float:
    """Seconds since this process was started."""
    ticks = started_ticks(os.getpid())
    if ticks is None:
        return _START
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf(
        "SC_CLK_TCK"
    )


def _give_up(_: int, __: FrameType | None) -> None:
    debug("gave up: no time left")
    os._exit(0)
