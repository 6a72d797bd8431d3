"""The clock: the only module that reads the system's clocks."""

import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from csc_git.core.lease import Instant


def now() -> datetime:
    """Return the wall time, for what people read and for the hybrid logical clock."""
    return datetime.now(UTC)


def instant() -> Instant:
    """Return this moment, for measuring how much time passes on this machine.

    `CLOCK_BOOTTIME` counts while the machine sleeps, as a lease does, and setting the wall clock
    does not change it.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    seconds = time.clock_gettime(clock)
    return Instant(_boot(), seconds, time.time())


@cache
def _boot() -> str:
    """Return an id of this boot.

    Where the system has none, it is one of this process, so times are compared by the wall clock.
    """
    file = Path("/proc/sys/kernel/random/boot_id")
    try:
        text = file.read_text(encoding="ascii")
    except OSError:
        return _boot_of_macos() or f"process-{time.time_ns()}"
    return text.strip()


def _boot_of_macos() -> str:
    """Return the id of this boot by sysctlbyname(3); empty if the system has no such call."""
    import ctypes  # noqa: PLC0415  only macOS needs it

    text = ctypes.create_string_buffer(64)
    size = ctypes.c_size_t(len(text))
    try:
        sysctl = ctypes.CDLL(None).sysctlbyname
    except (OSError, AttributeError):
        return ""
    failed = sysctl(
        b"kern.bootsessionuuid",
        text,
        ctypes.byref(size),
        None,
        ctypes.c_size_t(0),
    )
    if failed:
        return ""
    return text.value.decode(errors="replace")
