"""Pace: when a clone may push again, so that all who share a branch get their turns.

A push takes everything that is queued, and the remote takes one at a time: one that was overtaken
has to fetch, replay and try again. So a clone that pushes whenever it has an edit makes the others
lose, and a clone that loses often has more and more to replay, and loses even more often.
Exponential backoff makes that worse, since it favours the clone that has just won.

Therefore a clone that has had its turn leaves the others theirs: it gathers its edits for about as
long as one round (fetch, replay, push) of each clone that has written lately, itself included: it
may not have heard of those who never won. One that was overtaken tries again soon. Rounds are
measured, so the same rule does for a remote that answers in 30 ms and for one that takes seconds.

`tests/simulation.py` runs this code on a virtual clock and finds the limits of one branch.
"""

from collections.abc import Iterable
from typing import Final

_ROOM: Final = 1.5
"""Rounds left to each writing clone between two turns of our own. More costs time to synced, less
costs the others' pushes."""

_HORIZON: Final = 15.0
"""Seconds for which a clone counts as writing, if three windows are less."""

_SMOOTHING: Final = 0.3
_FIRST_RETRY: Final = 2.0
_GROWTH: Final = 1.5
_QUICK: Final = 2.0
_PATIENCE: Final = 0.1
"""Of the time since others last wrote, how much may pass between two looks at the remote."""


def requests_per_hour(longest: float) -> tuple[int, int]:
    """How often an hour a server looks at the remote: while nobody writes, and at most."""
    return round(3600 / longest), round(3600 / min(longest, _QUICK))


class Pace:
    """One clone's pace. Times are seconds of any clock that only goes forward."""

    def __init__(self) -> None:
        self.free_at = self.urgent_at = 0.0
        self._round = 0.1
        self._seen: dict[str, float] = {}
        self._news: float | None = None

    def measured(self, seconds: float) -> None:
        """Note how long a round took."""
        self._round += _SMOOTHING * (seconds - self._round)

    def saw(self, clones: Iterable[str], now: float) -> None:
        """Note whose edits were found on the remote, besides our own."""
        found = dict.fromkeys(clones, now)
        self._seen.update(found)
        self._news = now if found else self._news

    def others(self, now: float) -> int:
        """How many other clones have written lately."""
        horizon = max(_HORIZON, 3 * _ROOM * self._round * (len(self._seen) + 1))
        self._seen = {
            name: at for name, at in self._seen.items() if now - at < horizon
        }
        return len(self._seen)

    def took(self, now: float, chance: float) -> None:
        """Note that a push was taken.

        `free_at` is when the next one may begin, and `urgent_at` when it may if somebody waits
        for its answer: there is nothing to gather then.

        Args:
            now: The clock.
            chance: Uniform in [0, 1).
        """
        self.urgent_at = now + self._round * chance
        clones = self.others(now) + 1
        self.free_at = now + _ROOM * self._round * clones * (0.5 + chance)

    def retry(self, losses: int, now: float, chance: float) -> float:
        """Seconds to wait after so many pushes in a row that were overtaken."""
        rounds = min(
            self.others(now) + 1.0, _FIRST_RETRY * _GROWTH ** (losses - 1)
        )
        return self._round * rounds * chance

    def poll(self, longest: float, now: float) -> float:
        """Seconds until the next look at a remote to which we have nothing to say.

        Quick while others write, and ever slower the longer nobody has.
        """
        if self._news is None:
            return longest
        return min(longest, max(_QUICK, _PATIENCE * (now - self._news)))
