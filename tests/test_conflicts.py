"""Conflicts: choosing a value, and two clones that choose at the same time."""

import json
from pathlib import Path

import pytest

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.edits import Change
from csc_git.errors import (
    ConditionFailed,
    InputError,
    NoSuchConflict,
)
from tests.commands import csc_here
from tests.world import World, go_offline, go_online, person, put


def conflicting(pair: list[Coordinator], world: World) -> str:
    """Make a conflict on s/n, in which `lost` lost to `winner`; its id."""
    go_offline(pair[1])
    put(pair[1], "s", "n", "lost")
    put(pair[0], "s", "n", "winner", confirm=True)
    go_online(pair[1], world)
    pair[1].syncing.sync()
    pair[0].syncing.sync()
    [conflict] = pair[0].conflicts.open()
    assert conflict.current
    assert (conflict.lost.value, conflict.current.value) == ("lost", "winner")
    assert (conflict.lost.session, conflict.current.session) == (
        "tester@two",
        "tester@one",
    )
    assert conflict.lost.time < conflict.current.time
    return conflict.conflict


@pytest.mark.parametrize(
    ("choice", "value", "expected"),
    [("current", None, "winner"), ("lost", None, "lost"), ("value", [1], [1])],
)
def test_a_conflict_is_resolved_by_each_choice(
    pair: list[Coordinator],
    world: World,
    choice: str,
    value: object,
    expected: object,
) -> None:
    conflict = conflicting(pair, world)
    pair[0].conflicts.resolve(person(pair[0]), conflict, choice, value)  # type: ignore[arg-type]
    for coordinator in pair:
        coordinator.syncing.sync()
        assert coordinator.conflicts.open() == []
        assert coordinator.values.retrieve("s", "n").value == expected
    assert world.log()[-1].subject == f"resolve s/n by {choice}"
    with pytest.raises(NoSuchConflict):
        pair[1].conflicts.resolve(person(pair[1]), conflict, "lost")


def test_a_conflict_is_named_by_a_prefix_of_its_id(
    pair: list[Coordinator], world: World
) -> None:
    conflict = conflicting(pair, world)
    author, resolve = person(pair[0]), pair[0].conflicts.resolve
    for typed in ("", conflict[:3], f"{conflict}0", "*"):
        with pytest.raises(NoSuchConflict):
            resolve(author, typed, "current")
    done = resolve(author, conflict[:4], "lost", confirm=True)
    assert (done.status, done.scope, done.key) == ("synced", "s", "n")
    assert world.log()[-1].subject == "resolve s/n by lost"


def test_an_ambiguous_prefix_is_refused(
    pair: list[Coordinator], world: World
) -> None:
    go_offline(pair[1])
    changes = [Change("s", key, "put", "lost") for key in ("a", "b")]
    op = pair[1].edits.edit(person(pair[1]), changes).op
    put(pair[0], "s", "a", "winner", confirm=True)
    go_online(pair[1], world)
    pair[1].syncing.sync()
    ids = [one.conflict for one in pair[1].conflicts.open()]
    assert sorted(ids) == [f"{op}.0", f"{op}.1"]
    with pytest.raises(
        InputError,
        match=r"ids of 2 conflicts begin with .* Give more characters of the id",
    ):
        pair[1].conflicts.resolve(person(pair[1]), str(op), "current")


def test_a_confirmed_choice_is_refused_if_another_was_first(
    pair: list[Coordinator], world: World
) -> None:
    conflict = conflicting(pair, world)
    pair[0].conflicts.resolve(person(pair[0]), conflict, "lost", confirm=True)
    with pytest.raises(ConditionFailed, match="Another clone"):
        pair[1].conflicts.resolve(
            person(pair[1]), conflict, "current", confirm=True
        )


def test_two_concurrent_choices_keep_both_values(
    pair: list[Coordinator], world: World
) -> None:
    conflict = conflicting(pair, world)
    go_offline(pair[1])
    pair[1].conflicts.resolve(person(pair[1]), conflict, "value", "by two")
    pair[0].conflicts.resolve(person(pair[0]), conflict, "value", "by one")
    pair[0].syncing.sync()
    go_online(pair[1], world)
    pair[1].syncing.sync()
    assert pair[1].values.retrieve("s", "n").value == "by one"
    [again] = pair[1].conflicts.open()
    assert (again.why, again.lost.value) == ("refused", "by two")
    assert again.conflict != conflict


def test_a_choice_on_an_outdated_value_is_refused(
    pair: list[Coordinator], world: World
) -> None:
    conflict = conflicting(pair, world)
    go_offline(pair[1])
    pair[1].conflicts.resolve(person(pair[1]), conflict, "current")
    put(pair[0], "s", "n", "changed since", confirm=True)
    go_online(pair[1], world)
    pair[1].syncing.sync()
    assert [one.conflict for one in pair[1].conflicts.open()] == [conflict]


def test_a_lost_deletion_can_be_chosen(
    pair: list[Coordinator], world: World
) -> None:
    go_offline(pair[1])
    pair[1].edits.delete(person(pair[1]), "s", "n")
    put(pair[0], "s", "n", "winner", confirm=True)
    go_online(pair[1], world)
    pair[1].syncing.sync()
    [conflict] = pair[1].conflicts.open()
    assert conflict.lost_deletion
    pair[1].conflicts.resolve(person(pair[1]), conflict.conflict, "lost")
    assert not pair[1].values.retrieve("s", "n").found


def test_conflicts_are_listed_and_resolved_by_command(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = world.open("one"), world.open("two")
    put(two, "s", "n", "lost")
    put(one, "s", "n", "winner", confirm=True)
    two.syncing.sync()
    monkeypatch.chdir(two.project.top)

    lines = csc_here("conflicts").splitlines()
    name = lines[0].split()[0]
    assert lines[0].endswith("s/n  lost")
    assert lines[1].startswith('  current "winner"  (tester@one, ')
    assert lines[2].startswith('  lost    "lost"  (tester@two, ')
    assert "one of --current, --lost, --value" in csc_here(
        "resolve", name, code=2
    )
    assert csc_here("resolve", name[:6], "--lost").startswith(
        "s/n: resolved, synced"
    )
    assert csc_here("conflicts") == ""
    assert "No conflict" in csc_here("resolve", name, "--lost", code=1)
    assert json.loads(csc_here("get", "s", "n", "--json"))["value"] == "lost"
    assert Path.cwd() == two.project.top
