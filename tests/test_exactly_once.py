"""Each acknowledged edit reaches the remote exactly once, whatever interrupts a sync."""

import os
import shutil
import subprocess
import sys
import threading

import pytest

from csc_git.store.branch import Branch
from tests.by_hand import edit_by_hand
from tests.world import (
    ROOT,
    SYNC_ONCE,
    World,
    decline_commits_with,
    doubled_ops,
    put,
    state_of,
)


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize("fault", ["signal=KILL", "error=ENOSPC:when=1"])
@pytest.mark.parametrize("queued", [0, 2])
def test_a_crash_between_two_refs_loses_no_confirmed_edit(
    world: World, fault: str, queued: int
) -> None:
    one, two = world.open("one"), world.open("two")
    put(one, "s", "first", 1)
    assert [state_of(one), state_of(two)] == ["ok", "ok"]
    confirmed = [put(one, "s", f"k{n}", n, confirm=True) for n in range(3)]
    mine = [put(two, "t", f"k{n}", n) for n in range(queued)]
    head = two.store.repository.path / "refs" / "heads" / "csc" / "state.lock"
    subprocess.run(
        ["strace", "-f", "-o", "/dev/null", "-P", str(head), "-e", "trace=rename",
         "-e", f"inject=rename:{fault}", sys.executable, "-c", SYNC_ONCE,
         str(world.directory / "two")],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert two.store.branch.base != two.store.branch.tip, (
        "the fault was meant to come in between"
    )
    assert state_of(two) == "ok"
    assert {record.op for record in world.log()} >= {*confirmed, *mine}
    assert not doubled_ops(world)
    assert state_of(one) == "ok"
    assert one.store.branch.tip == two.store.branch.tip


def test_an_edit_made_during_a_sync_is_pushed_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = world.open("one"), world.open("two")
    put(one, "s", "a", 1, confirm=True)
    put(two, "s", "b", 1)
    real = Branch.parked

    def put_once(branch: Branch) -> dict[str, str]:
        if threading.current_thread() is threading.main_thread() and not made:
            made.append("")  # not for the call that this write makes
            made[0] = put(two, "s", "c", 1)
        return real(branch)

    made: list[str] = []
    monkeypatch.setattr(Branch, "parked", put_once)
    two.syncing.sync()
    two.syncing.sync()
    assert made
    assert not doubled_ops(world)
    assert made[0] in {record.op for record in world.log()}


DYING = """
import os, sys
from pathlib import Path
from csc_git.coordinator.factory import open_coordinator
from csc_git.errors import LostRace
from csc_git.git.remote import Remote
from tests.by_hand import edit_by_hand
from tests.world import decline_commits_with, doubled_ops
from tests.inside import clone_of
from tests.world import put
one = open_coordinator(Path(sys.argv[1]), {"machine": "one", "timeout": 20})
ready, set_ref, push = sys.argv[2] == "parked", one.store.repository.set_ref, Remote.push
losses = 0 if ready else 2

def pushed(remote, commit, expected):
    global losses, ready
    if losses and clone_of(remote) == "one":
        losses -= 1
        if not losses:
            other = open_coordinator(Path(sys.argv[1]).parent / "two", {"machine": "two"})
            put(other, "t", "x", 2)
            other.syncing.sync()
        raise LostRace("overtaken")
    push(remote, commit, expected)
    ready = ready or clone_of(remote) == "one"

def moved(name, *arguments):
    set_ref(name, *arguments)
    if name.startswith("refs/csc/base") and ready and (one.store.branch.parked() or losses == 0):
        os.kill(os.getpid(), 9)

Remote.push, one.store.repository.set_ref = pushed, moved
one.syncing.sync()
"""


def killed_between_base_and_tip(world: World, when: str) -> None:
    arguments = [
        sys.executable,
        "-c",
        DYING,
        str(world.directory / "one"),
        when,
    ]
    done = subprocess.run(
        arguments, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr


def test_a_crash_after_parking_an_edit_repeats_none(world: World) -> None:
    """The remote has the other edits as they were replayed without it, under new ids."""
    one = world.open("one")
    put(one, "s", "zero", 0, confirm=True)
    decline_commits_with(world)
    put(one, "s", "good", 1)
    put(one, "s", "k", "BAD")
    op = put(one, "s", "count", 3, if_revision="absent")
    one.close()
    killed_between_base_and_tip(world, "parked")
    again = world.open("one")
    assert state_of(again) == "ok"
    assert not doubled_ops(world)
    assert str(again.store.fate(op).outcome) == "applied"
    assert again.conflicts.open() == []


def test_a_crash_after_a_partial_push_repeats_no_edit(
    world: World,
) -> None:
    one, two = world.open("one"), world.open("two")
    put(one, "s", "z", 0, confirm=True)
    two.syncing.sync()
    ops = [put(one, "s", "counter", n) for n in range(40)]
    put(two, "t", "x", 1, confirm=True)
    one.close()
    killed_between_base_and_tip(world, "overtaken")
    assert state_of(world.open("one")) == "ok"
    assert not doubled_ops(world)
    assert {record.op for record in world.log()} >= {*ops}


def test_a_hand_edit_on_top_hides_no_pushed_edit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = world.open("one")
    put(one, "s", "e", 1)
    op = put(
        one, "s", "e", 2, if_revision=one.values.retrieve("s", "e").revision
    )
    with monkeypatch.context() as patch:
        patch.setattr(
            one.store.branch, "confirm", lambda _: 1 / 0
        )  # the answer is never seen
        one.syncing.sync()
    edit_by_hand(world, "README.md", "x")
    assert state_of(one) == "ok"
    assert not doubled_ops(world)
    assert one.store.fate(op).outcome is None
    assert one.conflicts.open() == []
