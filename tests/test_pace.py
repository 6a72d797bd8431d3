"""The pace at which clones share a branch: the real policy on a virtual clock."""

import pytest

from csc_git.core.pace import Pace, requests_per_hour
from tests.simulation import HOSTED, LOCAL, RemoteSpeed, simulate


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
def test_every_clone_gets_its_share(
    remote: RemoteSpeed, clones: int, each: float, share: float, p99: float
) -> None:
    made = simulate(clones, each, remote, 120.0 if each > 1 else 600.0)
    assert made.rate >= share * clones * each
    assert made.spread <= 2
    assert made.p99 <= p99


def test_a_clone_alone_does_not_wait() -> None:
    made = simulate(1, 2.0, LOCAL, 60.0)
    assert made.losses == 0
    assert made.p99 < 0.3


def test_the_pause_grows_with_writers_and_with_a_slow_remote() -> None:
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


def test_a_waiting_caller_shortens_the_pause() -> None:
    pace = Pace()
    pace.saw([f"c{number}" for number in range(7)], 0.0)
    pace.took(0.0, 0.5)
    assert 0 < pace.urgent_at < pace.free_at / 4


def test_a_clone_that_stopped_writing_is_not_waited_for() -> None:
    pace = Pace()
    pace.saw(["two"], 0.0)
    assert pace.others(10.0) == 1
    assert pace.others(16.0) == 0


def test_polling_slows_down_while_no_clone_writes() -> None:
    pace = Pace()
    assert pace.poll(30.0, 0.0) == 30.0
    pace.saw(["two"], 0.0)
    waits = [pace.poll(30.0, now) for now in (0.0, 10.0, 100.0, 200.0, 1000.0)]
    assert waits == [2.0, 2.0, 10.0, 20.0, 30.0]
    assert pace.poll(0.5, 1.0) == 0.5
    assert requests_per_hour(30.0) == (120, 1800)
