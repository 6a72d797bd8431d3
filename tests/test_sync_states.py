"""Everything that can be wrong with the remote: the queue stays, the state says what it is and what
to do, local work goes on, and when it is mended everything arrives exactly once.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.store.recovery import Permit
from tests.agents import agent, run
from tests.git_servers import HttpServer, http_server
from tests.world import REF, ROOT, World, git, put, state_of


@pytest.fixture
def http(world: World, tmp_path: Path) -> Iterator[HttpServer]:
    world.make_remote()
    with http_server(tmp_path) as server:
        yield server


def broken(coordinator: Coordinator, state: str, *words: str) -> None:
    """An edit is made; the sync fails as expected; local work goes on; nothing is lost."""
    queued = len(coordinator.store.branch.queue())
    put(coordinator, "work", f"k{queued}", queued)
    status = coordinator.sync()
    what, then = status.describe()
    assert status.state == state, (what, status)
    assert what
    assert then
    for word in words:
        assert word in f"{what} {then}"
    put(coordinator, "work", f"k{queued + 1}", queued)
    assert len(coordinator.store.branch.queue()) == queued + 2
    assert coordinator.summary.sync().queued == queued + 2


def mended(
    world: World, coordinator: Coordinator, permit: Permit | None = None
) -> None:
    """After mending, everything arrives exactly once."""
    waiting = [commit.message for commit in coordinator.store.branch.queue()]
    status = coordinator.sync(permit=permit or Permit())
    assert status.state == "ok", status
    assert not coordinator.store.branch.queue()
    ops = Counter(record.op for record in world.log())
    assert max(ops.values()) == 1
    for message in waiting:
        op = message.split("Csc-Op: ")[1].splitlines()[0]
        assert ops[op] == 1


def test_down(world: World, http: HttpServer) -> None:
    coordinator = world.open(world.clone("one", http.url("remote.git")))
    good, http.port = http.port, 1
    git(
        "remote",
        "set-url",
        "origin",
        http.url("remote.git"),
        cwd=world.directory / "one",
    )
    broken(coordinator, "unreachable", "retries")
    http.port = good
    git(
        "remote",
        "set-url",
        "origin",
        http.url("remote.git"),
        cwd=world.directory / "one",
    )
    mended(world, coordinator)


def test_server_errors(world: World, http: HttpServer) -> None:
    coordinator = world.open(world.clone("one", http.url("remote.git")))
    http.answer = 503
    broken(coordinator, "unreachable", "503")
    http.answer = None
    mended(world, coordinator)


def test_hanging(world: World, http: HttpServer) -> None:
    coordinator = world.open(
        world.clone("one", http.url("remote.git")), timeout=1
    )
    http.hang = True
    began = time.monotonic()
    broken(coordinator, "timeout", "1 seconds")
    assert time.monotonic() - began < 15  # git itself would give up after 30
    http.hang = False
    mended(world, coordinator)


def test_slow(world: World, http: HttpServer) -> None:
    """Slower than comfortable, quicker than the time limit: it takes its time and gets there."""
    http.delay = 0.5
    clone = world.clone("one", http.url("remote.git"))

    async def scenario() -> None:
        async with agent(clone, "--timeout", "30") as claude:
            await claude.call("sign_on")
            began = time.monotonic()
            first = await claude.call("store_data", scope="a", key="b", value=1)
            took = time.monotonic() - began
            sure = await claude.call(
                "store_data", scope="a", key="c", value=1, confirm=True
            )
            assert (first["status"], sure["status"]) == ("local", "synced")
            assert took < time.monotonic() - began - took, (
                "who doesn't ask doesn't wait"
            )

    run(scenario)


def test_wrong_credentials(world: World, http: HttpServer) -> None:
    http.password = "right"
    coordinator = world.open(world.clone("one", http.url("remote.git")))
    broken(coordinator, "credentials", "git fetch")
    http.password = None
    mended(world, coordinator)


def test_forbidden(world: World, http: HttpServer) -> None:
    coordinator = world.open(world.clone("one", http.url("remote.git")))
    http.answer = 403
    broken(coordinator, "read-only", "write")
    http.answer = None
    mended(world, coordinator)


def test_not_found(world: World) -> None:
    coordinator = world.open("one")
    world.remote.rename(world.directory / "away.git")
    broken(coordinator, "not-found", "git remote -v")
    (world.directory / "away.git").rename(world.remote)
    mended(world, coordinator)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount a small disk")
def test_full(world: World) -> None:
    coordinator = world.open("one")
    put(coordinator, "a", "b", os.urandom(300_000).hex())
    moved = world.directory / "moved.git"
    world.remote.rename(moved)
    world.remote.mkdir()
    mounted = [
        "mount",
        "-t",
        "tmpfs",
        "-o",
        "size=256k",
        "tmpfs",
        str(world.remote),
    ]
    if subprocess.run(mounted, check=False, capture_output=True).returncode:
        world.remote.rmdir()
        moved.rename(world.remote)
        pytest.skip("can't mount here")
    try:
        shutil.rmtree(moved / "hooks", ignore_errors=True)
        shutil.copytree(moved, world.remote, dirs_exist_ok=True)
        broken(coordinator, "remote-full", "disk is full")
    finally:
        subprocess.run(["umount", "-l", str(world.remote)], check=True)
        world.remote.rmdir()
        moved.rename(world.remote)
    mended(world, coordinator)


def test_a_hooks_words_do_not_make_it_a_broken_transport(world: World) -> None:
    coordinator = world.open("one")
    _hook(
        world,
        "pre-receive",
        "echo 'no write access: this repository is read-only' >&2; exit 1",
    )
    broken(coordinator, "declined", "read-only")
    (world.remote / "hooks" / "pre-receive").unlink()
    mended(world, coordinator)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount a disk read-only")
def test_read_only(world: World) -> None:
    coordinator = world.open("one")
    world.make_remote()
    bind = ["mount", "--bind", str(world.remote), str(world.remote)]
    if subprocess.run(bind, check=False, capture_output=True).returncode:
        pytest.skip("can't mount here")
    try:
        subprocess.run(
            ["mount", "-o", "remount,ro,bind", str(world.remote)], check=True
        )
        broken(coordinator, "read-only", "write access")
    finally:
        subprocess.run(["umount", "-l", str(world.remote)], check=True)
    mended(world, coordinator)


def test_protected(world: World) -> None:
    coordinator = world.open("one")
    words = "GH006: Protected branch update failed for refs/heads/csc/state."
    _hook(world, "update", f"echo '{words}' >&2; exit 1")
    broken(coordinator, "protected", "branch rules")
    (world.remote / "hooks" / "update").unlink()
    mended(world, coordinator)


def test_everything_declined(world: World) -> None:
    coordinator = world.open("one")
    _hook(world, "pre-receive", "echo 'the sky is red today' >&2; exit 1")
    broken(coordinator, "declined", "the sky is red today")
    assert not coordinator.store.branch.parked()  # nobody's edit is at fault
    (world.remote / "hooks" / "pre-receive").unlink()
    mended(world, coordinator)


def test_one_declined_edit_among_100_holds_back_itself_alone(
    world: World,
) -> None:
    coordinator = world.open("one")
    put(coordinator, "work", "first", 0)
    assert state_of(coordinator) == "ok"
    refuse = "while read old new ref; do git log -p $old..$new 2>/dev/null | grep -q S3CRET && "
    _hook(
        world,
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
    status = coordinator.status()
    assert [edit.op for edit in status.parked] == [guilty]
    assert "found a secret" in status.parked[0].reason
    assert not coordinator.store.branch.queue()
    assert coordinator.retrieve("work", "leak").found is False
    ops = Counter(record.op for record in world.log())
    assert len(ops) == 1 + 1 + 100
    assert max(ops.values()) == 1
    assert coordinator.summary.conflicts(coordinator.store.snapshot()) == []

    (world.remote / "hooks" / "pre-receive").unlink()
    coordinator.release(guilty)
    assert state_of(coordinator) == "ok"
    assert coordinator.retrieve("work", "leak").value == "S3CRET"
    assert Counter(record.op for record in world.log())[guilty] == 1
    assert not coordinator.store.branch.parked()


def test_a_held_edit_can_be_dropped(world: World) -> None:
    coordinator = world.open("one")
    put(coordinator, "work", "first", 0)
    assert state_of(coordinator) == "ok"
    refuse = (
        "while read old new ref; do "
        "git log -p $old..$new | grep -q S3CRET && exit 1; done; exit 0"
    )
    _hook(world, "pre-receive", refuse)
    guilty = put(coordinator, "work", "leak", "S3CRET")
    put(coordinator, "work", "fine", 1)
    assert state_of(coordinator) == "ok"
    assert coordinator.store.drop(guilty, clock.now())
    assert not coordinator.store.drop(guilty, clock.now())
    assert state_of(coordinator) == "ok"
    assert coordinator.store.fate(guilty).where == "unknown"


def test_later_edits_of_a_held_key_are_no_conflict(world: World) -> None:
    coordinator = world.open("one")
    put(coordinator, "work", "doc", "clean")
    assert state_of(coordinator) == "ok"
    added = "git log -p $old..$new | grep -q +.*S3CRET"
    refuse = f"while read old new _; do {added} && exit 1; done; :"
    _hook(world, "pre-receive", refuse)
    put(coordinator, "work", "doc", "S3CRET")
    put(coordinator, "work", "doc", "clean again")
    put(coordinator, "work", "other", 1)
    assert state_of(coordinator) == "ok"
    assert coordinator.retrieve("work", "doc").value == "clean again"
    assert coordinator.summary.conflicts(coordinator.store.snapshot()) == []


def test_empty(world: World) -> None:
    git(
        "init",
        "-q",
        "--bare",
        str(world.directory / "empty.git"),
        cwd=world.directory,
    )
    clone = world.clone("one")
    git(
        "remote",
        "set-url",
        "origin",
        str(world.directory / "empty.git"),
        cwd=clone,
    )
    coordinator = world.open("one")
    broken(coordinator, "empty-remote", "csc.dedicated")
    assert git("branch", "--list", cwd=world.directory / "empty.git") == ""
    git("config", "csc.dedicated", "true", cwd=clone)
    coordinator.close()
    again = world.open("one")
    assert state_of(again) == "ok"
    assert len(world.log(world.directory / "empty.git")) == 3


def test_branch_deleted(world: World) -> None:
    coordinator = world.open("one")
    put(coordinator, "a", "b", 1)
    assert state_of(coordinator) == "ok"
    git("update-ref", "-d", REF, cwd=world.remote)
    broken(coordinator, "branch-deleted", "csc-git doctor")
    assert git("branch", "--list", "csc/state", cwd=world.remote) == ""
    mended(world, coordinator, Permit(recreate=True))
    assert len(world.log()) == 4


def test_history_rewritten(world: World) -> None:
    one, two = world.open("one"), world.open("two")
    put(one, "a", "kept", 1)
    assert state_of(one) == "ok"
    kept = git("rev-parse", REF, cwd=world.remote)
    put(one, "a", "purged", "secret")
    assert state_of(one) == "ok"
    git("update-ref", REF, kept, cwd=world.remote)
    put(two, "b", "theirs", 1)
    assert state_of(two) == "ok"
    broken(one, "history-rewritten", "csc-git doctor")
    assert one.retrieve("a", "purged").found is True
    mended(world, one, Permit(rewrite=True))
    assert one.retrieve("a", "purged").found is False  # never pushed again
    assert one.retrieve("b", "theirs").value == 1
    assert one.retrieve("work", "k0").found is True


def test_taking_the_side_of_a_rewound_remote(world: World) -> None:
    one = world.open("one")
    put(one, "a", "kept", 1)
    assert state_of(one) == "ok"
    kept = git("rev-parse", REF, cwd=world.remote)
    put(one, "a", "purged", 1)
    assert state_of(one) == "ok"
    git("update-ref", REF, kept, cwd=world.remote)
    broken(one, "remote-behind")
    mended(world, one, Permit(rewrite=True))


def test_another_store(world: World) -> None:
    one = world.open("one")
    put(one, "a", "b", 1)
    assert state_of(one) == "ok"
    git("update-ref", "-d", REF, cwd=world.remote)
    other = world.open("other")
    put(other, "x", "y", 1)
    assert state_of(other) == "ok"
    before = git("rev-parse", REF, cwd=world.remote)
    broken(one, "other-store", "csc-git doctor")
    assert state_of(one) == "other-store"
    assert (
        one.sync(permit=Permit(rewrite=True, recreate=True)).state
        == "other-store"
    )
    assert git("rev-parse", REF, cwd=world.remote) == before


def test_a_branch_that_is_called_as_the_beginning_of_ours(world: World) -> None:
    one = world.open("one")
    head = git("rev-parse", "HEAD", cwd=world.remote).strip()
    git("update-ref", "refs/heads/csc", head, cwd=world.remote)
    broken(one, "not-a-store", "csc.branch", "'refs/heads/csc' exists")
    git("update-ref", "-d", "refs/heads/csc", cwd=world.remote)
    mended(world, one)


def test_several_remotes_of_which_none_is_called_origin(world: World) -> None:
    clone = world.clone("one")
    git("remote", "rename", "origin", "here", cwd=clone)
    git("remote", "add", "there", "/nowhere", cwd=clone)
    broken(world.open("one"), "no-remote", "here and there; which is meant?")


def test_somebody_elses_branch_of_that_name(world: World) -> None:
    world.make_remote()
    git("update-ref", REF, "refs/heads/main", cwd=world.remote)
    before = git("rev-parse", REF, cwd=world.remote)
    broken(world.open("one"), "not-a-store", "csc.branch")
    assert git("rev-parse", REF, cwd=world.remote) == before


def test_a_later_format(world: World) -> None:
    one = world.open("one")
    put(one, "a", "b", 1)
    assert state_of(one) == "ok"
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
    (path / "format.json").write_text(
        '{"format": 2, "store": "x", "previous": null}'
    )
    git("commit", "-qam", "format 2", cwd=path)
    git("push", "-q", cwd=path)
    broken(one, "format-too-new", "Upgrade csc-git here")


def test_another_object_format(world: World, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    other = World(tmp_path / "new", "sha256")
    one = world.open("one")
    put(one, "a", "b", 1)
    git(
        "remote",
        "set-url",
        "origin",
        str(other.make_remote()),
        cwd=world.directory / "one",
    )
    broken(one, "object-format", "csc.remote")


def test_a_push_whose_answer_was_lost_is_not_repeated(world: World) -> None:
    """The remote took the push; the client was killed before it heard so."""
    one = world.open("one")
    put(one, "a", "b", 1)
    assert state_of(one) == "ok"
    put(one, "a", "c", 2)
    tip = one.store.branch.tip
    git(
        "push",
        "-q",
        str(world.remote),
        f"{tip}:{REF}",
        cwd=one.store.repository.path,
    )
    two = world.open("two")
    put(two, "z", "z", 1)
    assert state_of(two) == "ok"
    mended(world, one)
    assert len(world.log()) == 4


def test_an_attempt_killed_anywhere_is_made_good_by_the_next(
    world: World,
) -> None:
    clone = world.clone("one")
    slow = "sleep 30"
    _hook(
        world, "post-receive", slow
    )  # the push has arrived, its answer has not
    one = world.open("one")
    put(one, "a", "b", 1)
    process = subprocess.Popen(
        [sys.executable, "-c", _SYNC, str(clone)],
        cwd=ROOT,
        start_new_session=True,
    )
    while not git("branch", "--list", "csc/state", cwd=world.remote):
        assert process.poll() is None
    os.killpg(process.pid, 9)
    process.wait()
    (world.remote / "hooks" / "post-receive").unlink()
    assert len(one.store.branch.queue()) == 1  # not confirmed
    mended(world, one)
    assert len(world.log()) == 2


_SYNC = """
import sys
from pathlib import Path
from csc_git.coordinator.factory import open_coordinator
open_coordinator(Path(sys.argv[1])).sync()
"""


def _hook(world: World, name: str, script: str) -> None:
    world.make_remote()
    hook = world.remote / "hooks" / name
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{script}\n")
    hook.chmod(0o755)


def test_a_wrong_clock_before_a_reboot_silences_no_sync(world: World) -> None:
    one, two = world.open("one"), world.open("two")
    put(one, "s", "k", 1, confirm=True)
    two.sync()
    file = two.store.directory / "sync.json"
    says = json.loads(file.read_text())
    ahead = {
        "boot": "the one before",
        "seconds": 50.0,
        "wall": time.time() + 3600,
    }
    file.write_text(json.dumps({**says, "contact": ahead, "attempt": ahead}))
    put(one, "s", "k", 2, confirm=True)
    assert state_of(world.open("two")) == "ok"
    assert two.retrieve("s", "k").value == 2


@pytest.mark.parametrize(
    "words", ["declined by policy", "GH006: Protected branch update failed"]
)
def test_attempts_that_fail_leave_no_refs_behind(
    world: World, words: str
) -> None:
    one = world.open("one")
    put(one, "s", "z", 0, confirm=True)
    hook = world.remote / "hooks" / "pre-receive"
    hook.write_text(f'#!/bin/sh\necho "{words}" >&2\nexit 1\n')
    hook.chmod(0o755)
    for number in range(3):
        put(one, "s", f"k{number}", number)
    assert state_of(one) in {"declined", "protected"}
    assert one.store.repository.refs("refs/csc/fetch/") == {}


def test_another_remote_in_the_place_of_the_first_is_called_that(
    world: World,
) -> None:
    one = world.open("one")
    put(one, "s", "k", 1, confirm=True)
    elsewhere = world.directory / "elsewhere.git"
    git(
        "clone",
        "-q",
        "--bare",
        "-b",
        "main",
        str(world.remote),
        str(elsewhere),
        cwd=world.directory,
    )
    git("update-ref", "-d", REF, cwd=elsewhere)
    git(
        "remote",
        "set-url",
        "origin",
        str(elsewhere),
        cwd=world.directory / "one",
    )
    again = world.open("one")
    assert state_of(again) == "branch-deleted"
    assert (
        f"it is another remote than {world.remote}"
        in again.status().sync.message
    )
    assert state_of(again) == "branch-deleted"
    said = again.status().sync
    assert "another remote" in said.message
    assert (
        "git config" not in said.next
    )  # that would publish what waits here on the old one
    assert (
        f"git config csc.remote {world.remote}" in again.store.status.choices()
    )
    assert (
        "--recreate" not in said.next
    )  # that would publish all that is here on the new one
    assert (
        "where everyone with read access can see it"
        in again.store.status.choices()
    )
    assert str(again.sync(permit=Permit(recreate=True)).state) == "ok"
