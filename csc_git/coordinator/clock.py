"""The clock: the one place that asks what time it is."""

import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from csc_git.core.lease import Instant


def now() -> datetime:
    """Wall time, for what people read and for the hybrid logical clock."""
    return datetime.now(UTC)


def instant() -> Instant:
    """This moment, for measuring how much time passes on this machine.

    `CLOCK_BOOTTIME` counts while the machine sleeps, as a lease does, and no wall clock
    adjustment moves it.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return Instant(_boot(), time.clock_gettime(clock), time.time())


@cache
def _boot() -> str:
    """An id of this boot; where the system has none, elapsed time falls back to wall time."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"process-{time.time_ns()}"
