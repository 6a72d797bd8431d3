"""Read the system's clocks: one for the wall time, and one for elapsed time."""

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

    The time is read from `CLOCK_BOOTTIME`. This clock is used because it also runs while the
    machine sleeps: leases must lapse during this time too. The clock does not change when somebody
    sets the wall clock.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    seconds = time.clock_gettime(clock)
    return Instant(_boot(), seconds, time.time())


@cache
def _boot() -> str:
    """Return an id of the current boot of the machine.

    If the system has no id of the boot, return an id that is unique to this process. Two times with
    different boot ids are compared by the wall clock.
    """
    file = Path("/proc/sys/kernel/random/boot_id")
    try:
        text = file.read_text(encoding="ascii")
    except OSError:
        return _boot_of_macos() or f"process-{time.time_ns()}"
    return text.strip()


def _boot_of_macos() -> str:
    """Return the boot id that sysctlbyname(3) reports; "" if the function reports no boot id."""
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
