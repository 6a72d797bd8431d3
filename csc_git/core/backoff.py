"""Compute how long to wait between attempts: exponential backoff with jitter and an upper bound.

The policy follows Brooker, "Exponential Backoff and Jitter" (2015): the attempts of competing
clients are spread better if each client waits for a random share of the bound than if it waits for
the bound plus some noise. The random number is an argument, so that the policy can be simulated.
"""

from dataclasses import dataclass
from typing import Final

_MOST_DOUBLINGS: Final = 32
"""The upper bound of the first wait is doubled at most this many times, since a larger power of two
may overflow."""


@dataclass(frozen=True)
class Backoff:
    """A policy for the waits between attempts.

    Attributes:
        first: The first wait lasts at most this many seconds.
        most: No wait lasts longer than this many seconds, however many attempts have failed.
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
            failures: How many attempts in a row have failed, 1 or more.
            chance: A random number, uniform in [0, 1).
        """
        doublings = min(failures - 1, _MOST_DOUBLINGS)
        grown = self.first * 2.0**doublings
        bound = min(self.most, grown)
        share = 0.25 + 0.75 * chance
        return bound * share
