"""Races between clones over http, in short; `python -m tests.soak` runs them at length."""

import shutil
from pathlib import Path

import pytest

from tests import races


def test_a_counter_by_conditional_write_loses_no_increment(
    tmp_path: Path,
) -> None:
    found = races.count_together(tmp_path, clones=8, times=4)
    assert found["value"] == 32
    assert found["conflicts"] == 0  # each refusal was reported


_FAKETIME = pytest.mark.skipif(
    not shutil.which("faketime"), reason="needs faketime"
)


@pytest.mark.parametrize(
    ("cut", "hours_apart"),
    [(0.0, 0), (0.3, 0), pytest.param(0.0, 3, marks=_FAKETIME)],
    ids=["plain", "cut", "clocks"],
)
def test_one_claim_has_one_winner(
    tmp_path: Path, cut: float, hours_apart: int
) -> None:
    won = races.race_for_claims(
        tmp_path, clones=8, rounds=3, cut=cut, hours_apart=hours_apart
    )
    assert won == [1] * 3
