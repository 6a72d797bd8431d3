"""Maintenance: our repository stays small, and readers and writers are not disturbed."""

import os
import time
from pathlib import Path

import pytest

from csc_git.coordinator import clock
from csc_git.git import maintenance
from tests.inside import maintenance_running
from tests.world import Crowd, World, git, put, state_of


def packs(path: Path) -> int:
    return len(list((path / "objects/pack").glob("*.idx")))


def kept(path: Path) -> list[Path]:
    return list((path / "objects/pack").glob("*.keep"))


def test_small_packs_are_combined(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "PACK_LIMIT", 30)
    one, reader = world.open("one"), world.open("one")
    path = one.store.repository.path
    for number in range(100):
        put(one, "a", f"k{number}", number)
        assert reader.values.retrieve("a", f"k{number}").value == number
    assert packs(path) == 100
    one.close()
    assert packs(path) < 5
    assert [
        reader.values.retrieve("a", f"k{number}").value for number in range(100)
    ] == [*range(100)]
    put(reader, "a", "after", 1)
    assert len(reader.values.list_keys("a").keys) == 101
    git("fsck", "--strict", cwd=path)


def test_objects_without_a_ref_yet_are_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of an edit its objects are on disk before a ref names them."""
    monkeypatch.setattr(maintenance, "PACK_LIMIT", 10)
    one = world.open("one")
    for number in range(20):
        put(one, "a", f"k{number}", number)
    batch, path = one.store.repository.batch(), one.store.repository.path
    blob = batch.add_blob(b"not named yet")
    batch.flush()
    assert one.store.repository.maintenance.run()
    git(
        "repack", "-adq", cwd=path
    )  # without a ref, only a .keep file protects a pack
    assert git("cat-file", "blob", blob, cwd=path) == "not named yet"
    batch.release()
    assert kept(path) == []


def test_no_keep_file_is_left_after_an_edit(world: World) -> None:
    """It is true after edits, replays, conflicts, a parked and dropped edit, and a rotation."""
    one, two = world.open("one"), world.open("two")
    for number in range(40):
        put(one, "a", "k", f"one {number}")
        put(two, "a", "k", f"two {number}")
    assert state_of(one) == "ok"
    assert state_of(two) == "ok"
    hook = world.remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    refuse = "while read o n r; do git show $n:data/a/secret.json >/dev/null 2>&1 && exit 1; done"
    hook.write_text(f"#!/bin/sh\n{refuse}; exit 0\n", encoding="utf-8")
    hook.chmod(0o755)
    secret = put(two, "a", "secret", 1)
    put(two, "a", "after", 1)
    state_of(two)
    assert secret in two.store.branch.parked()
    assert two.store.drop(secret, clock.now())
    assert state_of(two) == "ok"
    two.syncing.rotate()
    assert state_of(one) == "ok"
    assert [
        *kept(one.store.repository.path),
        *kept(two.store.repository.path),
    ] == []


@pytest.mark.parametrize(("age", "left"), [(23 * 3600, 1), (25 * 3600, 0)])
def test_keep_files_of_a_dead_process_last_a_day(
    world: World, age: int, left: int
) -> None:
    one = world.open("one")
    put(one, "a", "k", 1)
    path = one.store.repository.path
    batch = one.store.repository.batch()
    batch.add_blob(b"of an edit that was never finished")
    batch.flush()
    (keep,) = kept(path)
    os.utime(keep, (time.time() - age,) * 2)
    assert one.store.repository.maintenance.run()
    assert len(kept(path)) == left
    batch.release()


def test_only_one_maintenance_runs_at_a_time(world: World) -> None:
    one, two = world.open("one"), world.open("one")
    put(one, "a", "k", 1)
    with maintenance_running(one.store.repository.maintenance):
        assert not two.store.repository.maintenance.run()
    assert two.store.repository.maintenance.run()


def test_unreachable_objects_are_dropped_once_a_week(world: World) -> None:
    one = world.open("one")
    path = one.store.repository.path
    put(one, "a", "k", 1)
    batch = one.store.repository.batch()
    blob = batch.add_blob(b"of an edit that was never finished")
    batch.flush()
    assert one.store.repository.maintenance.run()
    dead, busy = (
        path / "objects/pack" / f"pack-{name}.pack.unfinished"
        for name in ("dead", "busy")
    )
    dead.touch()
    past = time.time() - 30 * 86_400
    for file in [path / "gc.stamp", *(path / "objects/pack").iterdir()]:
        os.utime(file, (past, past))
    busy.touch()
    assert one.store.repository.maintenance.run()
    found = git("cat-file", "--batch-all-objects", "--batch-check", cwd=path)
    assert blob not in found
    assert (dead.exists(), busy.exists()) == (False, True)
    assert one.values.retrieve("a", "k").value == 1


def test_writers_and_maintenance_do_not_disturb_each_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "PACK_LIMIT", 5)
    one = world.open("one")
    crowd = Crowd(
        [
            ["write", str(world.directory / "one"), f"p{n}", "40"]
            for n in range(3)
        ]
    )
    answers = crowd.start()
    for number in range(15):
        put(one, "main", f"k{number}", number)
        assert state_of(one) == "ok"
        assert one.store.repository.maintenance.run()
    acknowledged = [op for answer in answers() for op in answer["ops"]]
    assert state_of(one) == "ok"
    ops = {record.op for record in world.log()}
    assert ops >= set(acknowledged)
    assert len(ops) == len(world.log())
    git("fsck", "--strict", cwd=one.store.repository.path)


def test_replaced_tips_are_kept_for_thirty_days(
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
