"""Sessions: a name has one session, is free when that dies, and a late return is fenced."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest

from csc_git.coordinator import clock
from csc_git.coordinator.writer import Writer
from csc_git.core.lease import Instant
from csc_git.errors import NotSignedOn, SessionFenced, SessionTaken
from csc_git.store.transaction import Receipt
from tests.agents import agent, run
from tests.inside import forget_pending_renewals
from tests.world import ROOT, World, git, lease_of, put, state_of


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let seconds pass on this machine's clock of elapsed time, all at once."""
    real, passed = clock.instant, 0.0

    def shifted() -> Instant:
        now = real()
        return replace(now, seconds=now.seconds + passed)

    def advance(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    monkeypatch.setattr(clock, "instant", shifted)
    return advance


def test_a_crashed_process_frees_its_name_at_once(world: World) -> None:
    clone = world.clone("one")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "crowd_worker.py"), "sign_on", str(clone),
         "claude_1"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()
    assert "claude_1@one" in process.stdout.readline()

    one = world.open("one")
    with pytest.raises(SessionTaken, match="claude_2@one"):
        one.authors.sign_on("claude_1")
    assert [s.session for s in one.summary.context().active] == ["claude_1@one"]
    fence = lease_of(one, "claude_1@one").fence
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert one.summary.context().instances == {"claude_1@one": "gone"}
    assert one.authors.sign_on().session == "claude_1@one"
    assert lease_of(one, "claude_1@one").fence == fence + 1


def test_another_clone_gets_a_name_only_after_its_lease(
    world: World, later: Callable[[float], None]
) -> None:
    """Both machines have one host name, so both want the same names."""
    one = world.open("one", machine="host", lease=60)
    two = world.open("two", machine="host", lease=60)
    assert one.authors.sign_on().session == "claude_1@host"
    assert [state_of(c) for c in (one, two)] == ["ok", "ok"]
    one.close()  # ended without a sign-off

    assert [s.session for s in two.summary.context().active] == [
        "claude_1@host"
    ]
    assert two.summary.context().first_available == "claude_2@host"
    with pytest.raises(SessionTaken):
        two.authors.sign_on("claude_1")
    later(61)
    with pytest.raises(
        SessionTaken
    ):  # the time is not enough: the remote wasn't asked since
        two.authors.sign_on("claude_1")
    assert state_of(two) == "ok"
    assert two.summary.context().instances == {"claude_1@host": "gone"}
    signed = two.authors.sign_on("claude_1")
    assert signed.session == "claude_1@host"
    assert lease_of(two, "claude_1@host").fence == 2


def test_a_renewed_lease_does_not_lapse(
    world: World, later: Callable[[float], None]
) -> None:
    one = world.open("one", machine="host", lease=60)
    two = world.open("two", machine="host", lease=60)
    one.authors.sign_on()
    assert [state_of(c) for c in (one, two)] == ["ok", "ok"]
    for _ in range(4):
        later(40)
        one.sessions.renew(clock.now(), clock.instant())
        assert [state_of(c) for c in (one, two)] == ["ok", "ok"]
    assert [s.session for s in two.summary.context().active] == [
        "claude_1@host"
    ]
    assert lease_of(two, "claude_1@host").renewed == 4


def test_renewals_do_not_pile_up_offline(
    world: World, later: Callable[[float], None]
) -> None:
    one = world.open("one", lease=60)
    one.authors.sign_on()
    assert state_of(one) == "ok"
    for _ in range(10):
        later(40)
        one.sessions.renew(clock.now(), clock.instant())
    assert len(one.store.branch.queue()) == 1


def test_first_seen_times_survive_a_restart(
    world: World, later: Callable[[float], None]
) -> None:
    one = world.open("one", machine="host", lease=60)
    two = world.open("two", machine="host", lease=60)
    one.authors.sign_on()
    assert [state_of(c) for c in (one, two)] == ["ok", "ok"]
    one.close()
    two.close()
    later(61)
    again = world.open("two", machine="host", lease=60)
    assert state_of(again) == "ok"
    assert again.authors.sign_on("claude_1").session == "claude_1@host"


def test_the_old_session_of_a_name_is_fenced(
    world: World, later: Callable[[float], None]
) -> None:
    one = world.open("one", machine="host", lease=60)
    two = world.open("two", machine="host", lease=60)
    old = one.authors.session(one.authors.sign_on().session)
    one.edits.put(old, "work", "before", 1)
    assert [state_of(c) for c in (one, two)] == ["ok", "ok"]
    later(61)
    assert state_of(two) == "ok"
    two.edits.put(
        two.authors.session(two.authors.sign_on("claude_1").session),
        "work",
        "mine",
        2,
    )
    assert state_of(two) == "ok"
    one.edits.put(old, "work", "late", 3)  # offline, it can't know yet
    one.authors.sign_off()
    assert (
        state_of(one) == "ok"
    )  # the plain edit is applied; the sign-off of a lost name is not
    assert lease_of(one, "claude_1@host").state == "active"
    assert one.values.retrieve("work", "late").session == "claude_1@host"
    with pytest.raises(SessionFenced):
        one.edits.put(old, "work", "after", 4)
    assert not one.values.retrieve("work", "after").found


