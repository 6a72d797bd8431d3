"""The change feed, and subscriptions to resources in both protocol eras."""

import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.subscriptions import ResourceUpdated

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.reading import feed
from csc_git.errors import (
    CursorExpired,
    InputError,
    InvalidPattern,
)
from tests.agents import Agent, agent, run
from tests.inside import recheck_each
from tests.world import REF, Crowd, World, git, person, put


def changes_since(
    coordinator: Coordinator, since: str, **more: Any
) -> tuple[list[str], str]:
    """The changes since a cursor, in short, and the next cursor."""
    found = coordinator.feed.wait(since, timeout=0, **more)
    return [
        f"{one.change} {one.scope}/{one.key}" for one in found.changes
    ], found.cursor


# The feed


def test_every_change_is_reported_once(pair: list[Coordinator]) -> None:
    start = str(pair[0].feed.now())
    put(pair[0], "s", "n", 1)
    put(pair[0], "s", "m", 1)
    changes, cursor = changes_since(pair[0], start)
    assert changes == ["created s/m", "changed s/n"]
    assert changes_since(pair[0], cursor)[0] == []
    pair[0].edits.delete(person(pair[0]), "s", "n")
    [gone] = pair[0].feed.wait(cursor).changes
    assert (gone.change, gone.session, gone.new) == (
        "deleted",
        "tester@one",
        None,
    )
    assert gone.old
    assert gone.time
    assert (
        len(changes_since(pair[0], start)[0]) == 2
    )  # net: m is there, n is gone


def test_a_replayed_change_is_not_reported_again(
    pair: list[Coordinator],
) -> None:
    put(pair[0], "s", "mine", 1)
    cursor = str(pair[0].feed.now())
    put(pair[1], "s", "theirs", 2)
    pair[1].syncing.sync()
    pair[0].syncing.sync()
    found = pair[0].feed.wait(cursor)
    assert [(one.key, one.session) for one in found.changes] == [
        ("theirs", "tester@two")
    ]
    assert changes_since(pair[0], found.cursor)[0] == []


def test_a_cursor_survives_replay_and_restart(
    pair: list[Coordinator], world: World
) -> None:
    put(pair[1], "s", "theirs", 2)
    pair[1].syncing.sync()
    put(pair[0], "s", "mine", 1)
    cursor = str(pair[0].feed.now())  # of a tip that replay replaces
    pair[0].syncing.sync()
    git("gc", "-q", "--prune=now", cwd=pair[0].store.repository.path)
    again = world.open("one")
    assert changes_since(again, cursor)[0] == ["created s/theirs"]


def test_the_outcome_of_the_sessions_own_edit_is_reported(world: World) -> None:
    one, two = world.open("one"), world.open("two")
    session = one.authors.sign_on().session
    put(two, "s", "k", "theirs")
    two.syncing.sync()
    mine = one.edits.put(
        one.authors.session(session), "s", "k", "mine", if_revision="absent"
    )
    cursor = str(one.feed.now())
    one.syncing.sync()
    settled = {
        edit.op: edit.outcome
        for edit in one.feed.wait(cursor, timeout=0).settled
    }
    assert settled[mine.op or ""] == "refused"


