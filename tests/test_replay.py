"""Replay: what becomes of queued edits when the remote has moved on."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.core.edit import Outcome
from csc_git.core.key import parse_key
from csc_git.store.transaction import Draft
from tests.world import World, git, person, put, state_of

Pair = tuple[Coordinator, Coordinator]


@pytest.fixture
def replay_pair(world: World) -> Pair:
    """Two clones that agree on one value of every kind."""
    one, two = world.open("one"), world.open("two")
    for key, value in (
        ("plain", "base"),
        ("object", {"a": 1, "b": 1}),
        ("gone", "base"),
    ):
        put(one, "s", key, value)
    meet(one, two)
    return one, two


def meet(one: Coordinator, two: Coordinator) -> None:
    """Sync both, the first one first, so that both have everything."""
    assert [state_of(c) for c in (one, two, one)] == ["ok", "ok", "ok"]
    assert one.store.branch.tip == two.store.branch.tip


def value_in_s(coordinator: Coordinator, key: str) -> Any:
    found = coordinator.values.retrieve("s", key)
    return found.value if found.found else "absent"


def records(coordinator: Coordinator) -> list[dict[str, Any]]:
    snapshot = coordinator.store.snapshot()
    found = (snapshot.get(key) for key in snapshot.keys(("conflicts",)))
    return [stored.entry.value for stored in found if stored]


def outcomes(world: World) -> list[Outcome | None]:
    return [record.outcome for record in world.log()]


def test_edits_of_different_keys_are_both_applied(
    world: World, replay_pair: Pair
) -> None:
    put(replay_pair[0], "s", "x", 1)
    put(replay_pair[1], "s", "y", 2)
    meet(*replay_pair)
    assert (
        value_in_s(replay_pair[0], "x"),
        value_in_s(replay_pair[0], "y"),
    ) == (1, 2)
    assert outcomes(world)[-1] is Outcome.APPLIED
    assert not records(replay_pair[0])


def test_equal_edits_make_no_conflict(world: World, replay_pair: Pair) -> None:
    put(replay_pair[0], "s", "plain", "same")
    put(replay_pair[1], "s", "plain", "same")
    meet(*replay_pair)
    assert outcomes(world)[-1] is Outcome.EQUAL
    assert not records(replay_pair[0])


def test_objects_are_merged_by_member(world: World, replay_pair: Pair) -> None:
    put(replay_pair[0], "s", "object", {"a": 2, "b": 1})
    put(replay_pair[1], "s", "object", {"a": 1, "b": 1, "c": 3})
    meet(*replay_pair)
    assert value_in_s(replay_pair[0], "object") == {"a": 2, "b": 1, "c": 3}
    assert replay_pair[0].values.retrieve("s", "object").authors == [
        "tester@one",
        "tester@two",
    ]
    assert outcomes(world)[-1] is Outcome.MERGED
    assert not records(replay_pair[0])


def test_a_member_changed_by_both_is_a_conflict(replay_pair: Pair) -> None:
    put(replay_pair[0], "s", "object", {"a": 2, "b": 1})
    put(replay_pair[1], "s", "object", {"a": 3, "b": 1})
    meet(*replay_pair)
    assert value_in_s(replay_pair[0], "object") == {"a": 3, "b": 1}
    (record,) = records(replay_pair[0])
    assert record["lost"]["value"] == {"a": 2, "b": 1}


def test_the_later_value_wins_and_the_other_is_kept(
    world: World, replay_pair: Pair
) -> None:
    put(replay_pair[1], "s", "plain", "earlier")
    put(replay_pair[0], "s", "plain", "later")
    meet(*replay_pair)
    assert value_in_s(replay_pair[1], "plain") == "later"
    (record,) = records(replay_pair[1])
    assert (record["scope"], record["key"], record["why"]) == (
        "s",
        "plain",
        "lost",
    )
    assert record["lost"]["value"] == "earlier"
    assert record["lost"]["session"] == "tester@two"
    assert record["stands"]["session"] == "tester@one"
    current = replay_pair[1].values.retrieve("s", "plain")
    assert record["stands"]["revision"] == current.revision
    assert outcomes(world)[-1] is Outcome.LOST


def test_a_deletion_competes_like_a_value(
    replay_pair: Pair, tick: Callable[[], None]
) -> None:
    replay_pair[0].edits.delete(person(replay_pair[0]), "s", "gone")
    tick()
    put(replay_pair[1], "s", "gone", "changed later")
    put(replay_pair[0], "s", "plain", "changed earlier")
    tick()
    replay_pair[1].edits.delete(person(replay_pair[1]), "s", "plain")
    meet(*replay_pair)
    assert value_in_s(replay_pair[0], "gone") == "changed later"
    assert value_in_s(replay_pair[0], "plain") == "absent"
    lost = {record["key"]: record["lost"] for record in records(replay_pair[0])}
    assert lost["gone"]["deleted"] is True
    assert lost["plain"]["value"] == "changed earlier"


def test_two_deletions_make_no_conflict(
    world: World, replay_pair: Pair
) -> None:
    for coordinator in replay_pair:
        coordinator.edits.delete(person(coordinator), "s", "gone")
    meet(*replay_pair)
    assert outcomes(world)[-1] is Outcome.EQUAL
    assert not records(replay_pair[0])


def test_deleting_a_scope_spares_keys_its_author_had_not_seen(
    world: World, replay_pair: Pair
) -> None:
    put(replay_pair[0], "s", "new", 1)
    put(replay_pair[0], "s", "plain", "changed")
    gone = replay_pair[1].edits.delete_scope(person(replay_pair[1]), "s")
    assert gone.count == 3
    meet(*replay_pair)
    assert replay_pair[0].values.list_keys("s").keys == ["new", "plain"]
    assert outcomes(world)[-1] is Outcome.APPLIED
    assert not records(replay_pair[0])


def edit_several(
    coordinator: Coordinator, puts: dict[str, Any], **requires: str | None
) -> None:
    """Make an edit of several keys, or with conditions, below the level of the tools."""
    draft = Draft(
        subject="edit",
        session="tester@" + coordinator.clone.machine,
        puts={parse_key("s", key): item for key, item in puts.items()},
        requires={
            parse_key("s", key): revision for key, revision in requires.items()
        },
    )
    coordinator.store.transact(lambda _: draft, clock.now())


def test_an_edit_of_several_keys_is_refused_whole(
    world: World, replay_pair: Pair
) -> None:
    put(replay_pair[0], "s", "plain", "theirs")
    edit_several(replay_pair[1], {"plain": "mine", "x": "mine too"})
    assert value_in_s(replay_pair[1], "x") == "mine too"
    meet(*replay_pair)
    assert (
        value_in_s(replay_pair[0], "plain"),
        value_in_s(replay_pair[0], "x"),
    ) == (
        "theirs",
        "absent",
    )
    assert outcomes(world)[-1] is Outcome.REFUSED
    assert {r["key"]: r["lost"]["value"] for r in records(replay_pair[0])} == {
        "plain": "mine", "x": "mine too",
    }  # fmt: skip


def test_a_condition_that_no_longer_holds_refuses_the_edit(
    world: World, replay_pair: Pair
) -> None:
    revision = replay_pair[1].values.retrieve("s", "plain").revision
    put(replay_pair[0], "s", "plain", "theirs")
    edit_several(replay_pair[1], {"plain": "mine"}, plain=revision)
    meet(*replay_pair)
    assert value_in_s(replay_pair[0], "plain") == "theirs"
    assert outcomes(world)[-1] is Outcome.REFUSED
    (record,) = records(replay_pair[0])
    assert record["why"] == "refused"
    assert record["lost"]["value"] == "mine"


def test_an_edit_whose_condition_holds_is_applied(
    world: World, replay_pair: Pair
) -> None:
    put(replay_pair[0], "s", "other", 1)
    edit_several(
        replay_pair[1],
        {"fresh": "mine"},
        fresh=None,
        plain=replay_pair[1].values.retrieve("s", "plain").revision,
    )
    meet(*replay_pair)
    assert value_in_s(replay_pair[0], "fresh") == "mine"
    assert outcomes(world)[-1] is Outcome.APPLIED


def test_a_chain_of_lost_edits_leaves_one_conflict(
    world: World, replay_pair: Pair
) -> None:
    for number in range(5):
        put(replay_pair[1], "s", "plain", f"mine {number}")
    put(replay_pair[0], "s", "plain", "theirs")
    meet(*replay_pair)
    assert value_in_s(replay_pair[0], "plain") == "theirs"
    (record,) = records(replay_pair[0])
    assert record["lost"]["value"] == "mine 4"
    assert outcomes(world)[-5:] == [Outcome.LOST] * 5


def test_repeated_replays_start_from_the_original_edits(
    world: World, replay_pair: Pair
) -> None:
    """The queue is replayed by every fetch while it can't be pushed; each edit stays one commit."""
    one, two = replay_pair
    put(two, "s", "plain", "mine")
    put(two, "s", "object", {"a": 1, "b": 2})
    hook = world.remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    for number in range(4):
        put(one, "s", f"k{number}", number)
        put(one, "s", "object", {"a": number + 2, "b": 1})
        assert state_of(one) == "ok"
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
        assert state_of(two) == "declined"
        assert len(two.store.branch.queue()) == 2
        assert value_in_s(two, f"k{number}") == number
        hook.unlink()
    meet(two, one)
    assert value_in_s(one, "object") == {"a": 5, "b": 2}
    assert value_in_s(one, "plain") == "mine"
    assert outcomes(world)[-2:] == [Outcome.APPLIED, Outcome.MERGED]


