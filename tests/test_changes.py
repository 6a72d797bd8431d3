"""The change feed, subscriptions in both eras, and the past."""

import json
import os
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from click.testing import CliRunner
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.subscriptions import ResourceUpdated

from csc_git.cli.main import main
from csc_git.coordinator import clock, feed
from csc_git.coordinator.coordinator import Coordinator
from csc_git.core.edit import Record
from csc_git.errors import (
    CursorExpired,
    InputError,
    InvalidMoment,
    InvalidPattern,
    NoSuchCommit,
)
from tests.agents import Agent, agent, run
from tests.world import REF, Crowd, World, git, person, put


@pytest.fixture
def pair(world: World) -> list[Coordinator]:
    """Two clones in step."""
    both = [world.open("one"), world.open("two")]
    put(both[0], "s", "n", 0)
    for coordinator in both:
        coordinator.sync()
    return both


def told(
    coordinator: Coordinator, since: str, **more: Any
) -> tuple[list[str], str]:
    """What a look at the feed tells, in short, and the next cursor."""
    found = coordinator.feed.wait(since, timeout=0, **more)
    return [
        f"{one.change} {one.scope}/{one.key}" for one in found.changes
    ], found.cursor


# The feed


def test_every_change_is_told_once(pair: list[Coordinator]) -> None:
    start = str(pair[0].feed.now())
    put(pair[0], "s", "n", 1)
    put(pair[0], "s", "m", 1)
    changes, cursor = told(pair[0], start)
    assert changes == ["created s/m", "changed s/n"]
    assert told(pair[0], cursor)[0] == []
    pair[0].edits.delete(person(pair[0]), "s", "n")
    [gone] = pair[0].feed.wait(cursor).changes
    assert (gone.change, gone.session, gone.new) == (
        "deleted",
        "tester@one",
        None,
    )
    assert gone.old
    assert gone.time
    assert len(told(pair[0], start)[0]) == 2  # net: m is there, n is gone


def test_what_arrives_is_told_and_what_replay_moves_is_not_told_again(
    pair: list[Coordinator],
) -> None:
    put(pair[0], "s", "mine", 1)
    cursor = str(pair[0].feed.now())
    put(pair[1], "s", "theirs", 2)
    pair[1].sync()
    pair[0].sync()
    found = pair[0].feed.wait(cursor)
    assert [(one.key, one.session) for one in found.changes] == [
        ("theirs", "tester@two")
    ]
    assert told(pair[0], found.cursor)[0] == []


def test_a_cursor_survives_replay_and_restart(
    pair: list[Coordinator], world: World
) -> None:
    put(pair[1], "s", "theirs", 2)
    pair[1].sync()
    put(pair[0], "s", "mine", 1)
    cursor = str(pair[0].feed.now())  # of a tip that replay replaces
    pair[0].sync()
    git("gc", "-q", "--prune=now", cwd=pair[0].store.repository.path)
    again = world.open("one")
    assert told(again, cursor)[0] == ["created s/theirs"]


def test_the_fate_of_an_edit_is_told(world: World) -> None:
    one, two = world.open("one"), world.open("two")
    session = one.sign_on().session
    put(two, "s", "k", "theirs")
    two.sync()
    mine = one.edits.put(
        one.author(session), "s", "k", "mine", if_revision="absent"
    )
    cursor = str(one.feed.now())
    one.sync()
    settled = {
        edit.op: edit.outcome
        for edit in one.feed.wait(cursor, timeout=0).settled
    }
    assert settled[mine.op or ""] == "refused"


