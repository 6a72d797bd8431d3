"""Maintenance: our repository stays small, and nobody who writes meanwhile is hurt."""

import subprocess
import sys
import time

import pytest

from csc_git.git import repository
from tests.world import Crowd, World, git, put, state_of


def loose(world: World, name: str) -> int:
    path = world.directory / name / ".git" / "csc" / "state.git"
    return int(git("count-objects", cwd=path).split()[0])


def test_loose_objects_are_packed_after_a_sync(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "LOOSE_LIMIT", 100)
    one = world.open("one")
    for number in range(100):
        put(one, "a", f"k{number}", number)
    assert loose(world, "one") > 300
    assert state_of(one) == "ok"
    assert loose(world, "one") < 50
    assert len(one.list_keys("a").keys) == 100
    put(one, "a", "after", 1)
    assert one.retrieve("a", "k99").value == 99
    git("fsck", "--strict", cwd=one.store.repository.path)


def test_writers_and_maintenance_do_not_disturb_each_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "LOOSE_LIMIT", 50)
    one = world.open("one")
    crowd = Crowd([["write", str(world.directory / "one"), f"p{n}", "40"] for n in range(3)])
    answers = crowd.start()
    for number in range(15):
        put(one, "main", f"k{number}", number)
        assert state_of(one) == "ok"
    acknowledged = [op for answer in answers() for op in answer["ops"]]
    assert state_of(one) == "ok"
    ops = {record.op for record in world.log()}
    assert ops >= set(acknowledged)
    assert len(ops) == len(world.log())
    git("fsck", "--strict", cwd=one.store.repository.path)


_REMOVE = """
import os
from contextlib import suppress
while True:
    for number in range(256):
        with suppress(OSError):
            os.rmdir(f"{number:02x}")
"""


def test_directories_that_maintenance_removes_are_made_again(world: World) -> None:
    """As `git gc` does it, only all the time."""
    one = world.open("one")
    objects = one.store.repository.path / "objects"
    with subprocess.Popen([sys.executable, "-c", _REMOVE], cwd=objects) as remover:
        for number in range(60):
            put(one, "a", f"k{number}", number)
        remover.kill()
    assert len(one.list_keys("a").keys) == 60


def test_tips_that_replays_replaced_are_kept_for_thirty_days(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = world.open("one"), world.open("two")
    put(one, "a", "b", 1)
    put(two, "a", "c", 2)
    original = two.store.branch.tip
    assert [state_of(c) for c in (one, two)] == ["ok", "ok"]
    kept = two.store.repository.refs("refs/csc/kept/")
    assert list(kept.values()) == [original]
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 31 * 86_400)
    put(two, "a", "d", 3)
    assert state_of(two) == "ok"
    assert two.store.repository.refs("refs/csc/kept/") == {}
    assert two.store.repository.refs("refs/csc/fetch/") == {}
