"""Faults at every system call that changes what is on disk, in every operation that writes."""

from pathlib import Path

import pytest

from tests.faults.call_sweep import CallSweep
from tests.faults.faulted_process import ACTIONS
from tests.faults.injection import MISSING

pytestmark = pytest.mark.skipif(bool(MISSING), reason=str(MISSING))


STRIDE = 8
"""Each eighth call in each operation; `python -m tests.soak` takes every one."""


@pytest.mark.parametrize("action", [*ACTIONS, "git"])
def test_a_kill_at_any_system_call_loses_nothing(
    tmp_path: Path, action: str
) -> None:
    tally = CallSweep(tmp_path, action, STRIDE).kill()
    assert not tally.broken
    assert tally.faults >= 5


@pytest.mark.parametrize("action", [*ACTIONS, "git"])
def test_an_error_at_any_system_call_loses_nothing(
    tmp_path: Path, action: str
) -> None:
    tally = CallSweep(tmp_path, action, STRIDE).fail()
    assert not tally.broken
    assert tally.faults >= 5
