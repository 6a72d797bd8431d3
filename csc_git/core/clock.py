"""Time: a hybrid logical clock, after Kulkarni et al., "Logical Physical Clocks" (2014).

A new time is the wall clock's, unless that is not later than what was already seen; then it is
one microsecond past it. So an edit made after seeing another is later than it, whatever the two
machines' clocks say, and times still read as wall time.

A time more than a day ahead of the reader's clock is not adopted: one machine whose clock is
wrong must not drag everybody's into its future.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

TICK: Final = timedelta(microseconds=1)
TRUSTED_AHEAD: Final = timedelta(days=1)
"""How far ahead of the reader's clock a time may be and still be adopted."""

_FORM: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_LAST: Final = datetime(9999, 1, 1, tzinfo=UTC)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def format_time(time: datetime) -> str:
    """`2026-11-22T18:05:11.123456Z`: fixed width, so text order is time order."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def parse_time(text: str) -> datetime:
    """The inverse of `format_time`.

    Raises:
        ValueError: another form, or no such time.
    """
    if not _FORM.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text)


def is_ahead(time: datetime, now: datetime) -> bool:
    """Whether `time` is too far ahead of `now` to be adopted."""
    return time - now > TRUSTED_AHEAD


def tick(now: datetime, seen: Iterable[datetime], replaced: Iterable[datetime] = ()) -> datetime:
    """The time of a new edit.

    Args:
        now: The wall clock.
        seen: Times this clone knows of; those too far ahead are left out.
        replaced: Times of the values the edit replaces. It must be later than each of them, even
            of one far ahead: only these keys then carry that clock's mistake on.
    """
    past = [time for time in seen if not is_ahead(time, now)]
    past += [time for time in replaced if time < _LAST]
    return max(now, *(time + TICK for time in past)) if past else now
