"""Clocks of machines that are wrong, as their commits show."""

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


def wrong_clocks(store: Store, machine: str) -> list[str]:
    """Which machines' clocks are wrong by more than minutes, a line each.

    Nothing but the other machines' clocks shows which of two is right. If all others are ahead of
    this one, this one is behind.

    Args:
        store: The clone's store.
        machine: The name of this machine.
    """
    found = clock_faults(store.repository, store.branch.tip, clock.now())
    behind = _behind_all_others(store, machine, found.ahead)
    if behind:
        return [
            f"The clock of this machine is {behind} behind those of all others"
        ]
    lines = [
        f"The clock of {one} is {_by(gap)} ahead"
        for one, gap in found.ahead.items()
    ]
    lines += [
        f"The clock of {one} is {_by(gap)} behind"
        for one, gap in found.behind.items()
    ]
    return [printable(line) for line in lines]


def _behind_all_others(
    store: Store, machine: str, ahead: Mapping[str, timedelta]
) -> str:
    """By how much this machine is behind, if all of several others are ahead of it."""
    newest = islice(
        ancestry(store.repository.objects, store.branch.tip), _LATELY
    )
    others = {commit.committer for commit in newest} - {machine}
    if len(others) > 1 and others <= ahead.keys():
        return _by(min(ahead[one] for one in others))
    return ""


def _by(gap: timedelta) -> str:
    return span(gap.total_seconds())
