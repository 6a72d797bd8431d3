"""The system's clocks: the functions that read the wall time and the elapsed time."""

import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from csc_git.core.lease import Instant


def now() -> datetime:
    """Return the wall time, for texts that people read and for the hybrid logical clock."""
    return datetime.now(UTC)


def instant() -> Instant:
    """Return the current time, for measuring how much time passes on this machine.

    The clock is `CLOCK_BOOTTIME`, because this clock also runs while the machine sleeps, as
    leases do, and because it does not change when somebody sets the wall clock.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    seconds = time.clock_gettime(clock)
    return Instant(_boot(), seconds, time.time())


@cache
def _boot() -> str:
    """Return an id of the current boot of the machine.

    If the system has no such id, the id is unique to this process. Times with different ids are
    compared by the wall clock.
    """
    file = Path("/proc/sys/kernel/random/boot_id")
    try:
        text = file.read_text(encoding="ascii")
    except OSError:
        return _boot_of_macos() or f"process-{time.time_ns()}"
    return text.strip()


def _boot_of_macos() -> str:
    """Return the id of this boot from sysctlbyname(3), or "" if the system has no such call."""
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
