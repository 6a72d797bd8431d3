"""Everything that can be wrong with the remote.

The queue is kept, the state names the fault and the repair, and local edits work. After the repair
each edit arrives exactly once.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from csc_git.coordinator.coordinator import Coordinator
from csc_git.store.sync.recovery import Permit
from tests.agents import agent, run
from tests.by_hand import check_out_branch
from tests.git_servers import HttpServer
from tests.world import REF, ROOT, SYNC_ONCE, World, git, put, state_of


def expect_failure(coordinator: Coordinator, state: str, *words: str) -> None:
    """Make an edit, and expect a sync to fail in a state; local edits work, nothing is lost."""
    queued = len(coordinator.store.branch.queue())
    put(coordinator, "work", f"k{queued}", queued)
    status = coordinator.syncing.sync()
    what, then = status.describe()
    assert status.state == state, (what, status)
    assert what
    assert then
    for word in words:
        assert word in f"{what} {then}"
    put(coordinator, "work", f"k{queued + 1}", queued)
    assert len(coordinator.store.branch.queue()) == queued + 2
    assert coordinator.summary.sync_state().queued == queued + 2


def expect_delivery(
    world: World, coordinator: Coordinator, permit: Permit | None = None
) -> None:
    """Expect a sync after the repair to bring each edit to the remote exactly once."""
    waiting = [commit.message for commit in coordinator.store.branch.queue()]
    status = coordinator.syncing.sync(permit=permit or Permit())
    assert status.state == "ok", status
    assert not coordinator.store.branch.queue()
    ops = Counter(record.op for record in world.log())
    assert max(ops.values()) == 1
    for message in waiting:
        op = message.split("Csc-Op: ")[1].splitlines()[0]
        assert ops[op] == 1


def test_a_remote_that_is_down_keeps_edits_queued(
    world: World, http: HttpServer
) -> None:
    coordinator = world.open(world.clone("one", http.url("remote.git")))
    good, http.port = http.port, 1
    git(
        "remote",
        "set-url",
        "origin",
        http.url("remote.git"),
        cwd=world.directory / "one",
    )
    expect_failure(coordinator, "unreachable", "tries again")
    http.port = good
    git(
        "remote",
        "set-url",
        "origin",
        http.url("remote.git"),
        cwd=world.directory / "one",
    )
    expect_delivery(world, coordinator)


def test_a_server_error_keeps_edits_queued(
    world: World, http: HttpServer
) -> None:
    coordinator = world.open(world.clone("one", http.url("remote.git")))
    http.answer = 503
    expect_failure(coordinator, "unreachable", "503")
    http.answer = None
    expect_delivery(world, coordinator)


def test_a_hanging_remote_ends_in_a_timeout(
    world: World, http: HttpServer
) -> None:
    coordinator = world.open(
        world.clone("one", http.url("remote.git")), timeout=1
    )
    http.hang = True
    began = time.monotonic()
    expect_failure(coordinator, "timeout", "1 seconds")
    assert time.monotonic() - began < 15  # git itself would give up after 30
    http.hang = False
    expect_delivery(world, coordinator)


def test_a_slow_remote_still_confirms_edits(
    world: World, http: HttpServer
) -> None:
    """The remote is slow, and quicker than the time limit: a confirmed edit takes longer."""
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


def test_wrong_credentials_keep_edits_queued(
    world: World, http: HttpServer
) -> None:
    http.password = "right"
    coordinator = world.open(world.clone("one", http.url("remote.git")))
    expect_failure(coordinator, "credentials", "git fetch")
    http.password = None
    expect_delivery(world, coordinator)


def test_a_forbidden_push_is_reported_as_read_only(
    world: World, http: HttpServer
) -> None:
    coordinator = world.open(world.clone("one", http.url("remote.git")))
    http.answer = 403
    expect_failure(coordinator, "read-only", "write")
    http.answer = None
    expect_delivery(world, coordinator)


def test_a_missing_remote_keeps_edits_queued(world: World) -> None:
    coordinator = world.open("one")
    world.remote.rename(world.directory / "away.git")
    expect_failure(coordinator, "not-found", "git remote -v")
    (world.directory / "away.git").rename(world.remote)
    expect_delivery(world, coordinator)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount a small disk")
def test_a_full_remote_disk_keeps_edits_queued(world: World) -> None:
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
        expect_failure(coordinator, "remote-full", "disk is full")
    finally:
        subprocess.run(["umount", "-l", str(world.remote)], check=True)
        world.remote.rmdir()
        moved.rename(world.remote)
    expect_delivery(world, coordinator)


def test_a_hooks_text_is_not_read_as_a_transport_error(world: World) -> None:
    coordinator = world.open("one")
    world.install_hook(
        "pre-receive",
        "echo 'no write access: this repository is read-only' >&2; exit 1",
    )
    expect_failure(coordinator, "declined", "read-only")
    (world.remote / "hooks" / "pre-receive").unlink()
    expect_delivery(world, coordinator)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount a disk read-only")
def test_a_read_only_remote_keeps_edits_queued(world: World) -> None:
    coordinator = world.open("one")
    world.make_remote()
    bind = ["mount", "--bind", str(world.remote), str(world.remote)]
    if subprocess.run(bind, check=False, capture_output=True).returncode:
        pytest.skip("can't mount here")
    try:
        subprocess.run(
            ["mount", "-o", "remount,ro,bind", str(world.remote)], check=True
        )
        expect_failure(coordinator, "read-only", "write access")
    finally:
        subprocess.run(["umount", "-l", str(world.remote)], check=True)
    expect_delivery(world, coordinator)


def test_a_protected_branch_keeps_edits_queued(world: World) -> None:
    coordinator = world.open("one")
    words = "GH006: Protected branch update failed for refs/heads/csc/state."
    world.install_hook("update", f"echo '{words}' >&2; exit 1")
    expect_failure(coordinator, "protected", "branch rules")
    (world.remote / "hooks" / "update").unlink()
    expect_delivery(world, coordinator)


def test_a_remote_that_declines_everything_parks_nothing(world: World) -> None:
    coordinator = world.open("one")
    world.install_hook("pre-receive", "echo 'the sky is red today' >&2; exit 1")
    expect_failure(coordinator, "declined", "the sky is red today")
    assert not coordinator.store.branch.parked()  # no single edit is at fault
    (world.remote / "hooks" / "pre-receive").unlink()
    expect_delivery(world, coordinator)


def test_an_empty_remote_is_used_only_on_request(world: World) -> None:
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
    expect_failure(coordinator, "empty-remote", "csc.dedicated")
    assert git("branch", "--list", cwd=world.directory / "empty.git") == ""
    git("config", "csc.dedicated", "true", cwd=clone)
    coordinator.close()
    again = world.open("one")
    assert state_of(again) == "ok"
    assert len(world.log(world.directory / "empty.git")) == 3


def test_a_deleted_branch_is_recreated_only_on_request(world: World) -> None:
    coordinator = world.open("one")
    put(coordinator, "a", "b", 1)
    assert state_of(coordinator) == "ok"
    git("update-ref", "-d", REF, cwd=world.remote)
    expect_failure(coordinator, "branch-deleted", "csc-git doctor")
    assert git("branch", "--list", "csc/state", cwd=world.remote) == ""
    expect_delivery(world, coordinator, Permit(recreate=True))
    assert len(world.log()) == 4


def test_a_rewritten_history_is_accepted_only_on_request(world: World) -> None:
    one, two = world.open("one"), world.open("two")
    put(one, "a", "kept", 1)
    assert state_of(one) == "ok"
    kept = git("rev-parse", REF, cwd=world.remote)
    put(one, "a", "purged", "secret")
    assert state_of(one) == "ok"
    git("update-ref", REF, kept, cwd=world.remote)
    put(two, "b", "theirs", 1)
    assert state_of(two) == "ok"
    expect_failure(one, "history-rewritten", "csc-git doctor")
    assert one.values.retrieve("a", "purged").found is True
    expect_delivery(world, one, Permit(rewrite=True))
    assert (
        one.values.retrieve("a", "purged").found is False
    )  # never pushed again
    assert one.values.retrieve("b", "theirs").value == 1
    assert one.values.retrieve("work", "k0").found is True


def test_a_rewound_remote_can_be_accepted(world: World) -> None:
    one = world.open("one")
    put(one, "a", "kept", 1)
    assert state_of(one) == "ok"
    kept = git("rev-parse", REF, cwd=world.remote)
    put(one, "a", "purged", 1)
    assert state_of(one) == "ok"
    git("update-ref", REF, kept, cwd=world.remote)
    expect_failure(one, "remote-behind")
    expect_delivery(world, one, Permit(rewrite=True))


def test_nothing_is_pushed_to_another_store(world: World) -> None:
    one = world.open("one")
    put(one, "a", "b", 1)
    assert state_of(one) == "ok"
    git("update-ref", "-d", REF, cwd=world.remote)
    other = world.open("other")
    put(other, "x", "y", 1)
    assert state_of(other) == "ok"
    before = git("rev-parse", REF, cwd=world.remote)
    expect_failure(one, "other-store", "csc-git doctor")
    assert state_of(one) == "other-store"
    assert (
        one.syncing.sync(permit=Permit(rewrite=True, recreate=True)).state
        == "other-store"
    )
    assert git("rev-parse", REF, cwd=world.remote) == before


def test_a_branch_named_like_a_prefix_of_ours_is_reported(world: World) -> None:
    one = world.open("one")
    head = git("rev-parse", "HEAD", cwd=world.remote).strip()
    git("update-ref", "refs/heads/csc", head, cwd=world.remote)
    expect_failure(one, "not-a-store", "csc.branch", "'refs/heads/csc' exists")
    git("update-ref", "-d", "refs/heads/csc", cwd=world.remote)
    expect_delivery(world, one)


def test_several_remotes_without_an_origin_need_a_choice(world: World) -> None:
    clone = world.clone("one")
    git("remote", "rename", "origin", "here", cwd=clone)
    git("remote", "add", "there", "/nowhere", cwd=clone)
    expect_failure(
        world.open("one"), "no-remote", "here and there; which one is meant?"
    )


def test_a_branch_that_is_no_store_is_not_touched(world: World) -> None:
    world.make_remote()
    git("update-ref", REF, "refs/heads/main", cwd=world.remote)
    before = git("rev-parse", REF, cwd=world.remote)
    expect_failure(world.open("one"), "not-a-store", "csc.branch")
    assert git("rev-parse", REF, cwd=world.remote) == before


def test_a_store_of_a_later_format_keeps_edits_queued(world: World) -> None:
    one = world.open("one")
    put(one, "a", "b", 1)
    assert state_of(one) == "ok"
    path = world.directory / "hand"
    check_out_branch(world, path)
    (path / "format.json").write_text(
        '{"format": 2, "store": "x", "previous": null}'
    )
    git("commit", "-qam", "format 2", cwd=path)
    git("push", "-q", cwd=path)
    expect_failure(one, "format-too-new", "Upgrade csc-git on this machine")


def test_another_object_format_keeps_edits_queued(
    world: World, tmp_path: Path
) -> None:
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
    expect_failure(one, "object-format", "csc.remote")


def test_a_push_whose_answer_was_lost_is_not_repeated(world: World) -> None:
    """The remote accepted the push, and the client was killed before the answer."""
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
    expect_delivery(world, one)
    assert len(world.log()) == 4


def test_a_sync_killed_after_its_push_is_completed_later(
    world: World,
) -> None:
    clone = world.clone("one")
    slow = "sleep 30"
    world.install_hook(
        "post-receive", slow
    )  # the push has arrived, its answer has not
    one = world.open("one")
    put(one, "a", "b", 1)
    process = subprocess.Popen(
        [sys.executable, "-c", SYNC_ONCE, str(clone)],
        cwd=ROOT,
        start_new_session=True,
    )
    while not git("branch", "--list", "csc/state", cwd=world.remote):
        assert process.poll() is None
    os.killpg(process.pid, 9)
    process.wait()
    (world.remote / "hooks" / "post-receive").unlink()
    assert len(one.store.branch.queue()) == 1  # not confirmed
    expect_delivery(world, one)
    assert len(world.log()) == 2


def test_a_contact_dated_in_the_future_delays_no_sync(world: World) -> None:
    one, two = world.open("one"), world.open("two")
    put(one, "s", "k", 1, confirm=True)
    two.syncing.sync()
    file = two.store.directory / "sync.json"
    recorded = json.loads(file.read_text())
    ahead = {
        "boot": "the one before",
        "seconds": 50.0,
        "wall": time.time() + 3600,
    }
    file.write_text(
        json.dumps({**recorded, "contact": ahead, "attempt": ahead})
    )
    put(one, "s", "k", 2, confirm=True)
    assert state_of(world.open("two")) == "ok"
    assert two.values.retrieve("s", "k").value == 2


@pytest.mark.parametrize(
    "words", ["declined by policy", "GH006: Protected branch update failed"]
)
def test_failed_syncs_leave_no_temporary_refs(world: World, words: str) -> None:
    one = world.open("one")
    put(one, "s", "z", 0, confirm=True)
    hook = world.remote / "hooks" / "pre-receive"
    hook.write_text(f'#!/bin/sh\necho "{words}" >&2\nexit 1\n')
    hook.chmod(0o755)
    for number in range(3):
        put(one, "s", f"k{number}", number)
    assert state_of(one) in {"declined", "protected"}
    assert one.store.repository.refs("refs/csc/fetch/") == {}


def test_a_replaced_remote_is_reported_as_another(
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
        in again.summary.status().sync.message
    )
    assert state_of(again) == "branch-deleted"
    reported = again.summary.status().sync
    assert "another remote" in reported.message
    assert (
        "git config" not in reported.next
    )  # that would publish what waits here on the old one
    assert (
        f"git config csc.remote {world.remote}"
        in again.store.sync_status.choices()
    )
    assert (
        "--recreate" not in reported.next
    )  # that would publish all that is here on the new one
    assert (
        "where everyone with read access can see it"
        in again.store.sync_status.choices()
    )
    assert str(again.syncing.sync(permit=Permit(recreate=True)).state) == "ok"


def test_a_locked_ref_on_the_remote_is_no_lost_race(world: World) -> None:
    one = world.open("one")
    put(one, "s", "a", 1, confirm=True)
    (
        world.remote / f"{REF}.lock"
    ).touch()  # as a crashed git on the server leaves it
    put(one, "s", "b", 2)
    assert state_of(one) == "failed"
    assert "lock" in one.store.sync_status.detail
    (world.remote / f"{REF}.lock").unlink()
    assert state_of(one) == "ok"


def test_endless_contention_is_reported_as_contended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook that pushes first, every time."""
    monkeypatch.setattr("csc_git.store.sync.attempt.MAX_ROUNDS", 2)
    one = world.open("one")
    put(one, "a", "b", 1)
    one.syncing.sync()
    hook = world.remote / "hooks" / "pre-receive"
    hook.write_text(
        "#!/bin/sh\nunset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY\n"
        "ref=refs/heads/csc/state\n"
        "new=$(git commit-tree -p $ref -m first $ref^{tree}) && git update-ref $ref $new\n"
    )
    hook.chmod(0o755)
    put(one, "a", "b", 2)
    assert state_of(one) == "contended"
    assert len(one.store.branch.queue()) == 1
    hook.unlink()
    assert state_of(one) == "ok"