def test_a_lost_edit_is_compared_with_the_latest_value(
    world: World, replay_pair: Pair
) -> None:
    one, two = replay_pair
    put(two, "s", "plain", "mine")
    put(one, "s", "plain", "first")
    assert state_of(one) == "ok"
    hook = world.remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    assert state_of(two) == "declined"
    assert value_in_s(two, "plain") == "first"
    hook.unlink()
    put(one, "s", "plain", "second")
    assert state_of(one) == "ok"
    meet(two, one)
    (record,) = records(two)
    assert record["lost"]["value"] == "mine"
    assert (
        record["stands"]["revision"]
        == two.values.retrieve("s", "plain").revision
    )


def test_an_edit_made_after_another_wins_despite_clocks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = world.open("one"), world.open("two")
    real = clock.now

    def at(hours: float) -> None:

        monkeypatch.setattr(
            clock, "now", lambda: real() + timedelta(hours=hours)
        )

    at(+3)
    put(one, "s", "k", "first")
    meet(one, two)
    at(-3)
    put(two, "s", "k", "second, by a clock six hours behind")
    first = one.values.retrieve("s", "k").time
    second = two.values.retrieve("s", "k").time
    assert first
    assert second
    assert second > first
    meet(two, one)
    assert value_in_s(one, "k") == "second, by a clock six hours behind"
    assert not records(one)