def test_what_settles_is_to_be_seen_by_then(
    pair: list[Coordinator], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync moves two refs; whoever looks in between is not told half of it."""
    one, two = pair
    author = one.author(one.sign_on().session)
    made = one.edits.put(author, "plan", "mine", 1)
    cursor, settled, seen = (
        str(one.feed.now()),
        dict[str, set[str]](),
        set[str](),
    )
    git(
        "push", "-q", str(world.remote), REF, cwd=one.store.repository.path
    )  # never answered, say
    two.sync()
    put(two, "plan", "theirs", 1)
    two.sync()
    set_ref = one.store.repository.set_ref

    def look(*arguments: Any, **more: Any) -> None:
        nonlocal cursor
        set_ref(*arguments, **more)
        found = one.feed.wait(cursor, timeout=0)
        cursor = found.cursor
        seen.update(change.key for change in found.changes)
        settled.update({edit.op: set(seen) for edit in found.settled})

    monkeypatch.setattr(one.store.repository, "set_ref", look)
    one.sync()
    assert settled == {
        made.op: {"theirs"}
    }  # "mine" is no news: it was there before


def test_of_two_clones_with_one_name_each_hears_of_its_own_edits(
    world: World,
) -> None:
    """Both took it before either could know; the later one goes on under another."""
    one, two = (world.open(name, machine="host") for name in ("one", "two"))
    made = []
    for coordinator in (one, two):
        author = coordinator.author(coordinator.sign_on().session)
        assert author.name == "claude_1@host"
        made.append(
            coordinator.edits.put(
                author, "plan", coordinator.project.top.name, 1
            ).op
        )
    assert two.feed.wait("-.-", timeout=0).settled == []
    one.sync()
    two.sync()
    assert two.sessions.here == ["claude_2@host"]
    one.sync()
    for coordinator, op in zip((one, two), made, strict=True):
        found = coordinator.feed.wait("-.-", timeout=0)
        assert [edit.op for edit in found.settled] == [op]
        assert {change.key for change in found.changes} == {"one", "two"}


def test_scopes_narrow_it_and_leases_are_left_out(
    pair: list[Coordinator],
) -> None:
    start = str(pair[0].feed.now())
    pair[0].sign_on()
    put(pair[0], "issue:1", "status", 1)
    put(pair[0], "plan", "x", 1)
    assert told(pair[0], start)[0] == [
        "created issue:1/status",
        "created plan/x",
    ]
    assert told(pair[0], start, scopes=["issue:*"])[0] == [
        "created issue:1/status"
    ]
    assert told(pair[0], start, scopes=["sessions"])[0] == [
        "created sessions/claude_1@one"
    ]
    author = pair[0].author(None)
    cursor = str(pair[0].feed.now())
    pair[0].edits.put(author, "plan", "mine", 1)
    put(pair[0], "plan", "theirs", 1)
    assert told(pair[0], cursor, others_only=True)[0] == ["created plan/theirs"]


def test_more_than_one_page(
    pair: list[Coordinator], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MOST_CHANGES", 3)
    cursor, seen = str(pair[0].feed.now()), list[str]()
    for number in range(7):
        put(pair[0], "page", f"k{number}", number)
    pages = 0
    while True:
        found = pair[0].feed.wait(cursor, timeout=0)
        seen += [one.key for one in found.changes]
        cursor, pages = found.cursor, pages + 1
        if pages == 1:
            put(pair[0], "page", "late", 1)  # told after the pages, once
        if not found.changes:
            break
    assert seen == [*(f"k{number}" for number in range(7)), "late"]


def test_bad_cursors_and_arguments(pair: list[Coordinator]) -> None:
    for bad in ("", "x", "HEAD.HEAD", "0" * 40):
        with pytest.raises(InputError, match="is no cursor"):
            pair[0].feed.wait(bad, timeout=0)
    with pytest.raises(CursorExpired):
        pair[0].feed.wait(f"{'1' * 40}.-", timeout=0)
    with pytest.raises(InputError, match="out of range"):
        pair[0].feed.wait(timeout=-1)
    with pytest.raises(InvalidPattern):
        pair[0].feed.wait(scopes=["["], timeout=0)


def test_another_process_wakes_who_waits(pair: list[Coordinator]) -> None:
    """Before the look that is due once a second anyhow."""
    cursor = str(pair[0].feed.now())
    crowd = Crowd([["write", str(pair[0].project.top), "w", "1"]])
    timer = threading.Thread(target=crowd.run)
    timer.start()
    began = time.monotonic()
    found = pair[0].feed.wait(cursor, ["own:w"], 30)
    assert [one.key for one in found.changes] == ["k0"]
    assert time.monotonic() - began < 20
    timer.join()


def test_watching_notices_a_write_at_once(pair: list[Coordinator]) -> None:
    """With the look once a second switched off, the file system's word is all there is."""
    with (
        pytest.MonkeyPatch.context() as patch,
        pair[0].watch.listening() as may_have_changed,
    ):
        patch.setattr("csc_git.store.watch._RECHECK", 60.0)
        noticed = threading.Event()
        writer = threading.Thread(target=_write_until, args=(pair[0], noticed))
        writer.start()
        began = time.monotonic()
        may_have_changed(60.0)
        noticed.set()
        assert time.monotonic() - began < 30
        writer.join()


def _write_until(coordinator: Coordinator, noticed: threading.Event) -> None:
    """The watch may only be setting itself up at the first of these."""
    number = 0
    while not noticed.wait(0.05):
        put(coordinator, "often", "k", number := number + 1)


def test_closing_ends_the_wait(world: World) -> None:
    one = world.open("one")
    ended = threading.Event()

    def wait() -> None:
        one.feed.wait(timeout=60)
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    one.close()
    assert ended.wait(10)


# Over MCP


@pytest.mark.parametrize("era", ["legacy", "auto"])
def test_waiting_over_mcp(world: World, era: Any) -> None:
    one, two = world.clone("one"), world.clone("two")

    async def scenario() -> None:
        async with agent(one, era=era) as reader, agent(two, era=era) as writer:
            await writer.call("sign_on")
            signed = await reader.call("sign_on")
            answers: list[dict[str, Any]] = []

            async def wait() -> None:
                answers.append(
                    await reader.call(
                        "wait_for_changes",
                        since=signed["cursor"],
                        scopes=["plan"],
                        timeout=30,
                    )
                )

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                stored = await writer.call(
                    "store_data", scope="plan", key="a", value=1
                )
            assert answers[0]["changes"], answers[0]
            [change] = answers[0]["changes"]
            assert (change["scope"], change["key"], change["new"]) == (
                "plan", "a", stored["revision"],
            )  # fmt: skip
            assert change["session"].startswith("claude_1@")
            none = await reader.call(
                "wait_for_changes",
                since=answers[0]["cursor"],
                scopes=["plan"],
                timeout=0,
            )
            assert none["changes"] == []

    run(scenario)


def test_a_subscription_of_today(world: World) -> None:
    one = world.clone("one")
    uris = [
        "session://context",
        "session://data/plan/a",
        "session://state/claude_1@m",
    ]

    async def scenario() -> None:
        async with (
            agent(one, "--machine", "m") as reader,
            agent(one, "--machine", "m") as writer,
        ):
            async with reader.client.listen(
                resource_subscriptions=uris
            ) as events:
                await writer.call("sign_on")
                await writer.call("store_data", scope="plan", key="a", value=1)
                seen = set[str]()
                with anyio.fail_after(30):
                    async for event in events:
                        assert isinstance(event, ResourceUpdated)
                        seen.add(event.uri)
                        if seen == set(uris):
                            break
            assert (await reader.read("session://data/plan/a"))["value"] == 1

    run(scenario)


def test_a_subscriber_hears_that_the_remote_went_away_and_came_back(
    world: World,
) -> None:
    one, away = world.clone("one"), world.directory / "away.git"

    async def scenario() -> None:
        async with agent(one, "--poll", "0.2") as reader:
            await reader.call("sign_on")
            await reader.call(
                "store_data", scope="plan", key="a", value=1, confirm=True
            )
            async with reader.client.listen(
                resource_subscriptions=["session://context"]
            ) as events:
                world.remote.rename(away)
                await heard(reader, events, "not-found")
                away.rename(world.remote)
                await heard(reader, events, "ok")

    async def heard(
        reader: Agent, events: AsyncIterator[object], state: str
    ) -> None:
        with anyio.fail_after(30):
            async for _ in events:
                if (await reader.read("session://context"))["sync"][
                    "state"
                ] == state:
                    return

    run(scenario)


@pytest.mark.filterwarnings("ignore:resources/.*is removed")
def test_a_subscription_of_old(world: World) -> None:
    one = world.clone("one")
    uris = ["session://context", "session://data/plan/a"]
    seen: set[str] = set()
    all_seen = anyio.Event()

    async def note(message: Any) -> None:
        root = getattr(message, "root", message)
        if isinstance(root, types.ResourceUpdatedNotification):
            seen.add(str(root.params.uri))
            if seen == set(uris):
                all_seen.set()

    async def scenario() -> None:
        parameters = StdioServerParameters(
            command=os.sys.executable,  # type: ignore[attr-defined]
            args=["-m", "csc_git", "serve", "--poll", "0.2", "--timeout", "20"],
            cwd=one,
        )
        async with (
            Client(
                stdio_client(parameters), mode="legacy", message_handler=note
            ) as reader,
            agent(one) as writer,
        ):
            for uri in uris:
                await reader.session.subscribe_resource(uri)
            await writer.call("sign_on")
            await writer.call("store_data", scope="plan", key="a", value=1)
            with anyio.fail_after(30):
                await all_seen.wait()
            for uri in uris:
                await reader.session.unsubscribe_resource(uri)

    run(scenario)


# The past


@pytest.fixture
def dated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> tuple[Coordinator, datetime]:
    """A clone that stored plan/n = 0, 1, …, 9, a minute between each; the time of the first."""
    one = world.open("one")
    start = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    for number in range(10):
        now = start + timedelta(minutes=number)
        monkeypatch.setattr(clock, "now", lambda now=now: now)
        put(one, "plan", "n", number)
        put(one, "other:deep", "m", number)
    return one, start


def test_the_past_can_be_read(dated: tuple[Coordinator, datetime]) -> None:
    one, start = dated

    def at(moment: str) -> Any:
        return one.retrieve("plan", "n", at=moment).value

    assert at("2026-03-01T12:00:01Z") == 0
    assert at("2026-03-01T12:05:30") == 5
    assert at("2026-03-01T13:05:30+01:00") == 5
    assert at("2030-01-01") == 9
    assert at("3m") == 6  # the clock stands at the last write
    assert not one.retrieve("plan", "n", at="2026-03-01T11:59:59Z").found
    commit = one.past.history("plan", "n").edits[4].commit
    assert at(commit) == 5
    assert at(commit[:12]) == 5
    assert start.minute == 0


def test_each_commit_is_the_state_at_its_own_time(
    dated: tuple[Coordinator, datetime],
) -> None:
    one = dated[0]
    for edit in one.past.history(limit=50).edits:
        commit = one.store.repository.objects.commit(edit.commit)
        record = Record.parse(commit.message)
        assert record
        assert one.past.at(record.clock.isoformat()).commit == edit.commit
        before = (record.clock - timedelta(microseconds=1)).isoformat()
        assert one.past.at(before).commit == commit.parent


@pytest.mark.parametrize(
    "bad", ["", "yesterday", "12:00", "-1h", "2026-13-01", "--help", "HEAD"]
)
def test_what_is_no_moment(
    dated: tuple[Coordinator, datetime], bad: str
) -> None:
    with pytest.raises(InvalidMoment):
        dated[0].retrieve("plan", "n", at=bad)


def test_a_commit_that_is_not_here(dated: tuple[Coordinator, datetime]) -> None:
    with pytest.raises(NoSuchCommit):
        dated[0].retrieve("plan", "n", at="1234567")


def test_history(dated: tuple[Coordinator, datetime]) -> None:
    past = dated[0].past
    found = past.history(limit=3)
    assert ([edit.subject for edit in found.edits], found.more) == (
        ["store other:deep/m", "store plan/n", "store other:deep/m"], True,
    )  # fmt: skip
    assert found.edits[0].changed[0].change == "changed"
    assert not past.history("plan", limit=10).more
    assert len(past.history("plan", "n", limit=100).edits) == 10
    assert {e.subject for e in past.history("other", limit=99).edits} == {
        "store other:deep/m"
    }
    assert past.history("nothing").edits == []
    between = past.history(
        "plan", since="2026-03-01T12:02", until="2026-03-01T12:05"
    )
    assert [edit.time[14:16] for edit in between.edits] == ["05", "04", "03"]
    put(dated[0], "plan", "x", 1)
    dated[0].edits.put(dated[0].person("ada"), "plan", "n", "hers")
    assert [e.session for e in past.history(session="ada@one").edits] == [
        "ada@one"
    ]
    assert past.history(session="da@one").edits == []
    for bad in (0, 501):
        with pytest.raises(InputError, match="limit"):
            past.history(limit=bad)
    with pytest.raises(InputError, match="needs its scope"):
        past.history(key="n")


def test_history_follows_a_directory_through_its_splitting(
    world: World,
) -> None:
    one = world.open("one")
    for number in range(300):
        put(one, "many", f"k{number}", number)
    put(one, "many", "k7", "again")
    assert len(one.past.history("many", "k7").edits) == 2
    assert len(one.past.history("many", limit=500).edits) == 301
    blamed = one.past.blame("many")
    assert len(blamed.keys) == 300
    assert blamed.keys["k7"].changed[0].change == "changed"


def test_blame_and_diff_on_the_command_line(
    dated: tuple[Coordinator, datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = dated[0]
    one.edits.put(one.person("ada"), "plan", "who", "me\x1b[31m")
    monkeypatch.chdir(one.project.top)

    def said(*arguments: str) -> str:
        return (
            CliRunner().invoke(main, arguments, catch_exceptions=False).output
        )

    lines = said("blame", "plan").splitlines()
    assert [line.split()[2:] for line in lines] == [
        ["tester@one", "n"],
        ["ada@one", "who"],
    ]
    shown = said("diff", "2026-03-01T12:08:30")
    assert "plan/n\n  - 8  (tester@one, 2026-03-01T12:08:00Z)\n  + 9" in shown
    assert "plan/who\n  + " in shown
    assert "\x1b" not in shown
    found = json.loads(
        said("diff", "2026-03-01T12:03", "2026-03-01T12:04", "--json")
    )
    assert [one["key"] for one in found["differences"]] == ["m", "n"]
    assert said("get", "plan", "n", "--at", "2026-03-01T12:03").strip() == "3"
    assert "neither a time nor a commit" in said("diff", "noon")


def test_conflicts_on_the_command_line(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = world.open("one"), world.open("two")
    put(two, "s", "n", "lost")
    put(one, "s", "n", "stands", confirm=True)
    two.sync()
    monkeypatch.chdir(two.project.top)

    def said(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done.output

    lines = said("conflicts").splitlines()
    name = lines[0].split()[0]
    assert lines[0].endswith("s/n  lost")
    assert lines[1].startswith('  current "stands"  (tester@one, ')
    assert lines[2].startswith('  lost    "lost"  (tester@two, ')
    assert "one of --current, --lost, --value" in said("resolve", name, code=2)
    assert said("resolve", name[:6], "--lost").startswith(
        "s/n: resolved, synced"
    )
    assert said("conflicts") == ""
    assert "No conflict" in said("resolve", name, "--lost", code=1)
    assert json.loads(said("get", "s", "n", "--json"))["value"] == "lost"
    assert Path.cwd() == two.project.top
