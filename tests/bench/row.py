"""Rows: one measure each, with its floor and its goal."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Report = Callable[[str], None]
"""Called with a few words on what is being measured."""


@dataclass(frozen=True)
class Spread:
    """The least, the middle and the 99th percentile of some samples."""

    least: float
    median: float
    p99: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Spread":
        """Of at least one sample."""
        ordered = sorted(samples)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        return cls(ordered[0], statistics.median(ordered), p99)


@dataclass(frozen=True)
class Row:
    """One measure.

    Attributes:
        name: What is measured.
        unit: Unit of the numbers.
        ours: Our samples.
        floor: The samples compared with, or None.
        value: The number that the goal limits, mostly the ratio of the medians.
        bar: The goal as text.
        met: Whether the goal is met.
        note: Further results.
    """

    name: str
    unit: str
    ours: Spread
    floor: Spread | None
    value: float
    bar: str
    met: bool
    note: str = ""


def ratio(
    name: str,
    ours: Sequence[float],
    floor: Sequence[float],
    most: float,
    note: str = "",
    unit: str = "ms",
) -> Row:
    """A row whose bar is the ratio of two series' medians, which are seconds if the unit is ms."""
    scale = 1000.0 if unit == "ms" else 1.0
    mine, other = (
        Spread.of([one * scale for one in series]) for series in (ours, floor)
    )
    value = mine.median / other.median
    return Row(
        name,
        unit,
        mine,
        other,
        round(value, 2),
        f"≤ {most:g}×",
        value <= most,
        note,
    )