def test_a_clock_a_year_ahead_is_reported_not_adopted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:

    one, two = world.open("one"), world.open("two")
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(days=400))
    put(one, "s", "k", "from the future")
    monkeypatch.setattr(clock, "now", real)
    meet(one, two)
    put(two, "s", "other", 1)
    assert str(two.values.retrieve("s", "other").time) < str(
        one.values.retrieve("s", "k").time
    )
    assert two.summary.status().clocks == ["The clock of one is 399 d ahead"]
    put(two, "s", "k", "still later")
    assert str(two.values.retrieve("s", "k").time) > str(
        one.values.retrieve("s", "k").time
    )


def test_a_value_of_100_levels_survives_a_conflict(replay_pair: Pair) -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    put(replay_pair[1], "s", "plain", deep)
    put(replay_pair[0], "s", "plain", "later")
    meet(*replay_pair)
    (record,) = records(replay_pair[0])
    assert record["lost"]["value"] == deep


@pytest.fixture
def tick(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let two seconds pass on the wall clock: deletions are timed in whole seconds."""

    real, passed = clock.now, 0

    def advance() -> None:
        nonlocal passed
        passed += 1

    monkeypatch.setattr(
        clock, "now", lambda: real() + timedelta(seconds=2 * passed)
    )
    return advance


def test_a_deletion_wins_over_an_edit_replayed_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second replay starts from a base whose history has the deletion already."""
    one, two = world.open("one"), world.open("two")
    put(one, "s", "k", "old", confirm=True)
    two.syncing.sync()
    put(two, "s", "k", "mine")
    later = clock.now() + timedelta(
        seconds=2
    )  # a deletion is timed in whole seconds
    monkeypatch.setattr(clock, "now", lambda: later)
    one.edits.delete(person(one), "s", "k", confirm=True)
    place = f"url./nowhere.pushInsteadOf={world.remote}"
    git("config", *place.rsplit("=", 1), cwd=two.project.top)
    assert state_of(two) != "ok"  # replayed, and lost, but not pushed
    assert two.store.branch.queue()
    put(one, "s", "other", 1, confirm=True)
    git("config", "--unset-all", place.rsplit("=", 1)[0], cwd=two.project.top)
    assert state_of(two) == "ok"
    assert not two.values.retrieve("s", "k").found
    assert [(c.why, c.lost.value) for c in two.conflicts.open()] == [
        ("lost", "mine")
    ]
