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
from csc_git.store import rotation
from csc_git.store.recovery import Permit
from tests.world import REF, ROOT, Crowd, World, git, put, state_of


def all_ops(world: World) -> Counter[str]:
    """The ops in the histories the remote keeps: that of the branch, and those before it."""
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


def test_the_data_stay_and_the_history_is_kept(world: World) -> None:
    one = world.open("one")
    ops = [put(one, "a", f"k{number}", number) for number in range(20)]
    assert state_of(one) == "ok"
    before = git("rev-parse", REF, cwd=world.remote)
    done = one.rotate()
    assert done.previous == before
    assert length(world) == 1
    assert (
        git("rev-parse", f"refs/heads/{done.archive}", cwd=world.remote)
        == before
    )
    assert [one.retrieve("a", f"k{number}").value for number in range(20)] == [
        *range(20)
    ]
    assert {one.store.fate(op).where for op in ops} == {"synced"}
    new = world.open("new")
    assert state_of(new) == "ok"
    assert new.retrieve("a", "k7").value == 7
    git("fsck", "--strict", cwd=world.remote)


def test_clones_that_lag_behind_go_on_with_their_queues(world: World) -> None:
    """One knows all of the old history, one half of it, and both have edits of their own."""
    one, near, far = world.open("one"), world.open("near"), world.open("far")
    put(one, "a", "b", 1)
    assert [state_of(clone) for clone in (one, near, far)] == ["ok"] * 3
    put(one, "a", "b", 2)
    assert [state_of(clone) for clone in (one, near)] == ["ok"] * 2
    queued = [put(near, "near", "k", "mine"), put(far, "far", "k", "mine")]
    one.rotate()
    assert [state_of(clone) for clone in (near, far, one)] == ["ok"] * 3
    assert [clone.retrieve("a", "b").value for clone in (near, far)] == [2, 2]
    assert [one.retrieve(scope, "k").value for scope in ("near", "far")] == [
        "mine",
        "mine",
    ]
    assert [all_ops(world)[op] for op in queued] == [1, 1]
    assert length(world) == 3


def test_a_clone_that_missed_two_rotations(world: World) -> None:
    one, late = world.open("one"), world.open("late")
    put(one, "a", "b", 1)
    assert [state_of(clone) for clone in (one, late)] == ["ok", "ok"]
    op = put(late, "late", "k", "mine")
    for number in range(2):
        put(one, "a", "b", number + 2)
        one.rotate()
    put(one, "a", "b", 9)
    assert [state_of(clone) for clone in (one, late)] == ["ok", "ok"]
    assert late.retrieve("a", "b").value == 9
    assert all_ops(world)[op] == 1


def test_an_edit_that_had_arrived_before_is_not_made_again(
    world: World,
) -> None:
    """Its push was answered by nobody; then the branch was rotated."""
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
    one.rotate()
    assert state_of(two) == "ok"
    assert length(world) == 1
    assert two.store.fate(op).where == "synced"
    assert two.retrieve("two", "k").value == "mine"


def test_beside_clones_that_write_all_the_time(world: World) -> None:
    one = world.open("one")
    put(one, "a", "b", 1)
    assert state_of(one) == "ok"
    paths = [world.clone(f"c{number}") for number in range(3)]
    answers = Crowd(
        [["sync", str(path), path.name, "40", "3"] for path in paths]
    ).start()
    for _ in range(3):
        one.rotate()
    told = answers()
    assert {answer["state"] for answer in told} == {"ok"}
    found = all_ops(world)
    assert [found[op] for answer in told for op in answer["ops"]] == [1] * 120
    assert state_of(one) == "ok"
    for path in paths:
        values = [
            one.retrieve(f"own:{path.name}", f"k{number}").value
            for number in range(40)
        ]
        assert values == [*range(40)]


def test_a_remote_that_does_not_allow_it(world: World) -> None:
    one = world.open("one")
    put(one, "a", "b", 1)
    assert state_of(one) == "ok"
    git("config", "receive.denyNonFastForwards", "true", cwd=world.remote)
    before = git("rev-parse", REF, cwd=world.remote)
    with pytest.raises(NotRotated, match="protects") as told:
        one.rotate()
    assert "branch rules" in told.value.then
    assert git("rev-parse", REF, cwd=world.remote) == before
    put(one, "a", "b", 2)
    assert state_of(one) == "ok"


def test_a_rotation_that_died_after_its_push(
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

    monkeypatch.setattr("csc_git.store.sync.rotate", dies)
    with pytest.raises(KeyboardInterrupt):
        one.rotate()
    op = put(one, "a", "b", 2)
    assert state_of(one) == "ok"
    assert length(world) == 2
    assert one.store.fate(op).where == "synced"


def test_a_clone_that_finds_the_history_before_gone_asks_a_person(
    world: World,
) -> None:
    one, late = world.open("one"), world.open("late")
    put(one, "a", "b", 1)
    assert [state_of(clone) for clone in (one, late)] == ["ok", "ok"]
    put(one, "a", "b", 2)
    done = one.rotate()
    git("update-ref", "-d", f"refs/heads/{done.archive}", cwd=world.remote)
    op = put(late, "late", "k", 1)
    assert state_of(late) == "history-rewritten"
    assert late.sync(permit=Permit(rewrite=True)).state == "ok"
    assert late.retrieve("a", "b").value == 2
    assert all_ops(world)[op] == 1


@pytest.mark.parametrize(
    "previous", ["*", "a:b", "../../../etc", "--upload-pack=x", "", "0" * 40, 7]
)
def test_a_history_that_claims_to_continue_nonsense(
    world: World, previous: object
) -> None:
    one, late = world.open("one"), world.open("late")
    put(one, "a", "b", 1)
    assert [state_of(clone) for clone in (one, late)] == ["ok", "ok"]
    path = world.directory / "hand"
    git(
        "clone",
        "-q",
        "-b",
        "csc/state",
        str(world.remote),
        str(path),
        cwd=world.directory,
    )
    says = json.loads((path / "format.json").read_text("utf-8")) | {
        "previous": previous
    }
    (path / "format.json").write_text(json.dumps(says), "utf-8")
    git("checkout", "-q", "--orphan", "new", cwd=path)
    git("commit", "-qam", "new", cwd=path)
    git("push", "-q", "-f", "origin", f"new:{REF}", cwd=path)
    put(late, "late", "k", 1)
    assert state_of(late) == "history-rewritten"
    assert late.sync(permit=Permit(rewrite=True)).state == "ok"
    assert late.store.fate("nobody's").where == "unknown"


def test_on_the_command_line(world: World) -> None:
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
