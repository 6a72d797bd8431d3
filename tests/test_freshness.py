"""How current answers are: the remote is asked first, and an old answer has an age."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.commands import csc
from tests.world import World, put, state_of


def test_set_fetches_first_and_makes_no_needless_conflict(
    world: World,
) -> None:
    one, two = world.clone("one"), world.clone("two")
    csc("set", "s", "k", '"first"', cwd=one)
    csc("sync", cwd=two)
    csc("set", "s", "k", '"long there"', cwd=one)
    assert csc("set", "s", "k", '"newer"', cwd=two).stdout == "s/k: synced\n"
    assert csc("conflicts", cwd=two).stdout == ""
    csc("set", "s", "gone", "1", cwd=one)
    assert "removed, synced" in csc("rm", "s", "gone", cwd=two).stdout
    csc("team", "set", "lease", "3600", cwd=one)
    csc("team", "set", "lease", "7200", cwd=two)
    assert csc("conflicts", cwd=one).stdout == ""


def test_every_read_of_a_long_unsynced_clone_warns(
    world: World,
) -> None:
    one, two = world.clone("one"), world.clone("two")
    csc("set", "s", "k", "1", cwd=one)
    assert csc("get", "s", "k", cwd=two).stdout == "1\n"  # the first read asks
    file = two / ".git/csc/sync.json"
    found = json.loads(file.read_text())
    found["contact"]["seconds"] -= 3600
    found["contact"]["wall"] -= 3600
    file.write_text(json.dumps(found))
    world.remote.rename(world.directory / "away")
    reads = (
        ["get", "s", "k"], ["ls"], ["ls", "s"], ["sessions"], ["claims"], ["conflicts"],
        ["blame", "s"], ["diff", "1h"], ["export"], ["log"],
    )  # fmt: skip
    for read in reads:
        file.write_text(json.dumps(found))
        err = csc(*read, cwd=two).stderr
        assert "last contact with the remote was 1 h ago" in err, (read, err)
    for read in (["sessions"], ["ls"], ["get", "s", "k"]):
        file.unlink(missing_ok=True)
        err = csc(*read, cwd=two).stderr
        assert "has never reached the remote" in err, (read, err)


def test_the_first_read_of_a_server_waits_for_the_remote(
    world: World,
) -> None:
    one, two = world.open("one"), world.open("two")
    assert state_of(two) == "ok"
    put(one, "s", "k", 1)
    assert state_of(one) == "ok"
    two.start()
    two.writer.wait_for_first_contact()
    assert two.values.retrieve("s", "k").value == 1


def aged(clone: Path, seconds: float) -> None:
    """Make the last contact with the remote so many seconds older."""
    file = clone / ".git/csc/sync.json"
    found = json.loads(file.read_text())
    found["contact"]["seconds"] -= seconds
    found["contact"]["wall"] -= seconds
    file.write_text(json.dumps(found))


def test_the_start_hook_waits_for_the_servers_first_sync(
    world: World,
) -> None:
    one, two = world.open("one"), world.open("two")
    put(two, "s", "k", 1)
    assert [state_of(two), state_of(one)] == ["ok", "ok"]
    two.authors.sign_on()
    assert state_of(two) == "ok"
    clone = world.directory / "one"
    aged(clone, 900)
    hook = subprocess.Popen(
        [sys.executable, "-P", "-m", "csc_git.hooks.main", "session-start"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=clone,
        env=os.environ | {"CSC_HOOK_SECONDS": "20"},
    )  # fmt: skip
    assert state_of(one) == "ok"  # as the server does when it starts
    out, _ = hook.communicate(json.dumps({"cwd": str(clone)}), timeout=30)
    assert "Signed on elsewhere: claude_1@two." in out


def test_the_start_hook_reports_the_age_of_its_answer(world: World) -> None:
    one = world.open("one")
    put(one, "s", "k", 1)
    assert state_of(one) == "ok"
    clone = world.directory / "one"
    aged(clone, 900)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "csc_git.hooks.main", "session-start"],
        input=json.dumps({"cwd": str(clone)}), capture_output=True, text=True, cwd=clone,
        env=os.environ | {"CSC_HOOK_SECONDS": "20"}, check=True,
    )  # fmt: skip
    assert "nobody (the remote was last asked 15 min ago)." in done.stdout


def test_an_old_in_step_message_has_an_age(world: World) -> None:
    one = world.open("one")
    put(one, "s", "k", 1)
    assert state_of(one) == "ok"
    assert one.summary.sync_state().message == "In step with the remote."
    aged(world.directory / "one", 863)
    assert one.summary.sync_state().message == (
        "In step with the remote when it was last asked, 14 min ago."
    )
