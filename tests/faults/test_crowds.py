"""Crowds, short: many writers at once, everything going on beside; order as it happened."""

from pathlib import Path

import pytest

from tests.faults.crowds import OUTSIDERS, disorder, many_clones, one_clone
from tests.git_servers import http_server
from tests.world import World


def test_8_processes_on_one_clone_with_everything_going_on_beside(
    tmp_path: Path,
) -> None:
    made = one_clone(tmp_path, processes=8, times=12)
    assert made.lost == []
    assert made.disordered == []
    assert made.edits == 8 * 12
    assert len(made.beside) == len(OUTSIDERS)


def test_6_clones_whose_edits_are_confirmed_one_by_one(
    world: World, tmp_path: Path
) -> None:
    world.make_remote()
    with http_server(tmp_path) as server:
        made = many_clones(world, server.url("remote.git"), clones=6, times=5)
    assert made.lost == []
    assert made.disordered == []
    assert made.edits == 30


@pytest.mark.parametrize(
    ("branch", "found"),
    [(["a", "b", "c"], []), (["a", "c", "b"], []), (["c", "a", "b"], ["a"])],
)
def test_disorder_is_noticed(branch: list[str], found: list[str]) -> None:
    """`a` was over when `c` began; `b` overlaps with both."""
    timed = [("a", 0.0, 1.0), ("b", 0.5, 3.0), ("c", 2.0, 3.0)]
    assert disorder(timed, branch) == found
