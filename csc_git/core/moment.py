"""Moments: points in the past, as people and models write them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from csc_git.errors import InvalidMoment

_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")
_AGO: Final = re.compile(r"([0-9]{1,6})([smhdw])(?: ago)?")
_UNITS: Final = {
    "s": "seconds",
    "m": "minutes",
    "h": "hours",
    "d": "days",
    "w": "weeks",
}


@dataclass(frozen=True)
class Moment:
    """A point in the past, given either by a commit or by a time.

    If `commit` is given, `time` is None. If `time` is given, `commit` is None.

    Attributes:
        commit: Id of a commit, in full or abbreviated.
        time: A time with a time zone.
    """

    commit: str | None = None
    time: datetime | None = None


def parse_moment(
    text: str,
    now: datetime,
) -> Moment:
    """Parse a moment. A time without a time zone is in UTC, like all times that csc-git shows.

    Args:
        text: A commit such as `3f1c2ab`, a time such as `2026-11-22` or `2026-11-22T18:05Z`, or
            `2h` for two hours ago.
        now: The time from which `2h` is counted back.

    Raises:
        InvalidMoment: `text` is neither a time nor a commit id.
    """
    if _COMMIT.fullmatch(text):
        return Moment(commit=text)
    try:
        time = _read_time(text, now)
    except (ValueError, OverflowError):
        raise InvalidMoment(
            f"{text[:80]!a} is neither a time nor a commit"
        ) from None
    return Moment(time=time)


def _read_time(text: str, now: datetime) -> datetime:
    """Parse a time, or a length of time such as `2h`, which is counted back from `now`.

    Raises:
        ValueError: `text` is not a time.
        OverflowError: the time is too early to be represented.
    """
    ago = _AGO.fullmatch(text)
    if ago is not None:
        number, unit = ago.groups()
        length = timedelta(**{_UNITS[unit]: int(number)})
        return now - length
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return time.astimezone(UTC)
