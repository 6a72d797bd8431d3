"""Pace: when a clone may push again, so that all who share a branch get their turns.

A push takes everything that is queued, and the remote takes one at a time: one that was overtaken
has to fetch, replay and try again. So a clone that pushes whenever it has an edit makes the others
lose. A clone that loses often has more and more to replay, and therefore loses even more often.
Exponential backoff makes that worse, since it favours the clone that has just won.

Therefore a clone that has had its turn leaves time for the others. It gathers its edits for about
one and a half rounds (fetch, replay, push) of each clone that has written lately. It counts itself
too, since there may be clones whose pushes never succeeded and which it therefore does not know. A
clone that was overtaken tries again soon. Rounds are measured, so the same rule works for a remote
that answers in 30 ms and for one that takes seconds.

`tests/simulation.py` runs this code on a virtual clock and finds the limits of one branch.
"""

from collections.abc import Iterable
from typing import Final

_ROOM: Final = 1.5
"""Rounds left to each writing clone between two turns of our own. With more, an edit takes longer
until it is synced; with less, pushes of the others fail."""

_HORIZON: Final = 15.0
"""Seconds for which a clone counts as writing after an edit; three windows if that is more."""

_SMOOTHING: Final = 0.3
"""Weight of the newest round in the measured length of a round."""

_FIRST_RETRY: Final = 2.0
"""Rounds within which the first retry takes place."""

_GROWTH: Final = 1.5
"""Factor by which these rounds grow with each further retry."""

_QUICK: Final = 2.0
"""Fewest seconds between two looks at the remote, unless its own limit is lower."""

_PATIENCE: Final = 0.1
"""Share of the time since others last wrote that may pass between two looks at the remote."""


def requests_per_hour(longest: float) -> tuple[int, int]:
    """Compute how often an hour a server looks at the remote.

    Args:
        longest: Most seconds between two looks.

    Returns:
        The number while nobody writes, and the highest number.
    """
    shortest = min(longest, _QUICK)
    at_rest = round(3600 / longest)
    at_most = round(3600 / shortest)
    return at_rest, at_most


class Pace:
    """One clone's pace. Times are seconds of any clock that only goes forward.

    Attributes:
        free_at: When the next push may begin.
        urgent_at: When the next push may begin if a caller waits for its answer.
    """

    def __init__(self) -> None:
        self.free_at = 0.0
        self.urgent_at = 0.0
        self._round = 0.1
        self._seen: dict[str, float] = {}
        self._news: float | None = None

    def measured(self, seconds: float) -> None:
        """Note how long a round took."""
        difference = seconds - self._round
        self._round += _SMOOTHING * difference

    def saw(
        self,
        clones: Iterable[str],
        now: float,
    ) -> None:
        """Note which other clones' edits were found on the remote.

        Args:
            clones: Ids of these clones.
            now: The clock, in seconds.
        """
        found = dict.fromkeys(clones, now)
        self._seen.update(found)
        if found:
            self._news = now

    def others(self, now: float) -> int:
        """Count the other clones that have written lately.

        Args:
            now: The clock, in seconds.
        """
        others = len(self._seen)
        clones = others + 1
        three_windows = 3 * _ROOM * self._round * clones
        horizon = max(_HORIZON, three_windows)
        recent: dict[str, float] = {}
        for name, at in self._seen.items():
            age = now - at
            if age < horizon:
                recent[name] = at
        self._seen = recent
        return len(recent)

    def took(
        self,
        now: float,
        chance: float,
    ) -> None:
        """Note that the remote took a push, and compute when the next one may begin.

        A caller that waits for its answer need not wait for a whole window, since there is nothing
        to gather then.

        Args:
            now: The clock, in seconds.
            chance: A random number, uniform in [0, 1).
        """
        urgent = self._round * chance
        self.urgent_at = now + urgent
        others = self.others(now)
        clones = others + 1
        window = _ROOM * self._round * clones
        share = 0.5 + chance
        self.free_at = now + window * share

    def retry(
        self,
        losses: int,
        now: float,
        chance: float,
    ) -> float:
        """Compute how many seconds to wait after pushes that were overtaken.

        Args:
            losses: Overtaken pushes in a row, 1 or more.
            now: The clock, in seconds.
            chance: A random number, uniform in [0, 1).
        """
        others = self.others(now)
        writers = others + 1.0
        growth = _GROWTH ** (losses - 1)
        grown = _FIRST_RETRY * growth
        rounds = min(writers, grown)
        return self._round * rounds * chance

    def poll(
        self,
        longest: float,
        now: float,
    ) -> float:
        """Compute how many seconds to wait until the next look at the remote.

        This is for a clone that has nothing to push. The wait is short while others write, and
        grows with the time since they last wrote.

        Args:
            longest: Most seconds to wait.
            now: The clock, in seconds.
        """
        if self._news is None:
            return longest
        quiet = now - self._news
        patient = _PATIENCE * quiet
        wait = max(_QUICK, patient)
        return min(longest, wait)
