"""How long to wait between attempts: exponential, with full jitter, and bounded.

After Brooker, "Exponential Backoff and Jitter" (2015): a random share of the bound spreads
contenders better than the bound plus noise. Chance comes in as an argument, so the policy can be
simulated.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """A waiting policy.

    Attributes:
        first: Bound of the first wait, in seconds.
        most: Bound that no later wait exceeds.
    """

    first: float
    most: float

    def wait(self, failures: int, chance: float) -> float:
        """Seconds to wait after `failures` failures in a row.

        Args:
            failures: 1 or more.
            chance: Uniform in [0, 1).
        """
        bound = min(self.most, self.first * 2.0 ** min(failures - 1, 32))
        return bound * (0.25 + 0.75 * chance)
