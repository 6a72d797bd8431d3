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
        return (
            Path("/proc/sys/kernel/random/boot_id")
            .read_text(encoding="ascii")
            .strip()
        )
    except OSError:
        return _boot_of_macos() or f"process-{time.time_ns()}"


def _boot_of_macos() -> str:
    """The same by sysctlbyname(3); empty where there is no such thing."""
    import ctypes  # noqa: PLC0415  not where it isn't needed

    text = ctypes.create_string_buffer(64)
    size = ctypes.c_size_t(len(text))
    try:
        ask = ctypes.CDLL(None).sysctlbyname
    except (OSError, AttributeError):
        return ""
    failed = ask(
        b"kern.bootsessionuuid",
        text,
        ctypes.byref(size),
        None,
        ctypes.c_size_t(0),
    )
    return "" if failed else text.value.decode(errors="replace")
