"""Pace: decide when a clone may push again, so that all clones of a branch can push.

A push contains all queued edits of a clone, and the remote accepts one push at a time. A clone
whose push fails because another clone pushed first has to fetch, replay its edits and push again.
So a clone that pushes after each edit makes the pushes of the other clones fail. A clone whose
pushes often fail has more and more edits to replay, and therefore its pushes fail even more often.
Exponential backoff makes this worse, since the clone whose push has just succeeded then waits for
the shortest time.

Therefore a clone that has pushed leaves time for the other clones. Before its next push, the clone
collects edits for about one and a half rounds (fetch, replay, push) for each clone that has written
recently. A clone counts itself as one of the clones that have written recently. There may be
further clones that nobody knows, since their pushes have never succeeded. A clone whose push failed
because another clone pushed first tries again soon. The length of a round is measured, so the rule
works for a remote that answers in 30 ms and for a remote that needs seconds.

`tests/simulation.py` runs this code on a virtual clock and finds the limits of one branch.
"""

from collections.abc import Iterable
from typing import Final

_ROOM: Final = 1.5
"""Between two pushes, a clone waits this many rounds for each clone that writes. With a larger
number, edits are synced later; with a smaller number, pushes of other clones fail."""

_HORIZON: Final = 15.0
"""After an edit, a clone is regarded as writing for this many seconds, or for three times the
average wait between two pushes, whichever is longer."""

_SMOOTHING: Final = 0.3
"""The length of a round is a moving average, in which the newest round has this weight."""

_FIRST_RETRY: Final = 2.0
"""The wait before the first retry is at most this many rounds."""

_GROWTH: Final = 1.5
"""With each further retry, the longest possible wait is multiplied by this number."""

_QUICK: Final = 2.0
"""Between two looks at the remote, a server waits for at least this many seconds. If the configured
longest wait is shorter than this, the server waits for the configured time instead."""

_PATIENCE: Final = 0.1
"""A server looks at the remote less often if no other clone has written for a long time. The wait
is the time since another clone last wrote, multiplied by this number."""


def requests_per_hour(longest: float) -> tuple[int, int]:
    """Compute how many times an hour a server looks at the remote.

    Args:
        longest: The longest wait between two looks, in seconds.

    Returns:
        The number of looks an hour while nobody writes, and the largest number of looks an hour.
    """
    shortest = min(longest, _QUICK)
    at_rest = round(3600 / longest)
    at_most = round(3600 / shortest)
    return at_rest, at_most


class Pace:
    """The pace of one clone. All times are in seconds, by any clock that never goes back.

    Attributes:
        free_at: When the next push may begin.
        urgent_at: When the next push may begin if a caller is waiting for the result of an edit.
    """

    def __init__(self) -> None:
        self.free_at = 0.0
        self.urgent_at = 0.0
        self._round = 0.1
        self._seen: dict[str, float] = {}
        self._news: float | None = None

    def measured(self, seconds: float) -> None:
        """Record how long a round took, in seconds."""
        difference = seconds - self._round
        self._round += _SMOOTHING * difference

    def saw(
        self,
        clones: Iterable[str],
        now: float,
    ) -> None:
        """Record that edits of other clones were found on the remote.

        Args:
            clones: Ids of the clones whose edits were found.
            now: The current time of the clock, in seconds.
        """
        found = dict.fromkeys(clones, now)
        self._seen.update(found)
        if found:
            self._news = now

    def others(self, now: float) -> int:
        """Count the other clones that have written recently.

        Args:
            now: The current time of the clock, in seconds.
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
        """Record that a push succeeded, and compute when the next push may begin.

        If a caller is waiting for the result of an edit, the next push may begin earlier. A caller
        that waits makes no more edits, so there is no reason to collect edits any longer.

        Args:
            now: The current time of the clock, in seconds.
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
        """Compute how many seconds to wait if pushes failed because other clones pushed first.

        Args:
            losses: How many pushes in a row have failed because other clones pushed first, 1 or
                more.
            now: The current time of the clock, in seconds.
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

        This function is for a clone that has nothing to push. The wait is short while other clones
        write. After the last write of another clone, the wait becomes longer and longer.

        Args:
            longest: The longest wait, in seconds.
            now: The current time of the clock, in seconds.
        """
        if self._news is None:
            return longest
        quiet = now - self._news
        patient = _PATIENCE * quiet
        wait = max(_QUICK, patient)
        return min(longest, wait)
