"""What `synced` means: the remote has the edit, also if it changed nothing here."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.edits import Change
from csc_git.errors import (
    StorageFailed,
)
from tests.commands import csc
from tests.git_servers import http_server
from tests.inside import store_after
from tests.world import (
    World,
    git,
    person,
    put,
    state_of,
)


def current(coordinator: Coordinator, key: str) -> Any:
    return coordinator.values.retrieve("deploy", key, fresh=True).value


@pytest.fixture
def stale_and_current(world: World) -> tuple[Coordinator, Coordinator]:
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


@pytest.mark.parametrize("in_background", [True, False])
def test_storing_the_same_value_with_confirm_asks_the_remote(
    stale_and_current: tuple[Coordinator, Coordinator], in_background: bool
) -> None:
    stale, other = stale_and_current
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


def test_deleting_a_missing_key_with_confirm_asks_the_remote(
    stale_and_current: tuple[Coordinator, Coordinator],
) -> None:
    stale, other = stale_and_current
    assert stale.edits.delete(
        person(stale), "deploy", "new", confirm=True
    ).deleted
    assert other.values.retrieve("deploy", "new", fresh=True).found is False


def test_an_edit_that_changes_nothing_asks_the_remote(
    stale_and_current: tuple[Coordinator, Coordinator],
) -> None:
    stale, other = stale_and_current
    changes = [
        Change("deploy", "frozen", "put", True),
        Change("deploy", "gone", "put", 1),
    ]
    assert (
        stale.edits.edit(person(stale), changes, confirm=True).status
        == "synced"
    )
    assert (current(other, "frozen"), current(other, "gone")) == (True, 1)


def test_deleting_an_empty_scope_asks_the_remote(
    stale_and_current: tuple[Coordinator, Coordinator],
) -> None:
    stale, other = stale_and_current
    put(other, "later", "k", 1)
    assert state_of(other) == "ok"
    gone = stale.edits.delete_scope(person(stale), "later", confirm=True)
    assert (gone.count, gone.status) == (1, "synced")


def test_without_the_remote_an_unchanged_value_is_local(
    world: World, stale_and_current: tuple[Coordinator, Coordinator]
) -> None:
    stale, _ = stale_and_current
    world.remote.rename(world.directory / "away")
    stored = stale.edits.put(
        person(stale), "deploy", "frozen", True, confirm=True
    )
    assert (stored.status, stored.op) == ("local", None)
    assert "no repository at the remote's URL" in stored.reason


def test_claiming_again_asks_the_remote(world: World) -> None:
    """The session was signed off by another clone, so its claim is no longer active."""
    one, two = world.open("one"), world.open("two")
    one.authors.sign_on()
    assert one.claims.claim(None, ["src"]).status == "granted"
    assert state_of(two) == "ok"
    assert two.sessions.endings.end("claude_1@one", "tester@two", clock.now())
    assert state_of(two) == "ok"
    with pytest.raises(Exception, match="signed off by"):
        one.claims.claim(None, ["src"])


def test_a_second_deletion_is_synced_only_with_the_first(
    world: World,
) -> None:
    one = world.open("one")
    put(one, "s", "k", 1, confirm=True)
    first = one.edits.delete_scope(person(one), "s")
    again = one.edits.delete_scope(person(one), "s")
    assert (first.status, again.status, again.deleted) == (
        "local",
        "local",
        False,
    )
    one.syncing.sync()
    assert one.edits.delete_scope(person(one), "s").status == "synced"


def test_a_confirmed_write_that_lost_reports_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = world.open("one"), world.open("two")
    put(one, "s", "k", 0, confirm=True)
    two.syncing.sync()
    now = clock.now()
    monkeypatch.setattr(
        clock, "now", lambda: now.replace(year=now.year + 0, microsecond=0)
    )
    late = clock.now()
    monkeypatch.setattr(
        clock, "now", lambda: late.replace(minute=59, second=59)
    )
    put(one, "s", "k", "theirs", confirm=True)
    monkeypatch.setattr(clock, "now", lambda: late.replace(minute=0, second=0))
    mine = two.edits.put(person(two), "s", "k", "mine", confirm=True)
    assert (mine.status, mine.outcome) == ("synced", "lost")
    assert "open conflict" in mine.reason
    assert mine.revision == two.values.retrieve("s", "k").revision
    assert two.values.retrieve("s", "k").value == "theirs"


def test_an_earlier_write_that_lost_has_the_outcome_lost(
    pair: list[Coordinator],
) -> None:
    late = pair[1].edits.put(person(pair[1]), "s", "n", "early")
    put(pair[0], "s", "n", "late", confirm=True)
    sure = pair[1].edits.put(person(pair[1]), "s", "other", 1, confirm=True)
    assert sure.status == "synced"
    assert pair[1].store.fate(late.op or "").outcome == "lost"


@pytest.mark.parametrize("kind", ["url", "pushurl"])
def test_synced_means_the_repository_that_others_fetch(
    world: World, kind: str
) -> None:
    """git pushes to every URL of a remote and fetches from the first: a mirror is not enough."""
    clone, mirror = world.clone("one"), world.directory / "mirror.git"
    git(
        "clone",
        "-q",
        "--bare",
        str(world.remote),
        str(mirror),
        cwd=world.directory,
    )
    if kind == "url":
        git("remote", "set-url", "--add", "origin", str(mirror), cwd=clone)
    else:
        for url in (mirror, world.remote):
            git(
                "remote",
                "set-url",
                "--add",
                "--push",
                "origin",
                str(url),
                cwd=clone,
            )
    one, two = world.open("one"), world.open("two")
    put(one, "s", "k", 1)
    assert [state_of(one), state_of(one), state_of(two)] == ["ok", "ok", "ok"]
    assert two.values.retrieve("s", "k").found


def test_a_push_to_a_fork_is_not_synced(
    world: World,
) -> None:
    clone, fork = world.clone("one"), world.directory / "fork.git"
    git(
        "clone",
        "-q",
        "--bare",
        str(world.remote),
        str(fork),
        cwd=world.directory,
    )
    git("remote", "set-url", "--push", "origin", str(fork), cwd=clone)
    one = world.open("one")
    op = put(one, "s", "k", 1)
    assert state_of(one) == "pushed-elsewhere"
    assert "fork.git is not found at" in one.store.sync_status.detail
    assert one.store.fate(op).where == "local"
    git("remote", "set-url", "--push", "origin", str(world.remote), cwd=clone)
    assert state_of(one) == "ok"


@pytest.mark.parametrize("by", ["pushInsteadOf", "pushurl", "global"])
def test_redirected_pushes_are_not_synced(world: World, by: str) -> None:
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
        status = again.syncing.sync()
        assert status.state == "pushed-elsewhere"
        assert "fork.git" in status.detail
    assert len(again.store.branch.queue()) == 2
    assert two.values.retrieve("s", "k", fresh=True).value == 0
    for name in ("remote.origin.pushurl", f"url.{fork}.pushInsteadOf"):
        for scope in ([], ["--global"]):
            subprocess.run(
                ["git", "config", *scope, "--unset", name],
                cwd=world.directory / "one",
                check=False,
            )
    assert state_of(again) == "ok"
    assert two.values.retrieve("s", "k", fresh=True).value == 2


def test_a_push_url_of_the_same_repository_is_synced(world: World) -> None:
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


def test_set_waits_once_for_a_hanging_remote(
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


def test_a_command_stores_before_a_slow_remote_answers(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_after(monkeypatch, 0.5)
    world.make_remote()
    with http_server(tmp_path) as server:
        one = world.open(world.clone("one", server.url("remote.git")))
        one.writer.fetches_first = True
        server.hang = True
        began = time.monotonic()
        stored = one.edits.put(
            one.authors.person("tester"), "s", "k", 1, confirm=True
        )
        assert time.monotonic() - began < 5
        assert stored.status == "local"
        assert one.values.retrieve("s", "k").value == 1
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


def test_a_stored_edit_is_never_reported_as_not_stored(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails while the outcome is read of an edit that was stored before."""
    one = world.open("one")
    put(one, "s", "z", 0, confirm=True)

    def refuse(_: str) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(one.store, "fate", refuse)
    with pytest.raises(StorageFailed, match="The edit is stored here"):
        put(one, "s", "k", 1, confirm=True)
    assert one.values.retrieve("s", "k").value == 1