def test_a_session_that_lost_its_name_is_refused(
    world: World, later: Callable[[float], None]
) -> None:
    one = world.open("one", machine="host", lease=60)
    two = world.open("two", machine="host", lease=60)
    one.authors.sign_on()
    assert [state_of(c) for c in (one, two)] == ["ok", "ok"]
    later(61)
    assert state_of(two) == "ok"
    two.authors.sign_on("claude_1")
    assert [state_of(c) for c in (two, one)] == ["ok", "ok"]
    with pytest.raises(SessionFenced, match="lapsed"):
        one.authors.session(None)
    with pytest.raises(NotSignedOn):
        one.authors.session(None)
    assert one.authors.sign_on().session == "claude_2@host"


@pytest.mark.parametrize("what", ["store", "claim", "resolve", "sign off"])
def test_a_write_after_a_lost_name_reports_the_new_name(
    world: World, what: str
) -> None:
    """Another process of the clone had synced; this one has not looked since."""
    one, two = (world.open(name, machine="host") for name in ("one", "two"))
    for coordinator in (one, two):
        assert coordinator.authors.sign_on().session == "claude_1@host"
    author = two.authors.session(None)
    assert state_of(one) == "ok"
    two.store.sync(clock.now(), clock.instant())
    calls: dict[str, Callable[[], object]] = {
        "store": lambda: two.edits.put(author, "a", "k", 1),
        "claim": lambda: two.claims.claim(None, ["src"]),
        "resolve": lambda: two.conflicts.resolve(author, "abcd", "lost"),
        "sign off": two.authors.sign_off,
    }
    with pytest.raises(
        SessionFenced, match=r"you are claude_2@host now\. Nothing was changed"
    ):
        calls[what]()
    assert (
        two.authors.session(None).name == "claude_2@host"
    )  # it was reported, and is not reported again
    assert not two.values.retrieve("a", "k").found
    assert two.claims.active(two.store.snapshot()) == []


def test_sign_on_asks_the_remote_for_other_sessions(world: World) -> None:
    """The servers poll the remote once an hour, so not between the two calls."""
    one, two = world.clone("one"), world.clone("two")
    flags = ("--machine", "host", "--poll", "3600")

    async def scenario() -> None:
        async with agent(one, *flags) as first, agent(two, *flags) as second:
            await second.call("retrieve_data", scope="a", key="k", fresh=True)
            assert (await first.call("sign_on"))["session"] == "claude_1@host"
            await first.call(
                "store_data", scope="a", key="k", value=1, confirm=True
            )
            signed = await second.call("sign_on")
            assert signed["session"] == "claude_2@host"
            assert [other["session"] for other in signed["others"]] == [
                "claude_1@host"
            ]

    run(scenario)


def test_sign_on_does_not_wait_for_a_hanging_remote(world: World) -> None:
    clone = world.clone("one", "ssh://forge/x.git")
    hanging = world.directory / "hanging"
    hanging.write_text("#!/bin/sh\nexec sleep 600\n", encoding="utf-8")
    hanging.chmod(0o755)
    git("config", "core.sshCommand", str(hanging), cwd=clone)

    async def scenario() -> None:
        async with agent(clone) as claude:
            with anyio.fail_after(30):
                assert (await claude.call("sign_on"))["others"] == []

    run(scenario)


def test_of_two_equal_offline_names_the_later_is_changed(
    world: World,
) -> None:
    one, two = (world.open(name, machine="host") for name in ("one", "two"))
    for coordinator in (one, two):
        assert coordinator.authors.sign_on().session == "claude_1@host"
        author = coordinator.authors.session(None)
        name = coordinator.project.top.name
        coordinator.edits.put(author, "notes", name, "mine")
    assert [state_of(c) for c in (one, two)] == ["ok", "ok"]
    assert two.sessions.here == ["claude_2@host"]
    with pytest.raises(SessionFenced, match=r"you are claude_2@host now"):
        two.authors.session(None)
    assert two.authors.session(None).name == "claude_2@host"
    with pytest.raises(SessionFenced, match="claude_2@host"):
        two.authors.session("claude_1")
    assert [state_of(c) for c in (two, one)] == ["ok", "ok"]
    assert one.sessions.here == ["claude_1@host"]
    assert one.values.list_keys("notes").keys == ["one", "two"]
    assert one.summary.conflicts(one.store.snapshot()) == []


