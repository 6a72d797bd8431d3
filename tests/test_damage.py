"""A disk that gives back other bytes than were written: said where it matters, and nowhere else."""

import pytest

from csc_git.coordinator.coordinator import Coordinator
from csc_git.core.lease import lease_key
from csc_git.errors import StoreDamaged, UnreadableValue
from tests.test_hostile import commit, with_data_a
from tests.world import World, git, person, put, rot, state_of


@pytest.fixture
def one(world: World) -> Coordinator:
    """A clone whose value of a/k is broken, on its own disk."""
    first = world.open("one")
    first.sign_on("builder")
    put(first, "a", "k", {"x": "x" * 50})
    put(first, "a", "sound", 1)
    assert state_of(first) == "ok"
    rot(first.store.repository.path, "data/a/k.json")
    first.close()
    return world.open("one")


def test_who_asks_for_it_is_told(one: Coordinator) -> None:
    with pytest.raises(StoreDamaged, match="can't be read"):
        one.retrieve("a", "k")
    one.close()  # nothing keeps the pack open


def test_all_else_goes_on(world: World, one: Coordinator) -> None:
    assert one.retrieve("a", "sound").value == 1
    assert one.list_keys("a").keys == ["k", "sound"]
    assert one.status().keys >= 2
    assert one.summary.context().conflicts == []
    assert one.sign_on("other").session == "other@one"
    put(one, "a", "new", 1)
    assert state_of(one) == "ok"
    assert world.open("two").retrieve("a", "k", fresh=True).value == {
        "x": "x" * 50
    }


def test_it_can_be_written_over_here(one: Coordinator) -> None:
    put(one, "a", "k", 2)
    assert one.retrieve("a", "k").value == 2


def test_what_git_needs_it_for_waits_and_says_why(
    world: World, one: Coordinator
) -> None:
    """git packs a new value as what differs from the old one, and what both sides changed can't
    be told without it: neither push nor merge goes on, and no edit is lost.
    """
    put(one, "a", "k", 2)
    assert _waits(one)
    two = world.open("two")
    assert state_of(two) == "ok"
    put(two, "a", "k", {"x": "x" * 50, "y": 1})
    assert state_of(two) == "ok"
    assert _waits(one)
    assert two.retrieve("a", "k", fresh=True).value == {"x": "x" * 50, "y": 1}


def test_it_is_not_merged_as_if_it_had_never_been(
    world: World, one: Coordinator
) -> None:
    """Or somebody's deletion of it would be undone without a word."""
    two = world.open("two")
    assert state_of(two) == "ok"
    two.edits.delete(person(two), "a", "k")
    assert state_of(two) == "ok"
    put(one, "a", "k", 2)
    status = one.sync()
    assert status.state == "failed"
    assert "can't be read" in status.detail
    assert _is_queued(one)


def _waits(one: Coordinator) -> bool:
    status = one.sync()
    assert status.state == "local-storage", status
    assert "corrupt" in status.detail
    assert "csc-git doctor" in status.describe()[1]
    return _is_queued(one)


def _is_queued(one: Coordinator) -> bool:
    return any(
        edit.message.startswith("store a/k")
        for edit in one.store.branch.queue()
    )


@pytest.mark.parametrize("name", ["builder", None])
def test_a_broken_record_of_a_session_keeps_nobody_off(
    world: World, name: str | None
) -> None:
    first = world.open("one")
    first.sign_on("builder")
    assert state_of(first) == "ok"
    path = b"/".join(lease_key("builder@one").path).decode()
    rot(first.store.repository.path, f"data/{path}")
    first.close()
    one = world.open("one")
    assert one.sign_on(name).session == f"{name or 'claude_1'}@one"
    put(one, "a", "k", 1)
    assert one.retrieve("a", "k").value == 1
    assert {each.session for each in one.summary.context().active} == {
        one.sessions.here[0]
    }


def test_what_is_no_value_by_its_author_is_no_damage(world: World) -> None:
    """A tree where a value should be: somebody pushed it so, and a new store would have it too."""
    one = world.open("one")
    put(one, "a", "good", 1)
    assert state_of(one) == "ok"
    tree = git("hash-object", "-t", "tree", "-w", "/dev/null", cwd=world.remote)
    commit(world, with_data_a(world, b"100644 k.json\0" + bytes.fromhex(tree)))
    assert state_of(one) == "ok"
    with pytest.raises(UnreadableValue):
        one.retrieve("a", "k")
    assert any("a/k.json" in line for line in one.status().foreign)
