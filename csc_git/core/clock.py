"""Time: a hybrid logical clock, after Kulkarni et al., "Logical Physical Clocks" (2014).

A new time is the wall clock's, unless that is not later than what was already seen; then it is
one microsecond past it. So an edit made after seeing another is later than it, whatever the two
machines' clocks say, and times still read as wall time.

A time more than a few minutes ahead of the reader's clock is not adopted: one machine whose clock
is wrong must not drag everybody's into its future. So the times along a branch fall where a
machine's clock was wrong. `timeline` computes when each commit really entered the history.
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
"""Commits that show whether the first machine of a history had a wrong clock."""

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


def tick(
    now: datetime, seen: Iterable[datetime], replaced: Iterable[datetime] = ()
) -> datetime:
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
        ahead: How far each machine's clock was ahead, of those that were by more than minutes.
        behind: How far each machine's clock was behind, of those that were by more than minutes.
    """

    times: list[datetime]
    ahead: dict[str, timedelta]
    behind: dict[str, timedelta]


def timeline(marks: Sequence[Mark], now: datetime) -> Timeline:
    """Compute when each commit entered the history, although some clocks were wrong.

    1. A clock far ahead of `now` is wrong. Its commit gets the time of the one before, or none.
    2. Where a clock falls by more than minutes, one of two machines is wrong. If the commit agrees
       with what all machines but the latest one had reached, or, where no other had been seen yet,
       if two others go on like this one, the latest one was ahead: its commits since then get the
       time of this one. Otherwise this machine is behind, and its commit gets the time that was
       reached.

    Args:
        marks: The commits, oldest first.
        now: The reader's clock.
    """
    found = Timeline([], {}, {})
    reached = vouched = (
        None  # the latest time, and the latest by another machine than its own
    )
    leader = ""
    for number, mark in enumerate(marks):
        time = mark.clock
        if is_ahead(time, now):
            _note(found.ahead, mark.machine, time - now)
            time = reached if reached is not None else EPOCH
        elif reached is None or time >= reached:
            if mark.machine != leader:
                vouched, leader = reached, mark.machine
            reached = time
        elif reached - time <= TRUSTED_AHEAD:
            time = reached
        elif _is_ahead_of_the_others(marks, number, leader, reached, vouched):
            _note(found.ahead, leader, reached - time)
            for earlier in range(number - 1, -1, -1):
                if found.times[earlier] <= time:
                    break
                found.times[earlier] = time
            reached, leader = time, mark.machine
        else:
            _note(found.behind, mark.machine, reached - time)
            time = reached
        found.times.append(time)
    return found


def _is_ahead_of_the_others(
    marks: Sequence[Mark],
    number: int,
    leader: str,
    reached: datetime,
    vouched: datetime | None,
) -> bool:
    """Whether the machine that had the latest time was ahead, now that a clock falls; rule 2."""
    if vouched is not None:
        return marks[number].clock >= vouched
    following = marks[number : number + _FOLLOWING]
    below = {
        one.machine for one in following if reached - one.clock > TRUSTED_AHEAD
    }
    return len(below - {leader}) > 1


def _note(faults: dict[str, timedelta], machine: str, by: timedelta) -> None:
    faults[machine] = max(by, faults.get(machine, timedelta(0)))
