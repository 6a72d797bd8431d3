"""Find machines whose clocks are wrong, by the times of their commits."""

from collections.abc import Mapping
from datetime import timedelta
from itertools import islice
from typing import Final

from csc_git.coordinator import clock
from csc_git.store.commit_walk import ancestry
from csc_git.store.past_edits import clock_faults
from csc_git.store.store import Store
from csc_git.text import printable, span

_LATELY: Final = 50
"""Only this many of the newest commits are read to find machines whose clocks can be compared."""

_FEWEST_OTHERS: Final = 2
"""At least this many other machines are needed to know which clock is wrong."""


def wrong_clocks(
    store: Store,
    machine: str,
) -> list[str]:
    """Return a line for each machine whose clock is wrong by several minutes or more.

    If two clocks differ, only the clocks of further machines show which clock is right. If the
    clocks of all other machines are ahead, the clock of this machine is behind.

    Args:
        store: The clone's store.
        machine: The name of this machine.
    """
    found = clock_faults(
        store.repository,
        store.branch.tip,
        clock.now(),
    )
    behind = _behind_all_others(store, machine, found.ahead)
    if behind is not None:
        by = _span(behind)
        return [
            f"The clock of this machine is {by} behind the clocks of all others"
        ]
    lines: list[str] = []
    for name, gap in found.ahead.items():
        by = _span(gap)
        lines.append(f"The clock of {name} is {by} ahead")
    for name, gap in found.behind.items():
        by = _span(gap)
        lines.append(f"The clock of {name} is {by} behind")
    return list(map(printable, lines))


def _behind_all_others(
    store: Store,
    machine: str,
    ahead: Mapping[str, timedelta],
) -> timedelta | None:
    """Return by how much this clock is behind all other clocks; None if any is not ahead."""
    objects = store.repository.objects
    tip = store.branch.tip
    newest = islice(ancestry(objects, tip), _LATELY)
    others = {commit.committer for commit in newest}
    others.discard(machine)
    if len(others) < _FEWEST_OTHERS:
        return None
    if others <= ahead.keys():
        return min(ahead[name] for name in others)
    return None


def _span(gap: timedelta) -> str:
    seconds = gap.total_seconds()
    return span(seconds)
