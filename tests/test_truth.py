"""`synced`, `found` and `nobody` are true: what a clone reports is what the remote has.

Where the remote was not asked lately, it reports that too.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.edits import Change
from tests.git_servers import http_server
from tests.test_cli import csc
from tests.world import REF, World, git, person, put, state_of


@pytest.fixture
def pair(world: World) -> tuple[Coordinator, Coordinator]:
    """A clone that is behind, and one that has stored another value since."""
    stale, other = world.open("stale"), world.open("other")
    put(stale, "deploy", "frozen", True)
    put(stale, "deploy", "gone", 1)
    assert [state_of(stale), state_of(other)] == ["ok", "ok"]
    put(other, "deploy", "frozen", False)
    other.edits.delete(person(other), "deploy", "gone")
    put(other, "deploy", "new", 1)
    assert state_of(other) == "ok"
    return stale, other


def current(coordinator: Coordinator, key: str) -> Any:
    return coordinator.retrieve("deploy", key, fresh=True).value


@pytest.mark.parametrize("in_background", [True, False])
def test_restating_a_value_with_confirm_asks_the_remote(
    pair: tuple[Coordinator, Coordinator], in_background: bool
) -> None:
    stale, other = pair
    if in_background:
        stale.start()
    stored = stale.edits.put(
        person(stale), "deploy", "frozen", True, confirm=True
    )
    assert stored.status == "synced"
    assert stored.op is not None
    assert current(other, "frozen") is True
    again = stale.edits.put(
        person(stale), "deploy", "frozen", True, confirm=True
    )
    assert (again.status, again.op) == ("synced", None)


def test_deleting_what_is_not_here_with_confirm_asks_the_remote(
    pair: tuple[Coordinator, Coordinator],
) -> None:
    stale, other = pair
    assert stale.edits.delete(
        person(stale), "deploy", "new", confirm=True
    ).deleted
    assert other.retrieve("deploy", "new", fresh=True).found is False


def test_an_edit_that_only_restates_asks_the_remote(
    pair: tuple[Coordinator, Coordinator],
) -> None:
    stale, other = pair
    changes = [
        Change("deploy", "frozen", "put", True),
        Change("deploy", "gone", "put", 1),
    ]
    assert (
        stale.edits.edit(person(stale), changes, confirm=True).status
        == "synced"
    )
    assert (current(other, "frozen"), current(other, "gone")) == (True, 1)


def test_emptying_a_scope_that_is_empty_here_asks_the_remote(
    pair: tuple[Coordinator, Coordinator],
) -> None:
    stale, other = pair
    put(other, "later", "k", 1)
    assert state_of(other) == "ok"
    gone = stale.edits.delete_scope(person(stale), "later", confirm=True)
    assert (gone.count, gone.status) == (1, "synced")


def test_restating_without_the_remote_is_only_local(
    world: World, pair: tuple[Coordinator, Coordinator]
) -> None:
    stale, _ = pair
    world.remote.rename(world.directory / "away")
    stored = stale.edits.put(
        person(stale), "deploy", "frozen", True, confirm=True
    )
    assert (stored.status, stored.op) == ("local", None)
    assert "no repository at the remote's URL" in stored.reason


def test_a_restated_claim_asks_the_remote(world: World) -> None:
    """The session was signed off from elsewhere: its claim is not its own any more."""
    one, two = world.open("one"), world.open("two")
    one.sign_on()
    assert one.claims.claim(None, ["src"]).status == "granted"
    assert state_of(two) == "ok"
    assert two.sessions.endings.end("claude_1@one", "tester@two", _now())
    assert state_of(two) == "ok"
    with pytest.raises(Exception, match="signed off by"):
        one.claims.claim(None, ["src"])


def _now() -> Any:
    from csc_git.coordinator import clock  # noqa: PLC0415

    return clock.now()


@pytest.mark.parametrize("by", ["pushInsteadOf", "pushurl", "global"])
def test_pushes_that_arrive_elsewhere_are_not_synced(
    world: World, by: str
) -> None:
    fork = world.directory / "fork.git"
    one, two = world.open("one"), world.open("two")
    put(one, "s", "k", 0)
    assert [state_of(one), state_of(two)] == ["ok", "ok"]
    git(
        "clone",
        "-q",
        "--bare",
        str(world.remote),
        str(fork),
        cwd=world.directory,
    )
    if by == "pushurl":
        git(
            "config",
            "remote.origin.pushurl",
            str(fork),
            cwd=world.directory / "one",
        )
    else:
        scope = ["--global"] if by == "global" else []
        name = f"url.{fork}.pushInsteadOf"
        git(
            "config",
            *scope,
            name,
            str(world.remote),
            cwd=world.directory / "one",
        )
    one.close()
    again = world.open("one")
    for number in range(2):
        put(again, "s", "k", number + 1)
        status = again.sync()
        assert status.state == "pushed-elsewhere"
        assert "fork.git" in status.detail
    assert len(again.store.branch.queue()) == 2
    assert two.retrieve("s", "k", fresh=True).value == 0
    for name in ("remote.origin.pushurl", f"url.{fork}.pushInsteadOf"):
        for scope in ([], ["--global"]):
            subprocess.run(
                ["git", "config", *scope, "--unset", name],
                cwd=world.directory / "one",
                check=False,
            )
    assert state_of(again) == "ok"
    assert two.retrieve("s", "k", fresh=True).value == 2


def test_one_repository_under_two_urls_is_one(world: World) -> None:
    """Fetched from one URL and pushed to another, both of the same repository."""
    one = world.open("one")
    git(
        "config",
        "remote.origin.pushurl",
        f"file://{world.remote}",
        cwd=world.directory / "one",
    )
    one.close()
    again = world.open("one")
    put(again, "s", "k", 1)
    assert state_of(again) == "ok"


def test_ending_during_a_fetch_is_no_failure_of_the_remote(
    world: World, tmp_path: Path
) -> None:
    world.make_remote()
    with http_server(tmp_path) as server:
        one = world.open(world.clone("one", server.url("remote.git")))
        put(one, "s", "k", 1)
        assert state_of(one) == "ok"
        before = one.store.status
        server.hang = True
        one.start()
        server.wait_until_asked()
        one.close()
        server.released.set()
    file = json.loads((world.directory / "one/.git/csc/sync.json").read_text())
    assert (file["state"], file["failures"]) == ("ok", before.failures)


def test_ending_during_a_push_asks_the_remote_nothing_more(
    world: World, tmp_path: Path
) -> None:
    world.make_remote()
    with http_server(tmp_path) as server:
        one = world.open(world.clone("one", server.url("remote.git")))
        put(one, "s", "k", 1)
        assert state_of(one) == "ok"
        put(one, "s", "k", 2)
        server.hang = True
        one.start()
        server.wait_until_asked()
        one.close()
        assert server.asked == 1
        server.released.set()


def test_set_fetches_first_and_makes_no_conflict_with_what_was_there_for_long(
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


def test_set_on_a_remote_that_does_not_answer_waits_once(
    world: World, tmp_path: Path
) -> None:
    world.make_remote()
    with http_server(tmp_path) as server:
        clone = world.clone("one", server.url("remote.git"))
        server.hang = True
        done = csc("set", "s", "k", "1", "--timeout", "1", cwd=clone)
        server.released.set()
    assert done.stdout == "s/k: local\n"
    assert "did not answer in time" in done.stderr
    assert server.asked == 1


def test_a_command_stores_after_a_moment_however_long_the_remote_takes(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("csc_git.coordinator.writer._LONGEST_FIRST", 0.5)
    world.make_remote()
    with http_server(tmp_path) as server:
        one = world.open(world.clone("one", server.url("remote.git")))
        one.writer.fetches_first = True
        server.hang = True
        began = time.monotonic()
        stored = one.edits.put(one.person("tester"), "s", "k", 1, confirm=True)
        assert time.monotonic() - began < 5
        assert stored.status == "local"
        assert one.retrieve("s", "k").value == 1
        server.released.set()
        one.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_set_reports_whether_it_was_stored(
    world: World, tmp_path: Path, number: signal.Signals
) -> None:
    world.make_remote()
    with http_server(tmp_path) as server:
        clone = world.clone("one", server.url("remote.git"))
        csc("set", "s", "before", "1", cwd=clone)
        server.hang_at = "git-receive-pack"
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "csc_git", "set", "s", "k", "1"],
            cwd=clone, env=dict(os.environ), stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        server.wait_until_asked()
        child.send_signal(number)
        _, err = child.communicate(timeout=20)
        server.released.set()
    assert child.returncode == 130, err
    assert "The edit is stored here and queued" in err
    assert (
        json.loads(csc("status", "--json", "--no-sync", cwd=clone).stdout)[
            "keys"
        ]
        == 2
    )


def test_a_clone_that_was_not_synced_for_long_says_so_in_every_read(
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


def test_the_first_read_of_a_server_waits_for_what_others_stored(
    world: World,
) -> None:
    one, two = world.open("one"), world.open("two")
    assert state_of(two) == "ok"
    put(one, "s", "k", 1)
    assert state_of(one) == "ok"
    two.start()
    two.writer.hear_first()
    assert two.retrieve("s", "k").value == 1


def by_hand(
    world: World, path: str, content: str, author: str = "Ada Lovelace"
) -> str:
    """Change a file of the branch as a web page of the host does; the commit."""
    work = world.directory / "by-hand"
    if not work.exists():
        git(
            "clone",
            "-q",
            "-b",
            "csc/state",
            str(world.remote),
            str(work),
            cwd=world.directory,
        )
    git("pull", "-q", cwd=work)
    (work / "data" / path).write_text(content)
    git("add", ".", cwd=work)
    git(
        "commit",
        "-qm",
        "Update file",
        f"--author={author} <ada@example.com>",
        cwd=work,
    )
    git("push", "-q", "origin", f"HEAD:{REF}", cwd=work)
    return git("rev-parse", "HEAD", cwd=work)


def test_a_value_edited_by_hand_has_its_author_in_history_blame_and_log(
    world: World,
) -> None:
    one = world.open("one")
    put(one, "s", "k", "by csc-git")
    put(one, "s", "other", 1)
    assert state_of(one) == "ok"
    found = json.loads(git("show", f"{REF}:data/s/k.json", cwd=world.remote))
    commit = by_hand(
        world, "s/k.json", json.dumps(found | {"value": "by hand"})
    )
    assert state_of(one) == "ok"
    assert one.retrieve("s", "k").value == "by hand"
    newest = one.past.history("s", "k").edits[0]
    assert (newest.session, newest.commit) == ("Ada Lovelace", commit)
    assert newest.changed[0].change == "changed"
    assert one.past.blame("s").keys["k"].session == "Ada Lovelace"
    assert one.past.blame("s").keys["other"].session == "tester@one"
    line = csc(
        "log", "--json", cwd=world.directory / "one"
    ).stdout.splitlines()[0]
    assert json.loads(line)["session"] == "Ada Lovelace"
    put(one, "s", "k", "and on")
    assert state_of(one) == "ok"


def test_a_broken_file_is_reported_as_unreadable_never_as_deleted(
    world: World,
) -> None:
    one = world.open("one")
    op = put(one, "s", "k", {"good": 1})
    assert state_of(one) == "ok"
    cursor = str(one.feed.now())
    commit = by_hand(world, "s/k.json", '{"value": broken')
    assert state_of(one) == "ok"
    with pytest.raises(Exception, match="can't be read") as caught:
        one.retrieve("s", "k")
    text = str(caught.value)
    for word in (
        "Ada Lovelace",
        commit[:12],
        "tester@one",
        '{"good": 1}',
        "Store the value again",
    ):
        assert word in text, text
    assert one.retrieve(
        "s", "k", at=git("rev-parse", f"{commit}^", cwd=world.remote)
    ).found
    (change,) = one.feed.wait(since=cursor, timeout=0).changes
    assert change.change == "unreadable"
    assert one.past.history("s", "k").edits[0].changed[0].change == "unreadable"
    done = csc("get", "s", "k", cwd=world.directory / "one", code=1)
    assert "has no value" not in done.stderr
    assert one.list_keys("s").keys == ["k"]
    assert put(one, "s", "k", {"good": 2})
    assert state_of(one) == "ok"
    assert one.retrieve("s", "k").value == {"good": 2}
    assert not one.conflicts.open()
    assert op


def test_a_provisional_claim_looks_provisional_everywhere(world: World) -> None:
    one = world.open("one")
    put(one, "s", "k", 1)
    assert state_of(one) == "ok"
    world.remote.rename(world.directory / "away")
    one.sign_on()
    claimed = one.claims.claim(None, ["src"], note="refactor")
    assert claimed.status == "provisional"
    assert claimed.claims[0].provisional
    snapshot = one.store.snapshot()
    assert one.claims.active(snapshot)[0].provisional
    assert "provisional" in csc("claims", cwd=world.directory / "one").stdout
    assert "provisional" in csc("status", cwd=world.directory / "one").stdout
    (world.directory / "away").rename(world.remote)
    assert state_of(one) == "ok"
    assert not one.claims.active(one.store.snapshot())[0].provisional


def aged(clone: Path, seconds: float) -> None:
    """Make the last contact with the remote so many seconds older."""
    file = clone / ".git/csc/sync.json"
    found = json.loads(file.read_text())
    found["contact"]["seconds"] -= seconds
    found["contact"]["wall"] -= seconds
    file.write_text(json.dumps(found))


def test_the_start_hook_waits_for_its_clients_server_to_ask_the_remote(
    world: World,
) -> None:
    one, two = world.open("one"), world.open("two")
    put(two, "s", "k", 1)
    assert [state_of(two), state_of(one)] == ["ok", "ok"]
    two.sign_on()
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


def test_the_start_hook_says_how_old_its_answer_is(world: World) -> None:
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
    assert "nobody, when the remote was last asked 15 min ago." in done.stdout


def test_in_step_has_an_age_where_it_is_old(world: World) -> None:
    one = world.open("one")
    put(one, "s", "k", 1)
    assert state_of(one) == "ok"
    assert one.summary.sync().message == "In step with the remote."
    aged(world.directory / "one", 863)
    assert one.summary.sync().message == (
        "In step with the remote when it was last asked, 14 min ago."
    )
