"""Time: a hybrid logical clock, after Kulkarni et al., "Logical Physical Clocks" (2014).

If the wall clock is later than all times seen before, a new edit gets the wall clock's time.
Otherwise the new edit gets a time that is one microsecond after the latest time seen. So if
somebody sees edit A and then makes edit B, B has the later time. This is true even if the clocks of
the two machines disagree. The times usually stay close to the times of the wall clocks.

A time that is more than a few minutes ahead of the reader's clock is ignored, so that one machine
with a wrong clock does not move the times of all other machines into the future. Therefore a
commit can have an earlier time than its parent if some machine's clock was wrong. `timeline`
computes when each commit really entered the history.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

TICK: Final = timedelta(microseconds=1)
TRUSTED_AHEAD: Final = timedelta(minutes=5)
"""A time that is ahead of the reader's clock by more than this is ignored.

Clocks that NTP sets agree within a second. Kerberos allows five minutes too (RFC 4120, 1.5)."""

_FOLLOWING: Final = 64
"""At most this many commits are read to find out whether a history's first machine had a wrong
clock."""

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
"""Times from the year 9999 on are ignored, since no time comes after the largest possible time."""

EPOCH: Final = datetime(
    year=1970,
    month=1,
    day=1,
    tzinfo=UTC,
)


def format_time(time: datetime) -> str:
    """Format a time as `2026-11-22T18:05:11.123456Z`.

    All texts have the same length, so sorting the texts also sorts the times.
    """
    in_utc = time.astimezone(UTC)
    text = in_utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return text.rjust(_WIDTH, "0")


def parse_time(text: str) -> datetime:
    """Parse a time that `format_time` wrote.

    Raises:
        ValueError: `text` does not have the form that `format_time` writes, or the time does not
            exist.
    """
    if not _FORM.fullmatch(text):
        raise ValueError(text)
    return datetime.fromisoformat(text)


def is_ahead(
    time: datetime,
    now: datetime,
) -> bool:
    """Check whether a time is so far ahead of the clock that it must be ignored.

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
        seen: Times that this clone knows. Times that are too far ahead are ignored.
        replaced: Times of the values that the edit replaces. The new time is later than each of
            these times, even if one is far ahead. So a wrong clock affects only the keys that were
            written by the machine with this clock.
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
    """The machine and the clock of one commit.

    Attributes:
        machine: Name of the machine that put the commit on the branch.
        clock: The time in the commit's `Csc-Clock` trailer.
    """

    machine: str
    clock: datetime


@dataclass
class Timeline:
    """The times at which commits entered a history, computed from the clocks of all commits.

    Attributes:
        times: One time for each commit, oldest first. No time is earlier than the time before it in
            the list.
        ahead: The machines whose clocks were ahead by more than `TRUSTED_AHEAD`. Each machine is
            mapped to the largest error of the machine's clock.
        behind: The machines whose clocks were behind by more than `TRUSTED_AHEAD`. Each machine is
            mapped to the largest error of the machine's clock.
    """

    times: list[datetime]
    ahead: dict[str, timedelta]
    behind: dict[str, timedelta]


def timeline(
    marks: Sequence[Mark],
    now: datetime,
) -> Timeline:
    """Compute when each commit entered the history, even if some clocks were wrong.

    The *latest earlier time* is the latest time of all earlier commits. The *leader* is the machine
    whose commit set the latest earlier time. For each commit, these five cases are tried in this
    order, and the first case that applies decides:

    1. The commit's clock is far ahead of `now`, so the clock was wrong. The commit gets the latest
       earlier time. If there is no earlier commit, the commit gets the time `EPOCH` (the start of
       1970).
    2. The commit's clock is not behind the latest earlier time. The commit gets the time of its
       clock.
    3. The commit's clock is behind the latest earlier time, but only by a few minutes. The commit
       gets the latest earlier time.
    4. The commit's clock is further behind than in case 3, and the leader's clock counts as ahead.
       The commit gets the time of its clock. Earlier commits that got a later time now get the time
       of this commit's clock too. If there are earlier commits of other machines, the leader's
       clock counts as ahead when this commit's clock is not behind the latest time of those
       machines. If there are none, the leader's clock counts as ahead when two machines other than
       the leader soon write commits whose clocks are further behind than in case 3.
    5. The commit's clock is further behind than in case 3, and the leader's clock counts as right.
       So the clock of this commit's machine was wrong. The commit gets the latest earlier time.

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
    vouched: datetime | None = (
        None  # latest time of machines other than the leader
    )
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
    """Decide case 4 of `timeline`: check whether the leader's clock was ahead.

    Args:
        marks: The commits, oldest first.
        number: Index in `marks` of the commit whose clock is behind the latest earlier time.
        leader: The machine whose commit set the latest earlier time.
        reached: The latest time of all earlier commits.
        vouched: The latest time of machines other than the leader; None if there were no other
            machines.
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
    """Replace all times in a sorted list that are later than `time` with `time`."""
    start = len(times)
    while start > 0 and times[start - 1] > time:
        start -= 1
        times[start] = time


def _note(
    faults: dict[str, timedelta],
    machine: str,
    by: timedelta,
) -> None:
    """Record the error of a machine's clock, unless a larger error is already recorded."""
    known = faults.get(machine)
    if known is None or by > known:
        faults[machine] = by
