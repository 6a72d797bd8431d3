"""Power cuts: a few; `python -m tests.soak power` makes fifty of each kind."""

from pathlib import Path
from random import Random

import pytest

from tests.faults.power import System, cut_power, why_no_power_cut

pytestmark = pytest.mark.skipif(
    bool(why_no_power_cut()), reason=str(why_no_power_cut())
)


@pytest.mark.parametrize("system", ["ext4", "xfs"])
@pytest.mark.parametrize("online", [False, True])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_power_cut_loses_no_acknowledged_edit(
    tmp_path: Path, system: System, online: bool, seed: int
) -> None:
    cuts = cut_power(tmp_path, system, online=online, chance=Random(seed))  # noqa: S311
    assert cuts.lost == []
    assert cuts.acknowledged > 0
