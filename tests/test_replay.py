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
def pair(world: World) -> Pair:
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
    """The first syncs first; then both have everything."""
    assert [state_of(c) for c in (one, two, one)] == ["ok", "ok", "ok"]
    assert one.store.branch.tip == two.store.branch.tip


def value(coordinator: Coordinator, key: str) -> Any:
    found = coordinator.retrieve("s", key)
    return found.value if found.found else "absent"


def records(coordinator: Coordinator) -> list[dict[str, Any]]:
    snapshot = coordinator.store.snapshot()
    found = (snapshot.get(key) for key in snapshot.keys(("conflicts",)))
    return [stored.entry.value for stored in found if stored]


def outcomes(world: World) -> list[Outcome | None]:
    return [record.outcome for record in world.log()]


def test_edits_of_different_keys_both_stand(world: World, pair: Pair) -> None:
    put(pair[0], "s", "x", 1)
    put(pair[1], "s", "y", 2)
    meet(*pair)
    assert (value(pair[0], "x"), value(pair[0], "y")) == (1, 2)
    assert outcomes(world)[-1] is Outcome.APPLIED
    assert not records(pair[0])


def test_equal_edits_make_no_conflict(world: World, pair: Pair) -> None:
    put(pair[0], "s", "plain", "same")
    put(pair[1], "s", "plain", "same")
    meet(*pair)
    assert outcomes(world)[-1] is Outcome.EQUAL
    assert not records(pair[0])


def test_objects_merge_by_member(world: World, pair: Pair) -> None:
    put(pair[0], "s", "object", {"a": 2, "b": 1})
    put(pair[1], "s", "object", {"a": 1, "b": 1, "c": 3})
    meet(*pair)
    assert value(pair[0], "object") == {"a": 2, "b": 1, "c": 3}
    assert pair[0].retrieve("s", "object").authors == [
        "tester@one",
        "tester@two",
    ]
    assert outcomes(world)[-1] is Outcome.MERGED
    assert not records(pair[0])


def test_a_member_changed_twice_is_a_conflict(pair: Pair) -> None:
    put(pair[0], "s", "object", {"a": 2, "b": 1})
    put(pair[1], "s", "object", {"a": 3, "b": 1})
    meet(*pair)
    assert value(pair[0], "object") == {"a": 3, "b": 1}
    (record,) = records(pair[0])
    assert record["lost"]["value"] == {"a": 2, "b": 1}


def test_the_later_time_wins_and_the_other_stands_in_full(
    world: World, pair: Pair
) -> None:
    put(pair[1], "s", "plain", "earlier")
    put(pair[0], "s", "plain", "later")
    meet(*pair)
    assert value(pair[1], "plain") == "later"
    (record,) = records(pair[1])
    assert (record["scope"], record["key"], record["why"]) == (
        "s",
        "plain",
        "lost",
    )
    assert record["lost"]["value"] == "earlier"
    assert record["lost"]["session"] == "tester@two"
    assert record["stands"]["session"] == "tester@one"
    standing = pair[1].retrieve("s", "plain")
    assert record["stands"]["revision"] == standing.revision
    assert outcomes(world)[-1] is Outcome.LOST


def test_a_deletion_counts_as_a_value(
    pair: Pair, tick: Callable[[], None]
) -> None:
    pair[0].edits.delete(person(pair[0]), "s", "gone")
    tick()
    put(pair[1], "s", "gone", "changed later")
    put(pair[0], "s", "plain", "changed earlier")
    tick()
    pair[1].edits.delete(person(pair[1]), "s", "plain")
    meet(*pair)
    assert value(pair[0], "gone") == "changed later"
    assert value(pair[0], "plain") == "absent"
    lost = {record["key"]: record["lost"] for record in records(pair[0])}
    assert lost["gone"]["deleted"] is True
    assert lost["plain"]["value"] == "changed earlier"


def test_both_deleted_is_equal(world: World, pair: Pair) -> None:
    for coordinator in pair:
        coordinator.edits.delete(person(coordinator), "s", "gone")
    meet(*pair)
    assert outcomes(world)[-1] is Outcome.EQUAL
    assert not records(pair[0])


def test_deleting_a_scope_spares_what_its_author_did_not_see(
    world: World, pair: Pair
) -> None:
    put(pair[0], "s", "new", 1)
    put(pair[0], "s", "plain", "changed")
    gone = pair[1].edits.delete_scope(person(pair[1]), "s")
    assert gone.count == 3
    meet(*pair)
    assert pair[0].list_keys("s").keys == ["new", "plain"]
    assert outcomes(world)[-1] is Outcome.APPLIED
    assert not records(pair[0])


