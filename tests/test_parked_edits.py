"""Edits that the remote declines for their content: they are parked, and the others go on."""

import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.errors import CscError, LooksLikeSecret
from csc_git.store.sync.replica import Replica
from tests.inside import fail_after_parking
from tests.world import (
    REF,
    World,
    check_pushed_objects,
    decline_commits_with,
    doubled_ops,
    git,
    put,
    state_of,
)


def test_one_declined_edit_among_100_is_parked_alone(
    world: World,
) -> None:
    coordinator = world.open("one")
    put(coordinator, "work", "first", 0)
    assert state_of(coordinator) == "ok"
    refuse = "while read old new ref; do git log -p $old..$new 2>/dev/null | grep -q S3CRET && "
    world.install_hook(
        "pre-receive",
        refuse + "{ echo 'found a secret' >&2; exit 1; }; done; exit 0",
    )
    guilty = ""
    for number in range(100):
        if number == 37:
            guilty = put(coordinator, "work", "leak", "S3CRET")
        put(coordinator, "work", f"k{number}", number)
    assert state_of(coordinator) == "ok"
    assert list(coordinator.store.branch.parked()) == [guilty]
    assert coordinator.store.fate(guilty).where == "parked"
    status = coordinator.summary.status()
    assert [edit.op for edit in status.parked] == [guilty]
    assert "found a secret" in status.parked[0].reason
    assert not coordinator.store.branch.queue()
    assert coordinator.values.retrieve("work", "leak").found is False
    ops = Counter(record.op for record in world.log())
    assert len(ops) == 1 + 1 + 100
    assert max(ops.values()) == 1
    assert coordinator.summary.conflicts(coordinator.store.snapshot()) == []

    (world.remote / "hooks" / "pre-receive").unlink()
    coordinator.syncing.requeue(guilty)
    assert state_of(coordinator) == "ok"
    assert coordinator.values.retrieve("work", "leak").value == "S3CRET"
    assert Counter(record.op for record in world.log())[guilty] == 1
    assert not coordinator.store.branch.parked()


def test_a_parked_edit_can_be_dropped(world: World) -> None:
    coordinator = world.open("one")
    put(coordinator, "work", "first", 0)
    assert state_of(coordinator) == "ok"
    refuse = (
        "while read old new ref; do "
        "git log -p $old..$new | grep -q S3CRET && exit 1; done; exit 0"
    )
    world.install_hook("pre-receive", refuse)
    guilty = put(coordinator, "work", "leak", "S3CRET")
    put(coordinator, "work", "fine", 1)
    assert state_of(coordinator) == "ok"
    assert coordinator.store.drop(guilty, clock.now())
    assert not coordinator.store.drop(guilty, clock.now())
    assert state_of(coordinator) == "ok"
    assert coordinator.store.fate(guilty).where == "unknown"


def test_later_edits_of_a_parked_key_make_no_conflict(world: World) -> None:
    coordinator = world.open("one")
    put(coordinator, "work", "doc", "clean")
    assert state_of(coordinator) == "ok"
    added = "git log -p $old..$new | grep -q +.*S3CRET"
    refuse = f"while read old new _; do {added} && exit 1; done; :"
    world.install_hook("pre-receive", refuse)
    put(coordinator, "work", "doc", "S3CRET")
    put(coordinator, "work", "doc", "clean again")
    put(coordinator, "work", "other", 1)
    assert state_of(coordinator) == "ok"
    assert coordinator.values.retrieve("work", "doc").value == "clean again"
    assert coordinator.summary.conflicts(coordinator.store.snapshot()) == []


def with_nul(one: Coordinator) -> str:
    """Queue an edit whose commit contains a NUL, as an older version could have; its op."""
    op = put(one, "s", "bad", 1)
    path = one.store.repository.path
    message = subprocess.run(
        ["git", "cat-file", "commit", REF],
        cwd=path,
        capture_output=True,
        check=True,
    ).stdout.replace(b"store s/bad", b"store\0s/bad")
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"],
        input=message, cwd=path, capture_output=True, check=True,
    ).stdout.decode().strip()  # fmt: skip
    git("update-ref", REF, made, cwd=path)
    return op


def test_an_edit_that_the_remote_cannot_unpack_is_parked(
    world: World,
) -> None:
    check_pushed_objects(world)
    one = world.open("one")
    put(one, "s", "a", 1)
    assert state_of(one) == "ok"
    bad = with_nul(one)
    good = put(one, "s", "c", "ordinary")
    assert state_of(one) == "ok"
    assert list(one.store.branch.parked()) == [bad]
    assert one.store.fate(good).where == "synced"
    assert one.syncing.requeue(bad) is not None  # the new commit has no NUL
    assert state_of(one) == "ok"
    assert one.store.fate(bad).where == "synced"


