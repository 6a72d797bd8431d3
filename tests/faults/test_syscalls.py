"""Faults at every system call that changes what is on disk, in every operation that writes."""

from pathlib import Path

import pytest

from tests.faults.injection import MISSING
from tests.faults.siege import Siege
from tests.faults.victim import ACTIONS

pytestmark = pytest.mark.skipif(bool(MISSING), reason=str(MISSING))


STRIDE = 8
"""Each eighth call in each operation; `python -m tests.soak` takes every one."""


@pytest.mark.parametrize("action", [*ACTIONS, "git"])
def test_killed_at_any_call(tmp_path: Path, action: str) -> None:
    tally = Siege(tmp_path, action, STRIDE).kill()
    assert not tally.broken
    assert tally.faults >= 5


@pytest.mark.parametrize("action", [*ACTIONS, "git"])
def test_refused_at_any_call(tmp_path: Path, action: str) -> None:
    tally = Siege(tmp_path, action, STRIDE).fail()
    assert not tally.broken
    assert tally.faults >= 5