def edit(
    coordinator: Coordinator, puts: dict[str, Any], **requires: str | None
) -> None:
    """An edit of several keys, or with conditions; the tools for it come later."""
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
    world: World, pair: Pair
) -> None:
    put(pair[0], "s", "plain", "theirs")
    edit(pair[1], {"plain": "mine", "x": "mine too"})
    assert value(pair[1], "x") == "mine too"
    meet(*pair)
    assert (value(pair[0], "plain"), value(pair[0], "x")) == (
        "theirs",
        "absent",
    )
    assert outcomes(world)[-1] is Outcome.REFUSED
    assert {r["key"]: r["lost"]["value"] for r in records(pair[0])} == {
        "plain": "mine", "x": "mine too",
    }  # fmt: skip


def test_a_condition_that_no_longer_holds_refuses_the_edit(
    world: World, pair: Pair
) -> None:
    revision = pair[1].retrieve("s", "plain").revision
    put(pair[0], "s", "plain", "theirs")
    edit(pair[1], {"plain": "mine"}, plain=revision)
    meet(*pair)
    assert value(pair[0], "plain") == "theirs"
    assert outcomes(world)[-1] is Outcome.REFUSED
    (record,) = records(pair[0])
    assert record["why"] == "refused"
    assert record["lost"]["value"] == "mine"


def test_a_condition_that_holds_lets_the_edit_through(
    world: World, pair: Pair
) -> None:
    put(pair[0], "s", "other", 1)
    edit(
        pair[1],
        {"fresh": "mine"},
        fresh=None,
        plain=pair[1].retrieve("s", "plain").revision,
    )
    meet(*pair)
    assert value(pair[0], "fresh") == "mine"
    assert outcomes(world)[-1] is Outcome.APPLIED


def test_a_chain_of_edits_leaves_one_record(world: World, pair: Pair) -> None:
    for number in range(5):
        put(pair[1], "s", "plain", f"mine {number}")
    put(pair[0], "s", "plain", "theirs")
    meet(*pair)
    assert value(pair[0], "plain") == "theirs"
    (record,) = records(pair[0])
    assert record["lost"]["value"] == "mine 4"
    assert outcomes(world)[-5:] == [Outcome.LOST] * 5


def test_replaying_again_and_again_starts_from_the_originals(
    world: World, pair: Pair
) -> None:
    """The queue is replayed by every fetch while it can't be pushed; each edit stays one commit."""
    one, two = pair
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
        assert value(two, f"k{number}") == number
        hook.unlink()
    meet(two, one)
    assert value(one, "object") == {"a": 5, "b": 2}
    assert value(one, "plain") == "mine"
    assert outcomes(world)[-2:] == [Outcome.APPLIED, Outcome.MERGED]


def test_what_lost_once_is_judged_again_by_what_stands_at_last(
    world: World, pair: Pair
) -> None:
    one, two = pair
    put(two, "s", "plain", "mine")
    put(one, "s", "plain", "first")
    assert state_of(one) == "ok"
    hook = world.remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    assert state_of(two) == "declined"
    assert value(two, "plain") == "first"
    hook.unlink()
    put(one, "s", "plain", "second")
    assert state_of(one) == "ok"
    meet(two, one)
    (record,) = records(two)
    assert record["lost"]["value"] == "mine"
    assert record["stands"]["revision"] == two.retrieve("s", "plain").revision


def test_an_edit_made_after_seeing_another_wins_whatever_the_clocks_say(
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
    assert two.retrieve("s", "k").time > one.retrieve("s", "k").time  # type: ignore[operator]
    meet(two, one)
    assert value(one, "k") == "second, by a clock six hours behind"
    assert not records(one)


def test_a_clock_a_year_ahead_is_not_adopted_but_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:

    one, two = world.open("one"), world.open("two")
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(days=400))
    put(one, "s", "k", "from the future")
    monkeypatch.setattr(clock, "now", real)
    meet(one, two)
    put(two, "s", "other", 1)
    assert str(two.retrieve("s", "other").time) < str(
        one.retrieve("s", "k").time
    )
    assert two.status().clocks == ["The clock of one is 399 d ahead"]
    put(two, "s", "k", "still later")
    assert str(two.retrieve("s", "k").time) > str(one.retrieve("s", "k").time)


def test_a_value_of_100_levels_survives_a_conflict(pair: Pair) -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    put(pair[1], "s", "plain", deep)
    put(pair[0], "s", "plain", "later")
    meet(*pair)
    (record,) = records(pair[0])
    assert record["lost"]["value"] == deep


@pytest.fixture
def tick(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let a second pass on the wall: a deletion's time has no finer grain."""

    real, passed = clock.now, 0

    def advance() -> None:
        nonlocal passed
        passed += 1

    monkeypatch.setattr(
        clock, "now", lambda: real() + timedelta(seconds=2 * passed)
    )
    return advance


def test_a_deletion_wins_however_often_the_edit_it_met_is_replayed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second replay starts from a base that has the deletion behind it already."""
    one, two = world.open("one"), world.open("two")
    put(one, "s", "k", "old", confirm=True)
    two.sync()
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
    assert not two.retrieve("s", "k").found
    assert [(c.why, c.lost.value) for c in two.conflicts.open()] == [
        ("lost", "mine")
    ]
