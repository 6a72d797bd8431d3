"""Rotation: a branch goes on with a short history, nothing is lost, and running clones follow."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from csc_git.coordinator import clock
from csc_git.errors import NotRotated
from csc_git.store.sync import rotation
from csc_git.store.sync.recovery import Permit
from tests.by_hand import check_out_branch
from tests.world import REF, ROOT, Crowd, World, git, put, state_of


def all_ops(world: World) -> Counter[str]:
    """The ops in all histories on the remote: that of the branch, and the older ones."""
    refs = git(
        "for-each-ref",
        "--format=%(refname)",
        "refs/heads/csc",
        cwd=world.remote,
    )
    records = [record for ref in refs.split() for record in world.log(ref=ref)]
    once = {(record.op, record.origin) for record in records}
    return Counter(op for op, _ in once)


def length(world: World) -> int:
    return int(git("rev-list", "--count", REF, cwd=world.remote))


def test_a_rotation_keeps_the_data_and_the_old_history(world: World) -> None:
    one = world.open("one")
    ops = [put(one, "a", f"k{number}", number) for number in range(20)]
    assert state_of(one) == "ok"
    before = git("rev-parse", REF, cwd=world.remote)
    done = one.syncing.rotate()
    assert done.previous == before
    assert length(world) == 1
    assert (
        git("rev-parse", f"refs/heads/{done.archive}", cwd=world.remote)
        == before
    )
    assert [
        one.values.retrieve("a", f"k{number}").value for number in range(20)
    ] == [*range(20)]
    assert {one.store.fate(op).where for op in ops} == {"synced"}
    new = world.open("new")
    assert state_of(new) == "ok"
    assert new.values.retrieve("a", "k7").value == 7
    git("fsck", "--strict", cwd=world.remote)


def test_a_remote_without_atomic_pushes_keeps_the_old_history(
    world: World,
) -> None:
    one = world.open("one")
    put(one, "a", "k", 1)
    assert state_of(one) == "ok"
    git("config", "receive.advertiseAtomic", "false", cwd=world.remote)
    done = one.syncing.rotate()
    kept = git("rev-parse", f"refs/heads/{done.archive}", cwd=world.remote)
    assert kept == done.previous
    assert length(world) == 1


def test_a_deleted_branch_that_was_rotated_twice_is_reported(
    world: World,
) -> None:
    """A clone that git makes afterwards founds no new store, and names one ref of the old one."""
    one = world.open("one")
    archives = set[str]()
    for number in range(2):
        put(one, "a", "k", number)
        assert state_of(one) == "ok"
        archives.add(f"refs/heads/{one.syncing.rotate().archive}")
    git("update-ref", "-d", REF, cwd=world.remote)
    new = world.open("new")
    top = new.project.top
    tracking = git(
        "for-each-ref", "--format=%(refname)", "refs/remotes", cwd=top
    )
    for ref in tracking.split():
        git("update-ref", "-d", ref, cwd=top)
    status = new.syncing.sync()
    assert status.state == "branch-deleted"
    assert any(archive in status.detail for archive in archives)
    assert "\t" not in status.detail
    assert len([one for one in archives if one in status.detail]) == 1


def test_clones_behind_a_rotation_keep_their_queues(world: World) -> None:
    """One clone has all of the old history, one has half of it, and both have queued edits."""
    one, near, far = world.open("one"), world.open("near"), world.open("far")
    put(one, "a", "b", 1)
    assert [state_of(clone) for clone in (one, near, far)] == ["ok"] * 3
    put(one, "a", "b", 2)
    assert [state_of(clone) for clone in (one, near)] == ["ok"] * 2
    queued = [put(near, "near", "k", "mine"), put(far, "far", "k", "mine")]
    one.syncing.rotate()
    assert [state_of(clone) for clone in (near, far, one)] == ["ok"] * 3
    assert [clone.values.retrieve("a", "b").value for clone in (near, far)] == [
        2,
        2,
    ]
    assert [
        one.values.retrieve(scope, "k").value for scope in ("near", "far")
    ] == [
        "mine",
        "mine",
    ]
    assert [all_ops(world)[op] for op in queued] == [1, 1]
    assert length(world) == 3


def test_a_clone_that_missed_two_rotations_follows(world: World) -> None:
    one, late = world.open("one"), world.open("late")
    put(one, "a", "b", 1)
    assert [state_of(clone) for clone in (one, late)] == ["ok", "ok"]
    op = put(late, "late", "k", "mine")
    for number in range(2):
        put(one, "a", "b", number + 2)
        one.syncing.rotate()
    put(one, "a", "b", 9)
    assert [state_of(clone) for clone in (one, late)] == ["ok", "ok"]
    assert late.values.retrieve("a", "b").value == 9
    assert all_ops(world)[op] == 1


def test_an_edit_pushed_before_a_rotation_is_not_repeated(
    world: World,
) -> None:
    """The answer to its push was lost, and then the branch was rotated."""
    one, two = world.open("one"), world.open("two")
    put(one, "a", "b", 1)
    assert [state_of(clone) for clone in (one, two)] == ["ok", "ok"]
    op = put(two, "two", "k", "mine")
    tip = str(two.store.branch.tip)
    git(
        "push",
        "-q",
        str(world.remote),
        f"{tip}:{REF}",
        cwd=two.store.repository.path,
    )
    one.syncing.rotate()
    assert state_of(two) == "ok"
    assert length(world) == 1
    assert two.store.fate(op).where == "synced"
    assert two.values.retrieve("two", "k").value == "mine"


def test_rotations_beside_writing_clones_lose_nothing(world: World) -> None:
    one = world.open("one")
    put(one, "a", "b", 1)
    assert state_of(one) == "ok"
    paths = [world.clone(f"c{number}") for number in range(3)]
    answers = Crowd(
        [["sync", str(path), path.name, "40", "3"] for path in paths]
    ).start()
    for _ in range(3):
        one.syncing.rotate()
    finished = answers()
    assert {answer["state"] for answer in finished} == {"ok"}
    found = all_ops(world)
    assert [found[op] for answer in finished for op in answer["ops"]] == [
        1
    ] * 120
    assert state_of(one) == "ok"
    for path in paths:
        values = [
            one.values.retrieve(f"own:{path.name}", f"k{number}").value
            for number in range(40)
        ]
        assert values == [*range(40)]


def test_a_rotation_that_the_remote_refuses_changes_nothing(
    world: World,
) -> None:
    one = world.open("one")
    put(one, "a", "b", 1)
    assert state_of(one) == "ok"
    git("config", "receive.denyNonFastForwards", "true", cwd=world.remote)
    before = git("rev-parse", REF, cwd=world.remote)
    with pytest.raises(NotRotated, match="protects") as caught:
        one.syncing.rotate()
    assert "branch rules" in caught.value.then
    assert git("rev-parse", REF, cwd=world.remote) == before
    put(one, "a", "b", 2)
    assert state_of(one) == "ok"


def test_a_rotation_that_died_after_its_push_is_completed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = world.open("one")
    put(one, "a", "b", 1)
    assert state_of(one) == "ok"
    calls = list[int]()

    def dies(
        replica: Any, remote: Any, now: Any, settle: Callable[[], None]
    ) -> Any:
        def once() -> None:
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            settle()

        return rotation.rotate(replica, remote, now, once)

    monkeypatch.setattr("csc_git.store.sync.sync.rotate", dies)
    with pytest.raises(KeyboardInterrupt):
        one.syncing.rotate()
    op = put(one, "a", "b", 2)
    assert state_of(one) == "ok"
    assert length(world) == 2
    assert one.store.fate(op).where == "synced"


def test_a_missing_old_history_needs_a_decision(
    world: World,
) -> None:
    one, late = world.open("one"), world.open("late")
    put(one, "a", "b", 1)
    assert [state_of(clone) for clone in (one, late)] == ["ok", "ok"]
    put(one, "a", "b", 2)
    done = one.syncing.rotate()
    git("update-ref", "-d", f"refs/heads/{done.archive}", cwd=world.remote)
    op = put(late, "late", "k", 1)
    assert state_of(late) == "history-rewritten"
    assert late.syncing.sync(permit=Permit(rewrite=True)).state == "ok"
    assert late.values.retrieve("a", "b").value == 2
    assert all_ops(world)[op] == 1


@pytest.mark.parametrize(
    "previous", ["*", "a:b", "../../../etc", "--upload-pack=x", "", "0" * 40, 7]
)
def test_an_invalid_previous_history_needs_a_decision(
    world: World, previous: object
) -> None:
    one, late = world.open("one"), world.open("late")
    put(one, "a", "b", 1)
    assert [state_of(clone) for clone in (one, late)] == ["ok", "ok"]
    path = world.directory / "hand"
    check_out_branch(world, path)
    content = json.loads((path / "format.json").read_text("utf-8")) | {
        "previous": previous
    }
    (path / "format.json").write_text(json.dumps(content), "utf-8")
    git("checkout", "-q", "--orphan", "new", cwd=path)
    git("commit", "-qam", "new", cwd=path)
    git("push", "-q", "-f", "origin", f"new:{REF}", cwd=path)
    put(late, "late", "k", 1)
    assert state_of(late) == "history-rewritten"
    assert late.syncing.sync(permit=Permit(rewrite=True)).state == "ok"
    assert late.store.fate("nobody's").where == "unknown"


def test_rotate_asks_first_on_the_command_line(world: World) -> None:
    one = world.open("one")
    put(one, "a", "b", 1)
    assert state_of(one) == "ok"
    rotate = [sys.executable, "-m", "csc_git", "rotate"]
    asked = subprocess.run(
        rotate, cwd=world.directory / "one", input="n\n", capture_output=True, text=True,
        check=False, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(ROOT)},
    )  # fmt: skip
    assert asked.returncode == 1
    assert "csc/state has 2 commits" in asked.stdout
    assert length(world) == 2
    done = subprocess.run(
        [*rotate, "--json"], cwd=world.directory / "one", capture_output=True, text=True,
        check=True, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(ROOT)},
    )  # fmt: skip
    assert json.loads(done.stdout)["archive"].startswith("csc/state-before-")
    assert length(world) == 1
    assert one.store.sync(clock.now(), clock.instant()).state == "ok"
