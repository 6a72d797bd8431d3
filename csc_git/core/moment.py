"""Moments: how people and models name a point of the past."""

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
    """A commit, whole or abbreviated, or a time: one of the two."""

    commit: str | None = None
    time: datetime | None = None


def parse_moment(text: str, now: datetime) -> Moment:
    """Read `3f1c2ab`, `2026-11-22`, `2026-11-22T18:05Z`, or `2h` for two hours ago.

    Times without a zone are UTC, as all times are that csc-git shows.

    Raises:
        InvalidMoment: the text is not one of these.
    """
    if _COMMIT.fullmatch(text):
        return Moment(commit=text)
    try:
        if ago := _AGO.fullmatch(text):
            return Moment(time=now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
        time = datetime.fromisoformat(text)
        return Moment(
            time=(time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(
                UTC
            )
        )
    except (ValueError, OverflowError):
        raise InvalidMoment(
            f"{text[:80]!a} is neither a time nor a commit"
        ) from None
