"""The remote: how soon others see an edit, and how long an offline queue takes."""

import time

from csc_git.coordinator.coordinator import Coordinator
from tests.bench.floors import Git
from tests.bench.row import Report, Row, Spread, ratio
from tests.world import World, put, state_of

POLL = 0.5


def visible(world: World, report: Report, rounds: int) -> list[Row]:
    """Seconds from A's write until B has it, without B's wait; compared with a push and a fetch."""
    report("a write of one clone until another has it")
    one, two, floor = world.open("a"), world.open("b"), Git(world.directory)
    put(one, "warm", "k", 1)
    assert [state_of(clone) for clone in (one, two)] == ["ok", "ok"]
    ours, theirs = [], []
    for number in range(max(10, rounds // 10)):
        ours.append(_seen(one, two, number))
        theirs.append(floor.pass_on(number))
    return [
        ratio(
            "alone: A's write at B",
            ours,
            theirs,
            1.5,
            "without the wait for B's look",
        )
    ]


def _seen(one: Coordinator, two: Coordinator, number: int) -> float:
    began = time.perf_counter()
    put(one, "s", f"k{number % 100}", number)
    assert state_of(one) == "ok"
    assert state_of(two) == "ok"
    assert two.values.retrieve("s", f"k{number % 100}").value == number
    return time.perf_counter() - began


def offline(world: World, report: Report, rounds: int) -> list[Row]:
    """Queues of 1,000 and 10,000 edits, replayed on a newer base and pushed."""
    small = [_replay(world, report, 1000, number) for number in range(3)]
    large = [_replay(world, report, 10_000, 3)] if rounds >= 100 else []
    seconds = Spread.of(small)
    met = seconds.median <= 1.5
    rows = [
        Row(
            "1,000 offline edits",
            "s",
            seconds,
            None,
            round(seconds.median, 2),
            "≤ 1.5 s",
            met,
        )
    ]
    if large:
        value = round(large[0] / 10 / seconds.median, 2)
        spread = Spread.of(large)
        bar = "≤ 1.3× each"
        rows.append(
            Row(
                "10,000 offline edits",
                "s",
                spread,
                seconds,
                value,
                bar,
                value <= 1.3,
            )
        )
    return rows


def _replay(world: World, report: Report, edits: int, number: int) -> float:
    report(f"making {edits:,} edits offline")
    apart = World(world.directory / f"offline-{number}")
    apart.directory.mkdir()
    one, two = apart.open("one"), apart.open("two")
    put(one, "a", "b", 1)
    assert [state_of(clone) for clone in (one, two)] == ["ok", "ok"]
    for step in range(edits):
        put(
            one,
            "own",
            f"k{step % 100}",
            {"status": f"step {step}", "number": step},
        )
        if one.store.repository.maintenance.is_due():
            one.store.repository.maintenance.run()
    put(two, "a", "c", 2)
    assert state_of(two) == "ok"
    began = time.perf_counter()
    assert state_of(one, report) == "ok"
    took = time.perf_counter() - began
    assert not one.store.branch.queue()
    apart.close()
    return took
