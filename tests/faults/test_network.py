"""Networks and hosts that misbehave: a sync ends in time with the right state and keeps the queue.

It works again by itself as soon as they behave.
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
    network,
    why_no_network,
)
from tests.git_servers import HttpServer, http_server
from tests.world import REF, World, git, put, state_of

LIMIT = 4
"""Seconds that a git process may take in these tests."""


@pytest.fixture
def lan(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Network]:
    if why := why_no_network():
        pytest.skip(why)
    world.make_remote()
    with network(tmp_path, tmp_path / "bin") as made:
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        yield made


@pytest.fixture
def networked(world: World, lan: Network) -> Coordinator:
    coordinator = world.open(
        world.clone("one", f"{lan.url}/remote.git"), timeout=LIMIT
    )
    put(coordinator, "before", "k", 0)
    assert state_of(coordinator) == "ok"
    return coordinator


def arrives(world: World, coordinator: Coordinator, ops: list[str]) -> None:
    """Assert that the remote has all edits exactly once."""
    assert not coordinator.store.branch.queue()
    counted = Counter(record.op for record in world.log())
    assert [counted[op] for op in ops] == [1] * len(ops)
    assert max(counted.values()) == 1
    git("fsck", "--strict", cwd=world.remote)


def test_a_network_that_drops_everything_ends_in_a_timeout(
    world: World, lan: Network, networked: Coordinator
) -> None:
    lan.drop("-p", "tcp", "--dport", "9418")
    ops = [put(networked, "dark", f"k{n}", n) for n in range(3)]
    began = time.monotonic()
    assert state_of(networked) == "timeout"
    assert time.monotonic() - began < 3 * LIMIT
    ops.append(put(networked, "dark", "k3", 3))
    assert len(networked.store.branch.queue()) == 4
    lan.mend()
    assert state_of(networked) == "ok"
    arrives(world, networked, ops)


def test_a_push_whose_answer_is_dropped_arrives_once(
    world: World, lan: Network, networked: Coordinator
) -> None:
    """The remote takes the push, and its answer never comes."""
    hook = world.remote / "hooks/post-receive"
    hook.write_text(
        "#!/bin/sh\niptables -A INPUT -p tcp --sport 9418 -j DROP\n", "utf-8"
    )
    hook.chmod(0o755)
    op = put(networked, "dark", "k", 1)
    assert state_of(networked) == "timeout"
    assert len(networked.store.branch.queue()) == 1
    hook.unlink()
    lan.mend()
    assert state_of(networked) == "ok"
    arrives(world, networked, [op])


def test_edits_arrive_once_with_30_percent_packet_loss(
    world: World, lan: Network, networked: Coordinator
) -> None:
    lan.drop("-m", "statistic", "--mode", "random", "--probability", "0.3")
    ops, states = [], set()
    for number in range(6):
        ops.append(put(networked, "lossy", f"k{number}", number))
        states.add(state_of(networked))
        assert networked.values.retrieve("lossy", f"k{number}").value == number
    assert states <= {"ok", "timeout", "unreachable", "contended"}
    lan.mend()
    assert state_of(networked) == "ok"
    arrives(world, networked, ops)


def test_an_edit_too_large_for_a_slow_link_stays_queued(
    world: World, lan: Network, networked: Coordinator
) -> None:
    """A small edit arrives. A large one exceeds the time limit and stays queued."""
    lan.slow("400kbit", "500ms")
    op = put(networked, "slow", "small", "x" * 1000)
    assert state_of(networked) == "ok"
    arrives(world, networked, [op])
    big = put(networked, "slow", "big", os.urandom(400_000).hex())
    began = time.monotonic()
    assert state_of(networked) == "timeout"
    assert time.monotonic() - began < 3 * LIMIT
    patient = world.open("one", timeout=60)
    assert state_of(patient) == "ok", patient.store.sync_status
    arrives(world, patient, [op, big])


def test_a_remote_that_restarts_during_a_push_loses_nothing(
    world: World, lan: Network, networked: Coordinator, tmp_path: Path
) -> None:
    arrived, hook = tmp_path / "arrived", world.remote / "hooks/pre-receive"
    os.mkfifo(arrived)
    hook.write_text(f"#!/bin/sh\necho >{arrived}\nexec sleep 60\n", "utf-8")
    hook.chmod(0o755)
    op = put(networked, "restart", "k", 1)
    syncing = threading.Thread(target=networked.syncing.sync)
    syncing.start()
    arrived.read_bytes()  # the hook has the push now
    lan.kill()
    syncing.join(3 * LIMIT)
    assert networked.store.sync_status.state in {
        "unreachable",
        "failed",
        "timeout",
    }
    assert state_of(networked) == "unreachable"
    hook.unlink()
    lan.start()
    assert state_of(networked) == "ok"
    arrives(world, networked, [op])


@pytest.fixture
def password_server(world: World, tmp_path: Path) -> Iterator[HttpServer]:
    world.make_remote()
    with http_server(tmp_path, password="old") as server:
        yield server


def test_edits_wait_while_credentials_are_revoked(
    world: World, password_server: HttpServer
) -> None:
    clone = world.clone("one", password_server.url("remote.git"))
    helper = "!f() { echo username=ada; echo password=old; }; f"
    git("config", "credential.helper", helper, cwd=clone)
    one = world.open(clone)
    ops = [put(one, "a", "k", 1)]
    assert state_of(one) == "ok"
    password_server.password = "new"
    ops.append(put(one, "a", "k2", 2))
    assert state_of(one) == "credentials"
    assert len(one.store.branch.queue()) == 1
    password_server.password = "old"
    assert state_of(one) == "ok"
    password_server.password = "new"
    ops.append(put(one, "a", "k3", 3))
    assert state_of(one) == "credentials"
    git("config", "credential.helper", helper.replace("old", "new"), cwd=clone)
    assert state_of(one) == "ok"  # the settings are read again
    arrives(world, one, ops)


def test_nothing_is_pushed_to_another_projects_repository(world: World) -> None:
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
    assert one.values.retrieve("a", "secret").value == "of mine"
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


def test_a_branch_protected_by_gitolite_keeps_edits_queued(
    world: World, forge: Gitolite
) -> None:
    clone = world.clone("one", forge.url)
    git("push", "-q", "origin", "HEAD:main", cwd=clone)
    one = world.open(clone)
    forge.allow(
        "RW refs/heads/main = ada", "- refs/heads/csc/ = ada", "R = ada"
    )
    ops = [put(one, "a", "k", 1)]
    status = one.syncing.sync()
    assert status.state in {"protected", "declined"}, status
    assert "csc/state" in " ".join(status.describe())
    forge.allow("RW refs/heads/csc/ = ada", "R = ada")
    ops.append(put(one, "a", "k2", 2))
    assert state_of(one) == "ok"
    counted = Counter(record.op for record in world.log(forge.repository))
    assert [counted[op] for op in ops] == [1, 1]


def test_gitolite_needs_to_grant_no_right_to_rewind(
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
    assert (
        one.values.retrieve("both", "k").value
        == two.values.retrieve("both", "k").value
    )


def test_gitolite_revoking_and_granting_rights_is_followed(
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
