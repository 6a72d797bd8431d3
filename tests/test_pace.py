"""The pace at which clones share a branch: on a virtual clock, by the policy's own code."""

import pytest

from csc_git.core.pace import Pace, requests_per_hour
from tests.simulation import HOSTED, LOCAL, Remote, simulate


@pytest.mark.parametrize(
    ("remote", "clones", "each", "share", "p99"),
    [
        (LOCAL, 8, 15.0, 0.95, 8.0),
        (LOCAL, 16, 5.0, 0.9, 15.0),
        (LOCAL, 8, 2.0, 0.95, 5.0),
        (HOSTED, 8, 2.0, 0.75, 60.0),
        (HOSTED, 30, 1 / 60, 0.9, 150.0),
    ],
)
def test_nobody_starves(
    remote: Remote, clones: int, each: float, share: float, p99: float
) -> None:
    made = simulate(clones, each, remote, 120.0 if each > 1 else 600.0)
    assert made.rate >= share * clones * each
    assert made.spread <= 2
    assert made.p99 <= p99


def test_alone_nobody_waits_for_others() -> None:
    made = simulate(1, 2.0, LOCAL, 60.0)
    assert made.losses == 0
    assert made.p99 < 0.3


def test_a_turn_leaves_room_for_all_who_write_and_more_the_slower_the_remote() -> (
    None
):
    pace = Pace()
    pace.took(100.0, 0.5)
    alone = pace.free_at
    pace.saw(["two", "three"], 100.0)
    pace.took(100.0, 0.5)
    among_three = pace.free_at
    for _ in range(50):
        pace.measured(2.0)
    pace.took(100.0, 0.5)
    assert 100.0 < alone < among_three < pace.free_at
    assert among_three - 100.0 == pytest.approx(3 * (alone - 100.0))


def test_who_waits_for_an_answer_waits_less() -> None:
    pace = Pace()
    pace.saw([f"c{number}" for number in range(7)], 0.0)
    pace.took(0.0, 0.5)
    assert 0 < pace.urgent_at < pace.free_at / 4


def test_a_clone_that_wrote_long_ago_gets_no_room() -> None:
    pace = Pace()
    pace.saw(["two"], 0.0)
    assert pace.others(10.0) == 1
    assert pace.others(16.0) == 0


def test_looks_are_quick_while_others_write_and_slow_when_nobody_has_for_long() -> (
    None
):
    pace = Pace()
    assert pace.poll(30.0, 0.0) == 30.0
    pace.saw(["two"], 0.0)
    waits = [pace.poll(30.0, now) for now in (0.0, 10.0, 100.0, 200.0, 1000.0)]
    assert waits == [2.0, 2.0, 10.0, 20.0, 30.0]
    assert pace.poll(0.5, 1.0) == 0.5
    assert requests_per_hour(30.0) == (120, 1800)
