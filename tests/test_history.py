"""The past: values at a moment, history, blame and diff."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.core.edit import Record
from csc_git.errors import (
    InputError,
    InvalidMoment,
    NoSuchCommit,
)
from tests.commands import csc_here
from tests.world import World, put


@pytest.fixture
def dated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> tuple[Coordinator, datetime]:
    """A clone that stored plan/n = 0, 1, …, 9, a minute between each; the time of the first."""
    one = world.open("one")
    start = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    for number in range(10):
        now = start + timedelta(minutes=number)
        monkeypatch.setattr(clock, "now", lambda now=now: now)
        put(one, "plan", "n", number)
        put(one, "other:deep", "m", number)
    return one, start


def test_a_value_is_read_as_of_a_time_or_commit(
    dated: tuple[Coordinator, datetime],
) -> None:
    one, start = dated

    def at(moment: str) -> Any:
        return one.values.retrieve("plan", "n", at=moment).value

    assert at("2026-03-01T12:00:01Z") == 0
    assert at("2026-03-01T12:05:30") == 5
    assert at("2026-03-01T13:05:30+01:00") == 5
    assert at("2030-01-01") == 9
    assert at("3m") == 6  # the clock shows the time of the last write
    assert not one.values.retrieve("plan", "n", at="2026-03-01T11:59:59Z").found
    commit = one.past.history("plan", "n").edits[4].commit
    assert at(commit) == 5
    assert at(commit[:12]) == 5
    assert start.minute == 0


def test_each_commit_is_the_state_at_its_own_time(
    dated: tuple[Coordinator, datetime],
) -> None:
    one = dated[0]
    for edit in one.past.history(limit=50).edits:
        commit = one.store.repository.objects.commit(edit.commit)
        record = Record.parse(commit.message)
        assert record
        assert one.past.at(record.clock.isoformat()).commit == edit.commit
        before = (record.clock - timedelta(microseconds=1)).isoformat()
        assert one.past.at(before).commit == commit.parent


@pytest.mark.parametrize(
    "bad", ["", "yesterday", "12:00", "-1h", "2026-13-01", "--help", "HEAD"]
)
def test_a_text_that_is_no_moment_is_refused(
    dated: tuple[Coordinator, datetime], bad: str
) -> None:
    with pytest.raises(InvalidMoment):
        dated[0].values.retrieve("plan", "n", at=bad)


def test_an_unknown_commit_is_refused(
    dated: tuple[Coordinator, datetime],
) -> None:
    with pytest.raises(NoSuchCommit):
        dated[0].values.retrieve("plan", "n", at="1234567")


def test_history_is_filtered_by_key_session_and_time(
    dated: tuple[Coordinator, datetime],
) -> None:
    past = dated[0].past
    found = past.history(limit=3)
    assert ([edit.subject for edit in found.edits], found.more) == (
        ["store other:deep/m", "store plan/n", "store other:deep/m"], True,
    )  # fmt: skip
    assert found.edits[0].changed[0].change == "changed"
    assert not past.history("plan", limit=10).more
    assert len(past.history("plan", "n", limit=100).edits) == 10
    assert {e.subject for e in past.history("other", limit=99).edits} == {
        "store other:deep/m"
    }
    assert past.history("nothing").edits == []
    between = past.history(
        "plan", since="2026-03-01T12:02", until="2026-03-01T12:05"
    )
    assert [edit.time[14:16] for edit in between.edits] == ["05", "04", "03"]
    put(dated[0], "plan", "x", 1)
    dated[0].edits.put(dated[0].authors.person("ada"), "plan", "n", "hers")
    assert [e.session for e in past.history(session="ada@one").edits] == [
        "ada@one"
    ]
    assert past.history(session="da@one").edits == []
    for bad in (0, 501):
        with pytest.raises(InputError, match="limit"):
            past.history(limit=bad)
    with pytest.raises(InputError, match="without its scope"):
        past.history(key="n")


def test_history_continues_when_a_directory_is_split(
    world: World,
) -> None:
    one = world.open("one")
    for number in range(300):
        put(one, "many", f"k{number}", number)
    put(one, "many", "k7", "again")
    assert len(one.past.history("many", "k7").edits) == 2
    assert len(one.past.history("many", limit=500).edits) == 301
    blamed = one.past.blame("many")
    assert len(blamed.keys) == 300
    assert blamed.keys["k7"].changed[0].change == "changed"


def test_blame_and_diff_print_the_past(
    dated: tuple[Coordinator, datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = dated[0]
    one.edits.put(one.authors.person("ada"), "plan", "who", "me\x1b[31m")
    monkeypatch.chdir(one.project.top)

    lines = csc_here("blame", "plan").splitlines()
    assert [line.split()[2:] for line in lines] == [
        ["tester@one", "n"],
        ["ada@one", "who"],
    ]
    shown = csc_here("diff", "2026-03-01T12:08:30")
    assert "plan/n\n  - 8  (tester@one, 2026-03-01T12:08:00Z)\n  + 9" in shown
    assert "plan/who\n  + " in shown
    assert "\x1b" not in shown
    found = json.loads(
        csc_here("diff", "2026-03-01T12:03", "2026-03-01T12:04", "--json")
    )
    assert [one["key"] for one in found["differences"]] == ["m", "n"]
    assert (
        csc_here("get", "plan", "n", "--at", "2026-03-01T12:03").strip() == "3"
    )
    assert "neither a time nor a commit" in csc_here("diff", "noon", code=1)