def test_an_error_of_the_whole_remote_parks_no_edit(
    world: World, tmp_path: Path
) -> None:
    """If the remote can't write at all, no edit is at fault and none is parked."""
    one = world.open("one")
    put(one, "s", "k", 1)
    assert state_of(one) == "ok"
    assert issubclass(LooksLikeSecret, CscError)
    (world.remote / "objects").rename(tmp_path / "objects")
    (world.remote / "objects").write_text("not a directory")
    put(one, "s", "k", 2)
    assert state_of(one) != "ok"
    assert not one.store.branch.parked()


@pytest.fixture
def parked_edit(world: World) -> tuple[Coordinator, str]:
    """A clone with one parked edit, and its op."""
    decline_commits_with(world)
    one = world.open("one")
    put(one, "s", "a", 1)
    op = put(one, "s", "k", "BAD")
    put(one, "s", "b", 1)
    one.syncing.sync()
    assert list(one.store.branch.parked()) == [op]
    return one, op


def test_a_release_waits_for_a_running_sync(
    world: World,
    parked_edit: tuple[Coordinator, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, op = parked_edit
    (world.remote / "hooks" / "pre-receive").unlink()
    put(world.open("two"), "t", "x", 1, confirm=True)
    put(one, "s", "c", 1)
    released: list[object] = []
    other = world.open("one")
    thread = threading.Thread(
        target=lambda: released.append(other.syncing.requeue(op))
    )
    real = Replica.replay

    def replay(*arguments: object, **options: object) -> list[str]:
        if not thread.is_alive() and not released:
            thread.start()
            thread.join(
                1.0
            )  # the release must not end here, or the op would be lost
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Replica, "replay", replay)
    one.syncing.sync()
    monkeypatch.setattr(Replica, "replay", real)
    thread.join(30)
    assert [str(outcome) for outcome in released] == ["applied"]
    one.syncing.sync()
    assert one.store.fate(op).where == "synced"
    assert not doubled_ops(world)


def test_two_concurrent_releases_queue_the_edit_once(
    parked_edit: tuple[Coordinator, str], world: World
) -> None:
    one, op = parked_edit
    (world.remote / "hooks" / "pre-receive").unlink()
    answers: list[object] = []
    with one.store.repository.writing():
        threads = [
            threading.Thread(
                target=lambda c=c: answers.append(c.syncing.requeue(op))
            )
            for c in (world.open("one"), world.open("one"))
        ]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(map(str, answers)) == ["None", "applied"]
    one.syncing.sync()
    assert not doubled_ops(world)


@pytest.mark.parametrize("decision", ["release", "drop"])
def test_an_edit_both_parked_and_queued_can_be_decided(
    world: World, monkeypatch: pytest.MonkeyPatch, decision: str
) -> None:
    """A sync may end after it parked an edit and before it removed it from the queue."""
    hook = decline_commits_with(world)
    one = world.open("one")
    put(one, "s", "a", 1)
    op = put(one, "s", "k", "BAD")
    with monkeypatch.context() as patch:
        fail_after_parking(patch)
        assert state_of(one) == "local-storage"
    assert list(one.store.branch.parked()) == [op]
    assert op in one.store.branch.queued_ops()
    hook.unlink()
    if decision == "drop":
        assert one.store.drop(op, clock.now())
        assert state_of(one) == "ok"
        assert op not in {record.op for record in world.log()}
        assert "BAD" not in git("log", "-p", REF, cwd=world.remote)
        assert not one.values.retrieve("s", "k").found
    else:
        assert one.syncing.requeue(op) == "applied"
        assert state_of(one) == "ok"
        assert op in {record.op for record in world.log()}
        assert not doubled_ops(world)


def test_many_declined_edits_do_not_block_good_ones(world: World) -> None:
    decline_commits_with(world)
    one = world.open("one")
    bad = [put(one, "s", "k", f"BAD {number}") for number in range(20)]
    good = [put(one, "s", f"good{number}", number) for number in range(3)]
    for _ in range(3):
        one.syncing.sync()
    assert [one.store.fate(op).where for op in good] == ["synced"] * 3
    assert set(one.store.branch.parked()) == set(bad)
    assert state_of(one) == "ok"


def test_a_queued_edit_that_is_declined_can_be_dropped(world: World) -> None:
    decline_commits_with(world, word="value")
    one = world.open("one")
    op = put(one, "s", "k", 1)
    assert state_of(one) == "declined"
    assert not one.store.branch.parked()
    assert one.store.drop(op, clock.now())
    assert not one.store.branch.queue()
    assert not one.store.drop(op, clock.now())
