"""Many processes on one clone, and many clones of one remote. No edit is lost or out of order."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.concurrent_writers import (
    OUTSIDERS,
    disorder,
    write_in_many_clones,
    write_in_one_clone,
)
from tests.git_servers import http_server, ssh_server
from tests.side_effects import untouched
from tests.world import ROOT, Crowd, World, git, put, state_of


def test_16_processes_writing_in_one_clone_lose_nothing(world: World) -> None:
    clone = world.clone("one")
    with untouched(world, clone):
        answers = Crowd(
            [["write", str(clone), f"p{n}", "25"] for n in range(16)]
        ).run()
    acknowledged = [op for answer in answers for op in answer["ops"]]

    coordinator = world.open("one")
    ops = [record.op for record in world.log(coordinator.store.repository.path)]
    assert len(acknowledged) == 16 * 50
    assert Counter(ops[1:]) == Counter(
        acknowledged
    )  # exactly once each, and the root
    for n in range(16):
        keys = coordinator.values.list_keys(f"own:p{n}").keys
        assert sorted(keys) == sorted(f"k{number}" for number in range(25))
    git("fsck", "--strict", cwd=coordinator.store.repository.path)


def test_16_processes_signing_on_together_get_16_names(world: World) -> None:
    clone = world.clone("one")
    answers = Crowd([["sign_on", str(clone)] for _ in range(16)]).run()
    names = {answer["session"] for answer in answers}
    assert names == {f"claude_{n}@one" for n in range(1, 17)}


@pytest.mark.parametrize("transport", ["path", "http", "ssh"])
def test_8_clones_writing_through_one_remote_lose_nothing(
    world: World,
    transport: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remote = world.make_remote()
    if transport == "path":
        _eight_clones(world, str(remote))
    elif transport == "http":
        with http_server(tmp_path) as server:
            _eight_clones(world, server.url("remote.git"))
    else:
        with ssh_server(tmp_path / "ssh") as sshd:
            monkeypatch.setenv("SSH_AUTH_SOCK", sshd.agent)
            monkeypatch.setenv("GIT_SSH_COMMAND", f"ssh -F {sshd.config}")
            # each connection costs a key exchange, which is slow for eight clones on two cores
            _eight_clones(world, sshd.url(remote), edits=5, every=5)


def _eight_clones(
    world: World, url: str, edits: int = 10, every: int = 1
) -> None:
    for rule in (
        "receive.denyDeletes",
        "receive.denyNonFastForwards",
    ):  # as the guide advises
        git("config", rule, "true", cwd=world.remote)
    clones = [world.clone(f"c{n}", url) for n in range(8)]
    commands = [
        ["sync", str(clone), clone.name, str(edits), str(every)]
        for clone in clones
    ]
    with untouched(world, *clones):
        answers = Crowd(commands).run()
    acknowledged = [op for answer in answers for op in answer["ops"]]
    assert [answer["state"] for answer in answers] == ["ok"] * 8
    assert world.is_linear()
    ops = Counter(record.op for record in world.log())
    assert all(ops[op] == 1 for op in acknowledged)
    assert len(acknowledged) == 8 * edits
    assert sum(ops.values()) == 8 * edits + 1  # and the root of the first clone
    git("fsck", "--strict", cwd=world.remote)


def test_two_clones_offline_for_200_edits_are_merged(world: World) -> None:
    """Both write at the same time, in two processes, while the remote can't be reached."""
    clones = [world.clone("one"), world.clone("two")]
    away = world.directory / "away.git"
    world.remote.rename(away)
    with untouched(world, *clones):
        answers = Crowd(
            [["offline", str(clone), clone.name, "200"] for clone in clones]
        ).run()
        away.rename(world.remote)
        for name in ("one", "two", "one"):
            assert state_of(world.open(name)) == "ok"
    assert [answer["states"] for answer in answers] == [
        ["not-found"],
        ["not-found"],
    ]

    one, two = world.open("one"), world.open("two")
    assert one.store.branch.tip == two.store.branch.tip
    acknowledged = [op for answer in answers for op in answer["ops"]]
    counted = Counter(record.op for record in world.log())
    assert all(counted[op] == 1 for op in acknowledged)
    assert len(acknowledged) == 400
    assert sum(counted.values()) == 400 + 1
    conflicts = one.conflicts.open()
    assert len(conflicts) == 20
    current = {
        one.values.retrieve("shared", f"k{n}").value for n in range(0, 200, 10)
    }
    lost = {conflict.lost.value for conflict in conflicts}
    assert lost | current == {
        f"{m} {n}" for m in ("one", "two") for n in range(0, 200, 10)
    }


def test_killed_writers_lose_no_edit_and_leave_no_lock(world: World) -> None:
    clone = world.clone("one")
    acknowledged: list[str] = []
    for round_ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.endless_writer", str(clone), f"round:{round_}"],
            stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5 + round_)]
        acknowledged += map(json.loads, lines)
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += [
            json.loads(line) for line in process.stdout if line.endswith("\n")
        ]
        process.wait()
        process.stdout.close()
    coordinator = world.open("one")
    put(coordinator, "after", "all", 1)
    ops = Counter(
        record.op for record in world.log(coordinator.store.repository.path)
    )
    assert all(ops[op] == 1 for op in acknowledged)
    git("fsck", "--strict", cwd=coordinator.store.repository.path)


def test_8_processes_keep_order_beside_gc_and_rebases(
    tmp_path: Path,
) -> None:
    made = write_in_one_clone(tmp_path, processes=8, times=12)
    assert made.lost == []
    assert made.disordered == []
    assert made.edits == 8 * 12
    assert len(made.beside) == len(OUTSIDERS)


def test_6_clones_that_confirm_each_edit_keep_order(
    world: World, tmp_path: Path
) -> None:
    world.make_remote()
    with http_server(tmp_path) as server:
        made = write_in_many_clones(
            world, server.url("remote.git"), clones=6, times=5
        )
    assert made.lost == []
    assert made.disordered == []
    assert made.edits == 30


@pytest.mark.parametrize(
    ("branch", "found"),
    [(["a", "b", "c"], []), (["a", "c", "b"], []), (["c", "a", "b"], ["a"])],
)
def test_the_check_of_order_finds_disorder(
    branch: list[str], found: list[str]
) -> None:
    """`a` was over when `c` began; `b` overlaps with both."""
    timed = [("a", 0.0, 1.0), ("b", 0.5, 3.0), ("c", 2.0, 3.0)]
    assert disorder(timed, branch) == found
