"""What the fuzzer found, and a random sample of what it tries."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.fuzz import CASES, one_input


@pytest.mark.parametrize("case", sorted(CASES.glob("*")), ids=lambda path: path.name)
def test_a_branch_that_was_once_misread(case: Path) -> None:
    one_input(case.read_bytes())


@given(st.binary(max_size=600))
@settings(max_examples=150, deadline=None)
def test_any_branch_can_be_read(data: bytes) -> None:
    one_input(data)