def test_an_outcome_is_reported_no_sooner_than_its_changes(
    pair: list[Coordinator], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync moves two refs. A look between the two does not report half of it."""
    one, two = pair
    author = one.authors.session(one.authors.sign_on().session)
    made = one.edits.put(author, "plan", "mine", 1)
    cursor, settled, seen = (
        str(one.feed.now()),
        dict[str, set[str]](),
        set[str](),
    )
    git(
        "push", "-q", str(world.remote), REF, cwd=one.store.repository.path
    )  # as if it was never answered
    two.syncing.sync()
    put(two, "plan", "theirs", 1)
    two.syncing.sync()
    set_ref = one.store.repository.set_ref

    def look(*arguments: Any, **more: Any) -> None:
        nonlocal cursor
        set_ref(*arguments, **more)
        found = one.feed.wait(cursor, timeout=0)
        cursor = found.cursor
        seen.update(change.key for change in found.changes)
        settled.update({edit.op: set(seen) for edit in found.settled})

    monkeypatch.setattr(one.store.repository, "set_ref", look)
    one.syncing.sync()
    assert settled == {
        made.op: {"theirs"}
    }  # "mine" is not reported: it was there before


def test_two_sessions_of_one_name_get_their_own_outcomes(
    world: World,
) -> None:
    """Both took the name offline. The later session continues under another one."""
    one, two = (world.open(name, machine="host") for name in ("one", "two"))
    made = []
    for coordinator in (one, two):
        author = coordinator.authors.session(
            coordinator.authors.sign_on().session
        )
        assert author.name == "claude_1@host"
        made.append(
            coordinator.edits.put(
                author, "plan", coordinator.project.top.name, 1
            ).op
        )
    assert two.feed.wait("-.-", timeout=0).settled == []
    one.syncing.sync()
    two.syncing.sync()
    assert two.sessions.here == ["claude_2@host"]
    one.syncing.sync()
    for coordinator, op in zip((one, two), made, strict=True):
        found = coordinator.feed.wait("-.-", timeout=0)
        assert [edit.op for edit in found.settled] == [op]
        assert {change.key for change in found.changes} == {"one", "two"}


def test_scopes_filter_the_feed_and_leases_are_left_out(
    pair: list[Coordinator],
) -> None:
    start = str(pair[0].feed.now())
    pair[0].authors.sign_on()
    put(pair[0], "issue:1", "status", 1)
    put(pair[0], "plan", "x", 1)
    assert changes_since(pair[0], start)[0] == [
        "created issue:1/status",
        "created plan/x",
    ]
    assert changes_since(pair[0], start, scopes=["issue:*"])[0] == [
        "created issue:1/status"
    ]
    assert changes_since(pair[0], start, scopes=["sessions"])[0] == [
        "created sessions/claude_1@one"
    ]
    author = pair[0].authors.session(None)
    cursor = str(pair[0].feed.now())
    pair[0].edits.put(author, "plan", "mine", 1)
    put(pair[0], "plan", "theirs", 1)
    assert changes_since(pair[0], cursor, others_only=True)[0] == [
        "created plan/theirs"
    ]


def test_many_changes_come_in_pages_without_gaps(
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
            put(pair[0], "page", "late", 1)  # reported once, after the pages
        if not found.changes:
            break
    assert seen == [*(f"k{number}" for number in range(7)), "late"]


def test_bad_cursors_and_arguments_are_refused(pair: list[Coordinator]) -> None:
    for bad in ("", "x", "HEAD.HEAD", "0" * 40):
        with pytest.raises(InputError, match="is not a cursor"):
            pair[0].feed.wait(bad, timeout=0)
    with pytest.raises(CursorExpired):
        pair[0].feed.wait(f"{'1' * 40}.-", timeout=0)
    with pytest.raises(InputError, match="out of range"):
        pair[0].feed.wait(timeout=-1)
    with pytest.raises(InvalidPattern):
        pair[0].feed.wait(scopes=["["], timeout=0)


def test_a_write_of_another_process_ends_the_wait(
    pair: list[Coordinator],
) -> None:
    """It ends before the check that is made once a second."""
    cursor = str(pair[0].feed.now())
    crowd = Crowd([["write", str(pair[0].project.top), "w", "1"]])
    timer = threading.Thread(target=crowd.run)
    timer.start()
    began = time.monotonic()
    found = pair[0].feed.wait(cursor, ["own:w"], 30)
    assert [one.key for one in found.changes] == ["k0"]
    assert time.monotonic() - began < 20
    timer.join()


def test_the_file_watcher_notices_a_write_at_once(
    pair: list[Coordinator],
) -> None:
    """The check each second is switched off, so only the file system can notify."""
    with (
        pytest.MonkeyPatch.context() as patch,
        pair[0].watch.listening() as may_have_changed,
    ):
        recheck_each(patch, 60.0)
        noticed = threading.Event()
        writer = threading.Thread(target=_write_until, args=(pair[0], noticed))
        writer.start()
        began = time.monotonic()
        may_have_changed(60.0)
        noticed.set()
        assert time.monotonic() - began < 30
        writer.join()


def _write_until(coordinator: Coordinator, noticed: threading.Event) -> None:
    """Write again and again: the watch may not be ready at the first write."""
    number = 0
    while not noticed.wait(0.05):
        put(coordinator, "often", "k", number := number + 1)


def test_closing_the_coordinator_ends_the_wait(world: World) -> None:
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
def test_a_client_waits_for_changes_over_mcp(world: World, era: Any) -> None:
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


def test_a_subscription_of_the_current_protocol_works(world: World) -> None:
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


def test_a_subscriber_is_notified_of_the_remotes_state(
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
                await wait_for_state(reader, events, "not-found")
                away.rename(world.remote)
                await wait_for_state(reader, events, "ok")

    async def wait_for_state(
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
def test_a_subscription_of_the_legacy_protocol_works(world: World) -> None:
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


def _server_of(clone: Path) -> int:
    for entry in Path("/proc").iterdir():
        try:
            is_server = (
                entry.name.isdigit()
                and b"serve" in (entry / "cmdline").read_bytes()
            )
            if is_server and (entry / "cwd").readlink() == clone:
                return int(entry.name)
        except OSError:
            continue
    raise AssertionError("no server")


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


async def _wait_and_give_up(client: Client) -> None:
    with anyio.move_on_after(0.5):
        await client.call_tool("wait_for_changes", {"timeout": 600})


def test_cancelled_waits_leave_no_thread(world: World) -> None:
    clone = world.clone("one")

    async def scenario() -> None:
        parameters = StdioServerParameters(
            command=sys.executable, args=["-P", "-m", "csc_git", "serve", "--poll", "60"],
            cwd=clone, env=dict(os.environ),
        )  # fmt: skip
        async with Client(stdio_client(parameters), mode="legacy") as client:
            await client.call_tool("sign_on", {})
            pid = _server_of(clone)
            before = _threads(pid)
            for _ in range(3):
                async with anyio.create_task_group() as tasks:
                    for _ in range(40):
                        tasks.start_soon(_wait_and_give_up, client)
            with anyio.fail_after(20):
                while _threads(pid) > before + 45:
                    await anyio.sleep(0.1)
                began = time.monotonic()
                await client.call_tool("wait_for_changes", {"timeout": 0})
            assert time.monotonic() - began < 10

    run(scenario)


def test_a_cancelled_wait_consumes_no_change(world: World) -> None:
    one = world.open("one")
    one.authors.sign_on()
    cursor = str(one.feed.now())
    given_up = threading.Event()
    ended = list[BaseException]()

    def wait() -> None:
        try:
            one.feed.wait(cursor, timeout=60, given_up=given_up.is_set)
        except Exception as error:  # noqa: BLE001
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    given_up.set()
    one.watch.wake()
    thread.join(10)
    assert ended
    put(one, "s", "k", 1)
    assert [
        change.key for change in one.feed.wait(cursor, timeout=0).changes
    ] == ["k"]
