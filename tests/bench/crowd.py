"""Crowds: processes of one clone, and clones of one remote, that write at the same time."""

from dataclasses import dataclass
from itertools import count
from typing import Any

from tests.bench.row import Report, Row, Spread
from tests.world import Crowd, World

_number = count()


def one_clone(world: World, report: Report, rounds: int) -> list[Row]:
    """Eight processes that write into one clone, compared with one."""
    alone, together, spread = list[float](), list[float](), list[float]()
    for number in range(max(1, rounds // 100)):
        report(
            f"one process, then eight, writing into one clone (turn {number + 1})"
        )
        alone.append(_rate(world, 1, 4 * rounds // 3)[0])
        rate, fairness = _rate(world, 8, rounds // 3)
        together.append(rate)
        spread.append(fairness)
    ours, floor = Spread.of(together), Spread.of(alone)
    value = round(ours.median / floor.median, 2)
    note = f"most to least per process {max(spread):.2f} (bar 2)"
    met = value >= 0.8 and max(spread) <= 2
    return [
        Row(
            "8 processes, one clone",
            "/s",
            ours,
            floor,
            value,
            "≥ 0.8×",
            met,
            note,
        )
    ]


def _rate(world: World, processes: int, each: int) -> tuple[float, float]:
    """Edits a second while all were writing, and the ratio of the most to the fewest edits."""
    clone = world.clone(f"crowd-{next(_number)}")
    answers = Crowd(
        [["timed", str(clone), f"p{n}", str(each)] for n in range(processes)]
    ).run()
    made: list[list[tuple[str, float, float]]] = [
        answer["timed"] for answer in answers
    ]
    began = max(edits[0][1] for edits in made)
    ended = min(edits[-1][2] for edits in made)
    counts = [sum(began <= at <= ended for _, _, at in edits) for edits in made]
    return sum(counts) / (ended - began), max(counts) / max(1, min(counts))


@dataclass(frozen=True)
class _Load:
    """A number of clones, their rate of edits, and the goals they must meet."""

    name: str
    clones: int
    each: float
    seconds: float
    rate: float
    p99: float | None = None


LOADS = (
    _Load("8 clones × 15 edits/s, 20 s", 8, 15, 20, 100, 5),
    _Load("16 clones × 5 edits/s, 40 s", 16, 5, 40, 70),
    _Load("8 clones × 2 edits/s, 20 s", 8, 2, 20, 14),
)


def many_clones(world: World, report: Report, _: int) -> list[Row]:
    """Clones of one remote that offer edits at a steady rate."""
    return [_offer(world, report, load) for load in LOADS]


def _offer(world: World, report: Report, load: _Load) -> Row:
    report(load.name)
    apart = World(world.directory / f"load-{next(_number)}")
    apart.directory.mkdir()
    paths = [apart.clone(f"c{number}") for number in range(load.clones)]
    commands = [
        ["offer", str(p), p.name, str(load.each), str(load.seconds)]
        for p in paths
    ]
    answers = Crowd(commands).run()
    began = max(answer["began"] for answer in answers)
    counts = [
        _within(answer, began, began + load.seconds) for answer in answers
    ]
    lost = sum(
        len(answer["made"]) - len(answer["synced"]) for answer in answers
    )
    waits = Spread.of(
        [
            answer["synced"].get(op, began + 1e6) - at
            for answer in answers
            for op, at in answer["made"].items()
        ]
    )
    rate, spread = sum(counts) / load.seconds, max(counts) / max(1, min(counts))
    met = rate >= load.rate and spread <= 3 and lost == 0
    met = met and (load.p99 is None or waits.p99 <= load.p99)
    bar = f"≥ {load.rate:g}/s, ≤ 3" + (
        f", ≤ {load.p99:g} s" if load.p99 else ""
    )
    note = f"most to least {spread:.2f}, lost {lost}, to synced {waits.median:.1f} s"
    note += f" and at p99 {waits.p99:.1f} s"
    shown = Spread.of([one / load.seconds for one in counts])
    return Row(
        load.name, "/s each", shown, None, round(rate, 1), bar, met, note
    )


def _within(answer: dict[str, Any], began: float, ended: float) -> int:
    return sum(began <= at <= ended for at in answer["synced"].values())
