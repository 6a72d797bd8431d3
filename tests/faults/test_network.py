"""Networks and hosts that misbehave: bounded time, the right state, the queue kept, and recovery
without help as soon as they behave again.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from csc_git.coordinator.coordinator import Coordinator
from tests.faults.network import (
    NO_GITOLITE,
    Gitolite,
    Network,
    gitolite,
    missing,
    network,
)
from tests.git_servers import HttpServer, http_server
from tests.world import REF, World, git, put, state_of

LIMIT = 4
"""Seconds that a child may take here."""


@pytest.fixture
def lan(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Network]:
    if why := missing():
        pytest.skip(why)
    world.make_remote()
    with network(tmp_path, tmp_path / "bin") as made:
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        yield made


@pytest.fixture
def one(world: World, lan: Network) -> Coordinator:
    coordinator = world.open(
        world.clone("one", f"{lan.url}/remote.git"), timeout=LIMIT
    )
    put(coordinator, "before", "k", 0)
    assert state_of(coordinator) == "ok"
    return coordinator


def arrives(world: World, coordinator: Coordinator, ops: list[str]) -> None:
    """Everything is on the remote, once."""
    assert not coordinator.store.branch.queue()
    counted = Counter(record.op for record in world.log())
    assert [counted[op] for op in ops] == [1] * len(ops)
    assert max(counted.values()) == 1
    git("fsck", "--strict", cwd=world.remote)


def test_a_black_hole(world: World, lan: Network, one: Coordinator) -> None:
    lan.drop("-p", "tcp", "--dport", "9418")
    ops = [put(one, "dark", f"k{n}", n) for n in range(3)]
    began = time.monotonic()
    assert state_of(one) == "timeout"
    assert time.monotonic() - began < 3 * LIMIT
    ops.append(put(one, "dark", "k3", 3))
    assert len(one.store.branch.queue()) == 4
    lan.mend()
    assert state_of(one) == "ok"
    arrives(world, one, ops)


def test_a_black_hole_from_the_middle_of_a_push_on(
    world: World, lan: Network, one: Coordinator
) -> None:
    """The remote takes the push, and its answer never comes."""
    hook = world.remote / "hooks/post-receive"
    hook.write_text(
        "#!/bin/sh\niptables -A INPUT -p tcp --sport 9418 -j DROP\n", "utf-8"
    )
    hook.chmod(0o755)
    op = put(one, "dark", "k", 1)
    assert state_of(one) == "timeout"
    assert len(one.store.branch.queue()) == 1
    hook.unlink()
    lan.mend()
    assert state_of(one) == "ok"
    arrives(world, one, [op])


def test_thirty_percent_loss(
    world: World, lan: Network, one: Coordinator
) -> None:
    lan.drop("-m", "statistic", "--mode", "random", "--probability", "0.3")
    ops, states = [], set()
    for number in range(6):
        ops.append(put(one, "lossy", f"k{number}", number))
        states.add(state_of(one))
        assert one.retrieve("lossy", f"k{number}").value == number
    assert states <= {"ok", "timeout", "unreachable", "contended"}
    lan.mend()
    assert state_of(one) == "ok"
    arrives(world, one, ops)


def test_a_slow_link(world: World, lan: Network, one: Coordinator) -> None:
    """What does not fit into the time is not lost; what fits arrives."""
    lan.slow("400kbit", "500ms")
    op = put(one, "slow", "small", "x" * 1000)
    assert state_of(one) == "ok"
    arrives(world, one, [op])
    big = put(one, "slow", "big", os.urandom(400_000).hex())
    began = time.monotonic()
    assert state_of(one) == "timeout"
    assert time.monotonic() - began < 3 * LIMIT
    patient = world.open("one", timeout=60)
    assert state_of(patient) == "ok", patient.store.status
    arrives(world, patient, [op, big])


def test_a_remote_that_restarts_in_the_middle_of_a_push(
    world: World, lan: Network, one: Coordinator, tmp_path: Path
) -> None:
    arrived, hook = tmp_path / "arrived", world.remote / "hooks/pre-receive"
    os.mkfifo(arrived)
    hook.write_text(f"#!/bin/sh\necho >{arrived}\nexec sleep 60\n", "utf-8")
    hook.chmod(0o755)
    op = put(one, "restart", "k", 1)
    syncing = threading.Thread(target=one.sync)
    syncing.start()
    arrived.read_bytes()  # the push is in the hook's hands
    lan.kill()
    syncing.join(3 * LIMIT)
    assert one.store.status.state in {"unreachable", "failed", "timeout"}
    assert state_of(one) == "unreachable"
    hook.unlink()
    lan.start()
    assert state_of(one) == "ok"
    arrives(world, one, [op])


@pytest.fixture
def locked(world: World, tmp_path: Path) -> Iterator[HttpServer]:
    world.make_remote()
    with http_server(tmp_path, password="old") as server:
        yield server


def test_credentials_revoked_and_restored(
    world: World, locked: HttpServer
) -> None:
    clone = world.clone("one", locked.url("remote.git"))
    helper = "!f() { echo username=ada; echo password=old; }; f"
    git("config", "credential.helper", helper, cwd=clone)
    one = world.open(clone)
    ops = [put(one, "a", "k", 1)]
    assert state_of(one) == "ok"
    locked.password = "new"
    ops.append(put(one, "a", "k2", 2))
    assert state_of(one) == "credentials"
    assert len(one.store.branch.queue()) == 1
    locked.password = "old"
    assert state_of(one) == "ok"
    locked.password = "new"
    ops.append(put(one, "a", "k3", 3))
    assert state_of(one) == "credentials"
    git("config", "credential.helper", helper.replace("old", "new"), cwd=clone)
    assert state_of(one) == "ok"  # the settings are read again
    arrives(world, one, ops)


def test_the_remote_is_replaced_by_another_projects(world: World) -> None:
    one = world.open("one")
    put(one, "a", "k", 1)
    assert state_of(one) == "ok"
    mine, theirs = (
        world.directory / "mine.git",
        World(world.directory / "elsewhere"),
    )
    theirs.directory.mkdir()
    other = theirs.open("other")
    put(other, "a", "secret", "of theirs")
    assert state_of(other) == "ok"
    world.remote.rename(mine)
    theirs.remote.rename(world.remote)
    put(one, "a", "secret", "of mine")
    before = git("rev-parse", REF, cwd=world.remote)
    assert state_of(one) == "other-store"
    assert git("rev-parse", REF, cwd=world.remote) == before
    assert one.retrieve("a", "secret").value == "of mine"
    world.remote.rename(theirs.remote)
    mine.rename(world.remote)
    assert state_of(one) == "ok"
    theirs.close()


@pytest.fixture
def forge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gitolite:
    if NO_GITOLITE:
        pytest.skip(NO_GITOLITE)
    made = gitolite(tmp_path / "gitolite")
    monkeypatch.setenv("GIT_SSH_COMMAND", str(made.ssh))
    return made


def test_gitolite_protects_the_branch(world: World, forge: Gitolite) -> None:
    clone = world.clone("one", forge.url)
    git("push", "-q", "origin", "HEAD:main", cwd=clone)
    one = world.open(clone)
    forge.allow(
        "RW refs/heads/main = ada", "- refs/heads/csc/ = ada", "R = ada"
    )
    ops = [put(one, "a", "k", 1)]
    status = one.sync()
    assert status.state in {"protected", "declined"}, status
    assert "csc/state" in " ".join(status.describe())
    forge.allow("RW refs/heads/csc/ = ada", "R = ada")
    ops.append(put(one, "a", "k2", 2))
    assert state_of(one) == "ok"
    counted = Counter(record.op for record in world.log(forge.repository))
    assert [counted[op] for op in ops] == [1, 1]


def test_gitolite_without_the_right_to_rewind_is_all_that_is_needed(
    world: World, forge: Gitolite
) -> None:
    """`RW` moves branches forward only, and creates them; it never deletes."""
    url = forge.url
    one, two = (world.open(world.clone(name, url)) for name in ("one", "two"))
    git("push", "-q", "origin", "HEAD:main", cwd=one.project.common_dir)
    forge.allow("RW = ada")
    for number in range(5):
        for coordinator in (one, two):
            put(coordinator, "both", "k", [coordinator.clone.machine, number])
        assert [state_of(one), state_of(two), state_of(one)] == ["ok"] * 3
    assert one.retrieve("both", "k").value == two.retrieve("both", "k").value


def test_gitolite_takes_the_right_to_read_away(
    world: World, forge: Gitolite
) -> None:
    one = world.open(world.clone("one", forge.url))
    git("push", "-q", "origin", "HEAD:main", cwd=one.project.common_dir)
    put(one, "a", "k", 1)
    assert state_of(one) == "ok"
    forge.allow("- = ada")
    put(one, "a", "k2", 2)
    assert state_of(one) in {"credentials", "not-found"}
    forge.allow("R = ada")
    assert state_of(one) == "read-only"
    forge.allow("RW = ada")
    assert state_of(one) == "ok"
