"""Wrong clocks: when a commit entered the history, and which clocks are reported."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.core.clock import TRUSTED_AHEAD, Mark, timeline
from tests.world import World, person, put, state_of

TODAY = datetime(2026, 11, 27, 12, tzinfo=UTC)

MINUTE = timedelta(minutes=1)


def at(minutes: float) -> datetime:
    return TODAY + minutes * MINUTE


def times(*marks: tuple[str, float], now: datetime = TODAY) -> list[float]:
    """When each commit entered the history, in minutes from now."""
    found = timeline(
        [Mark(machine, at(minutes)) for machine, minutes in marks], now
    ).times
    return [(time - TODAY) / MINUTE for time in found]


def test_right_clocks_are_used_unchanged() -> None:
    assert times(("a", -30), ("b", -20), ("a", -10)) == [-30, -20, -10]


def test_a_difference_of_minutes_is_no_wrong_clock() -> None:
    assert times(("a", -30), ("b", -33), ("a", -29)) == [-30, -30, -29]
    assert not timeline([Mark("a", at(-30)), Mark("b", at(-33))], TODAY).behind


def test_a_clock_that_is_ahead_is_ignored() -> None:
    marks = [("a", -30.0), ("bad", 1380.0), ("b", -20.0), ("a", -10.0)]
    assert times(*marks) == [-30, -30, -20, -10]


def test_a_clock_that_was_ahead_is_found_by_comparison() -> None:
    marks = [
        ("a", -3000.0),
        ("bad", -1600.0),
        ("bad", -1599.0),
        ("b", -2980.0),
        ("a", -2970.0),
    ]
    assert times(*marks) == [-3000, -2980, -2980, -2980, -2970]
    found = timeline(
        [Mark(name, at(minutes)) for name, minutes in marks], TODAY
    )
    assert (list(found.ahead), list(found.behind)) == (["bad"], [])


def test_a_commit_by_a_slow_clock_is_dated_by_its_arrival() -> None:
    marks = [("a", -30.0), ("a", -20.0), ("slow", -4320.0), ("a", -10.0)]
    assert times(*marks) == [-30, -20, -20, -10]
    found = timeline(
        [Mark(name, at(minutes)) for name, minutes in marks], TODAY
    )
    assert (list(found.behind), found.behind["slow"]) == (
        ["slow"],
        timedelta(minutes=4300),
    )


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(-10_000, 10_000)),
        max_size=40,
    )
)
def test_times_of_a_history_never_decrease(
    marks: list[tuple[str, int]],
) -> None:
    found = times(*marks)
    assert found == sorted(found)
    assert len(found) == len(marks)


class Wall:
    """The wall clock of the process, which a test sets."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._real = clock.now
        self.ahead = timedelta(0)
        patch.setattr(clock, "now", lambda: self._real() + self.ahead)

    def set(self, **ahead: float) -> None:
        self.ahead = timedelta(**ahead)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    return Wall(monkeypatch)


def value_at(
    coordinator: Coordinator, key: str, at: str | None = None
) -> object:
    return coordinator.values.retrieve("s", key, at=at).value


def test_one_clock_a_day_ahead_changes_no_other_result(
    world: World, wall: Wall
) -> None:
    bad, other, laptop = (
        world.open(name) for name in ("bad", "other", "laptop")
    )
    put(other, "s", "k", "start")
    assert [state_of(one) for one in (other, laptop, bad)] == ["ok"] * 3
    wall.set(hours=23)
    put(bad, "x", "y", 1)
    assert state_of(bad) == "ok"
    wall.set(seconds=10)
    assert state_of(other) == "ok"
    put(other, "s", "k", "earlier")
    wall.set(seconds=20)
    put(laptop, "s", "k", "later, offline")
    assert [state_of(other), state_of(laptop), state_of(other)] == ["ok"] * 3
    assert value_at(other, "k") == "later, offline"
    (conflict,) = other.conflicts.open()
    assert conflict.lost.value == "earlier"
    wall.set(seconds=40)
    assert value_at(other, "k", at="10s") == "later, offline"
    assert value_at(other, "k", at="25s") == "earlier"
    assert other.summary.clocks() == ["The clock of bad is 22 h ahead"]
    assert (
        bad.summary.clocks() == ["The clock of bad is 22 h ahead"]
        or state_of(bad) == "ok"
    )


@pytest.mark.parametrize("edits", [1, 3, 700])
def test_a_clock_days_behind_changes_no_answer_about_the_past(
    world: World, wall: Wall, edits: int
) -> None:
    one, slow = world.open("one"), world.open("slow")
    put(one, "s", "k", "monday")
    for number in range(edits):
        put(one, "more", f"k{number}", number)
    wall.set(seconds=600)
    put(one, "s", "k", "later")
    assert state_of(one) == "ok"
    wall.set(days=-3)
    assert state_of(slow) == "ok"
    put(slow, "other", "x", 1)
    assert state_of(slow) == "ok"
    wall.set(seconds=900)
    assert state_of(one) == "ok"
    for number in range(edits):
        put(one, "even more", f"k{number}", number)
    assert value_at(one, "k", at="600s") == "monday"
    assert value_at(one, "k", at="1s") == "later"
    if edits < 500:
        assert one.summary.clocks() == ["The clock of slow is 3 d behind"]


def test_a_machine_behind_all_others_is_reported_as_behind(
    world: World, wall: Wall
) -> None:
    one, two, slow = (world.open(name) for name in ("one", "two", "slow"))
    for machine in (one, two):
        put(machine, "s", str(machine.clone.machine), 1)
        assert state_of(machine) == "ok"
    wall.set(days=-3)
    assert state_of(slow) == "ok"
    assert slow.summary.clocks() == [
        "The clock of this machine is 2 d behind the clocks of all others"
    ] or slow.summary.clocks() == [
        "The clock of this machine is 3 d behind the clocks of all others"
    ]


def test_an_unanswered_push_is_found_behind_a_slow_clock(
    world: World, wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first push arrives, its answer doesn't; then a machine days behind pushes on top."""
    one, slow = world.open("one"), world.open("slow")
    op = put(one, "s", "k", 1)
    with monkeypatch.context() as patched:
        patched.setattr("csc_git.store.branch.Branch.confirm", _dies)
        with pytest.raises(KeyboardInterrupt):
            one.syncing.sync()
    wall.set(days=-3)
    assert state_of(slow) == "ok"
    put(slow, "s", "slow", 1)
    assert state_of(slow) == "ok"
    wall.set()
    assert state_of(one) == "ok"
    assert [record.op for record in world.log()].count(op) == 1


def _dies(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_later_deletion_wins_behind_a_slow_clock(
    world: World, wall: Wall
) -> None:
    one, two, slow = (world.open(name) for name in ("one", "two", "slow"))
    put(one, "s", "k", "v1")
    assert [state_of(machine) for machine in (one, two, slow)] == ["ok"] * 3
    put(one, "s", "k", "offline, earlier")
    wall.set(seconds=5)
    two.edits.delete(person(two), "s", "k")
    assert state_of(two) == "ok"
    wall.set(days=-3)
    put(slow, "s", "slow", 1)
    assert state_of(slow) == "ok"
    wall.set(seconds=10)
    assert state_of(one) == "ok"
    assert one.values.retrieve("s", "k").found is False


def test_a_clock_is_trusted_to_be_minutes_ahead_at_most() -> None:
    assert timedelta(minutes=1) <= TRUSTED_AHEAD <= timedelta(minutes=15)
