"""The branches that an hour of fuzzing kept, and a random sample of what it tries."""

import base64
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.fuzz import CORPUS, one_input


def test_every_branch_of_the_fuzzing_corpus_is_read() -> None:
    cases = [
        base64.b64decode(case)
        for case in json.loads(CORPUS.read_text(encoding="ascii"))
    ]
    assert len(cases) > 50
    for case in cases:
        one_input(case)


@given(st.binary(max_size=600))
@settings(max_examples=150, deadline=None)
def test_any_random_branch_is_read_without_a_crash(data: bytes) -> None:
    one_input(data)