def test_signing_on_again_changes_nothing(world: World) -> None:
    one = world.open("one")
    first = one.authors.sign_on()
    tip = one.store.branch.tip
    assert one.authors.sign_on().session == first.session
    assert one.authors.sign_on("claude_1").session == first.session
    assert one.authors.sign_on("claude_1@one").session == first.session
    assert one.store.branch.tip == tip


def test_a_name_that_arrives_while_signing_on_is_not_taken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync brings another clone's sign-on between the choice of a name and its edit."""
    one, two = (world.open(name, machine="host") for name in ("one", "two"))
    assert two.authors.sign_on().session == "claude_1@host"
    assert [state_of(two), state_of(one)] == ["ok", "ok"]
    two.authors.sign_off()
    assert [state_of(two), state_of(one)] == ["ok", "ok"]
    assert two.authors.sign_on().session == "claude_1@host"
    assert state_of(two) == "ok"
    write_at_once = Writer.write

    def write_late(writer: Writer, *args: Any, **more: Any) -> Receipt[Any]:
        monkeypatch.undo()
        assert one.store.sync(clock.now(), clock.instant()).state == "ok"
        return write_at_once(writer, *args, **more)

    monkeypatch.setattr(Writer, "write", write_late)
    assert one.authors.sign_on().session == "claude_2@host"


def test_several_sessions_share_one_server(world: World) -> None:
    clone = world.clone("laptop")

    async def scenario() -> None:
        async with agent(clone, "--machine", "laptop") as claude:
            await claude.call("sign_on")
            await claude.call("sign_on", session_id="helper")
            for session in ("helper", "helper@laptop", None):
                more = {"session": session} if session else {}
                await claude.call(
                    "store_data",
                    scope="a",
                    key=f"by {session}",
                    value=1,
                    **more,
                )
            found = [
                (await claude.call("retrieve_data", scope="a", key=f"by {s}"))[
                    "session"
                ]
                for s in ("helper", "helper@laptop", None)
            ]
            assert found == [
                "helper@laptop",
                "helper@laptop",
                "claude_1@laptop",
            ]
            assert (await claude.call("sign_off", session="helper"))[
                "session"
            ] == "helper@laptop"
            error = await claude.refused(
                "store_data", scope="a", key="b", value=1, session="helper"
            )
            assert "not signed on" in error
            await claude.call("store_data", scope="a", key="c", value=1)

    run(scenario)


def test_concurrent_writes_and_renewals_do_not_deadlock(
    world: World, later: Callable[[float], None]
) -> None:
    """Both acquire the store's lock and that of the sessions, and must do so in one order."""
    one = world.open("one", lease=60, sync=False)
    author = one.authors.session(one.authors.sign_on().session)

    def write() -> None:
        for number in range(60):
            one.edits.put(author, "a", f"k{number}", number)

    def renew() -> None:
        for _ in range(60):
            later(40)
            forget_pending_renewals(one.sessions)
            one.sessions.renew(clock.now(), clock.instant())

    threads = [
        threading.Thread(target=work, daemon=True)
        for work in (write, renew, write)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert lease_of(one, "claude_1@one").renewed == 60


def test_state_of_a_session_survives_its_sign_off(world: World) -> None:
    one = world.open("one")
    author = one.authors.session(one.authors.sign_on().session)
    one.edits.put(author, "session:claude_1", "handoff", {"next": "tests"})
    one.authors.sign_off()
    assert one.summary.context().instances == {"claude_1@one": "signed_off"}
    signed = one.authors.sign_on()
    assert signed.session == "claude_1@one"
    assert signed.left_here == ["handoff"]
    assert one.values.retrieve(signed.own_scope, "handoff").value == {
        "next": "tests"
    }


def test_the_last_edits_reach_the_remote_when_a_client_ends(
    world: World,
) -> None:
    clone = world.clone("laptop")

    async def scenario() -> None:
        async with agent(clone, "--machine", "laptop") as claude:
            await claude.call("sign_on")
            await claude.call(
                "store_data", scope="a", key="b", value=1, confirm=True
            )
            await claude.call("sign_off")

    run(scenario)
    other = world.open("other")
    assert state_of(other) == "ok"
    assert other.summary.context().instances == {
        "claude_1@laptop": "signed_off"
    }


def test_a_living_server_syncs_the_edits_of_a_dead_one(world: World) -> None:
    """One background loop for a clone is enough. Any living process runs it."""
    clone = world.clone("laptop")

    async def scenario() -> None:
        async with agent(clone, "--machine", "laptop") as survivor:
            await survivor.call("sign_on")
            dead = world.open(clone, machine="laptop")
            put(dead, "left", "behind", 1)
            dead.sessions.release_locks()
            await survivor.until(
                "session://context", lambda c: c["sync"]["queued"] == 0
            )

    run(scenario)
    assert any(record.subject == "store left/behind" for record in world.log())
