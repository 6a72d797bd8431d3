"""How long to wait between attempts: exponential, with full jitter, and bounded.

After Brooker, "Exponential Backoff and Jitter" (2015): a random share of the bound spreads
contenders better than the bound plus noise. The random number is an argument, so that the policy
can be simulated.
"""

from dataclasses import dataclass
from typing import Final

_MOST_DOUBLINGS: Final = 32
"""The first bound is doubled this often at most, since a larger power of two may overflow."""


@dataclass(frozen=True)
class Backoff:
    """A waiting policy.

    Attributes:
        first: Bound of the first wait, in seconds.
        most: Bound of all waits, in seconds.
    """

    first: float
    most: float

    def wait(
        self,
        failures: int,
        chance: float,
    ) -> float:
        """Compute how many seconds to wait before the next attempt.

        Args:
            failures: Failed attempts in a row, 1 or more.
            chance: A random number, uniform in [0, 1).
        """
        doublings = min(failures - 1, _MOST_DOUBLINGS)
        grown = self.first * 2.0**doublings
        bound = min(self.most, grown)
        share = 0.25 + 0.75 * chance
        return bound * share
