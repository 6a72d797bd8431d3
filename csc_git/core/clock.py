"""Time: a hybrid logical clock, after Kulkarni et al., "Logical Physical Clocks" (2014).

A new time is the wall clock's time if that is later than all times seen before. Otherwise it is
one microsecond after the latest of them. So an edit made after seeing another one is later than
it, even if the clocks of the two machines disagree, and times still read as wall time.

A time more than a few minutes ahead of the reader's clock is not adopted, so that one machine with
a wrong clock does not move the times of all others into the future. Therefore the times along a
branch fall where a machine's clock was wrong. `timeline` computes when each commit really entered
the history.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

TICK: Final = timedelta(microseconds=1)
TRUSTED_AHEAD: Final = timedelta(minutes=5)
"""How far ahead of the reader's clock a time may be and still be adopted.

Clocks set by NTP agree within a second; five minutes is what Kerberos allows (RFC 4120, 1.5)."""

_FOLLOWING: Final = 64
"""Commits that are looked at to find whether the first machine of a history had a wrong clock."""

_FORM: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",
    re.ASCII,
)
_WIDTH: Final = len("2026-11-22T18:05:11.123456Z")
_LAST: Final = datetime(
    year=9999,
    month=1,
    day=1,
    tzinfo=UTC,
)
"""Later times are not followed, since the largest possible time would have none after it."""

EPOCH: Final = datetime(
    year=1970,
    month=1,
    day=1,
    tzinfo=UTC,
)


def format_time(time: datetime) -> str:
    """Write a time as `2026-11-22T18:05:11.123456Z`.

    The width is fixed, so that the order of the texts is the order of the times.
    """
    in_utc = time.astimezone(UTC)
    text = in_utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return text.rjust(_WIDTH, "0")


def parse_time(text: str) -> datetime:
    """Read what `format_time` wrote.

    Raises:
        ValueError: `text` has another form, or there is no such time.
    """
    if not _FORM.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text)


def is_ahead(
    time: datetime,
    now: datetime,
) -> bool:
    """Check whether a time is too far ahead to be adopted.

    Args:
        time: The time to check.
        now: The reader's clock.
    """
    return time - now > TRUSTED_AHEAD


def tick(
    now: datetime,
    seen: Iterable[datetime],
    replaced: Iterable[datetime] = (),
) -> datetime:
    """Compute the time of a new edit.

    Args:
        now: The wall clock.
        seen: Times that this clone knows; those too far ahead are left out.
        replaced: Times of the values that the edit replaces. The new time is later than each of
            them, even than one far ahead. So the mistake of a wrong clock stays in these keys.
    """
    past = [time for time in seen if not is_ahead(time, now)]
    past += [time for time in replaced if time < _LAST]
    if not past:
        return now
    latest = max(past)
    following = latest + TICK
    return max(now, following)


@dataclass(frozen=True)
class Mark:
    """The clock of one commit.

    Attributes:
        machine: Which machine placed the commit.
        clock: Its `Csc-Clock`.
    """

    machine: str
    clock: datetime


@dataclass
class Timeline:
    """When commits entered a history, computed from all their clocks together.

    Attributes:
        times: One for each commit, oldest first; they never fall.
        ahead: Machines whose clock was ahead by more than `TRUSTED_AHEAD`, and by how much.
        behind: Machines whose clock was behind by more than `TRUSTED_AHEAD`, and by how much.
    """

    times: list[datetime]
    ahead: dict[str, timedelta]
    behind: dict[str, timedelta]


def timeline(
    marks: Sequence[Mark],
    now: datetime,
) -> Timeline:
    """Compute when each commit entered the history, although some clocks were wrong.

    The cases for each commit, in this order. The time *reached* is the latest of the times that
    the commits before it have.

    1. Its clock is far ahead of `now`, so it is wrong. The commit gets the time reached; the first
       commit gets the epoch.
    2. Its clock is not behind the time reached. The commit gets the time of its clock.
    3. Its clock is behind by minutes at most. The commit gets the time reached.
    4. Its clock is behind by more, and the leader, the machine that set the time reached, was
       ahead. The leader's commits since then get the time of this one's clock. The leader was
       ahead if this clock agrees with the time that the other machines had reached. If no other
       machine had been seen yet, it was ahead if two others go on with clocks like this one.
    5. Its clock is behind by more, and the leader was right, so this machine is behind. The commit
       gets the time reached.

    Args:
        marks: The commits, oldest first.
        now: The reader's clock.
    """
    found = Timeline(
        times=[],
        ahead={},
        behind={},
    )
    reached: datetime | None = None
    vouched: datetime | None = None  # reached by other machines than the leader
    leader = ""
    for number, mark in enumerate(marks):
        time = mark.clock
        if is_ahead(time, now):  # case 1
            fault = time - now
            _note(found.ahead, mark.machine, fault)
            time = reached or EPOCH
        elif reached is None or time >= reached:  # case 2
            if mark.machine != leader:
                vouched = reached
                leader = mark.machine
            reached = time
        elif reached - time <= TRUSTED_AHEAD:  # case 3
            time = reached
        elif _was_ahead(marks, number, leader, reached, vouched):  # case 4
            fault = reached - time
            _note(found.ahead, leader, fault)
            _lower_to(time, found.times)
            reached = time
            leader = mark.machine
        else:  # case 5
            fault = reached - time
            _note(found.behind, mark.machine, fault)
            time = reached
        found.times.append(time)
    return found


def _was_ahead(
    marks: Sequence[Mark],
    number: int,
    leader: str,
    reached: datetime,
    vouched: datetime | None,
) -> bool:
    """Check whether the leader was ahead, now that a clock falls.

    Args:
        marks: The commits, oldest first.
        number: Place of the commit whose clock is behind.
        leader: The machine that set the time reached.
        reached: The time reached.
        vouched: The time that other machines than the leader had reached; None if there were none.
    """
    if vouched is not None:
        return marks[number].clock >= vouched
    end = number + _FOLLOWING
    below = set[str]()
    for mark in marks[number:end]:
        fall = reached - mark.clock
        if fall > TRUSTED_AHEAD:
            below.add(mark.machine)
    others = below - {leader}
    return len(others) > 1


def _lower_to(time: datetime, times: list[datetime]) -> None:
    """Lower the times at the end that are later than `time`; none before them is."""
    start = len(times)
    while start > 0 and times[start - 1] > time:
        start -= 1
        times[start] = time


def _note(
    faults: dict[str, timedelta],
    machine: str,
    by: timedelta,
) -> None:
    """Keep the largest fault of a machine."""
    known = faults.get(machine)
    if known is None or by > known:
        faults[machine] = by
