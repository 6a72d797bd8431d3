"""Many sessions, claims, conflicts and keys: answers stay small, and calls do not read them all."""

import gc
import json
import os
import sys
import threading
import time
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.edits import Change
from csc_git.coordinator.results import Keys
from csc_git.core.claim import Claim, claim_key
from csc_git.core.conflict import Conflict
from csc_git.core.edit import Outcome
from csc_git.core.key import Key
from csc_git.core.lease import Lease, lease_key
from csc_git.core.merge import Version
from csc_git.core.value import Entry, Json
from csc_git.errors import InputError, StoreDamaged
from csc_git.git.objects.database import Unlisted
from csc_git.git.objects.reader import Objects
from csc_git.hooks import before_edit
from csc_git.store.commit_walk import ancestry
from csc_git.store.past_edits import keys_of
from csc_git.store.snapshot import Snapshot
from csc_git.store.transaction import Draft
from tests.agents import run
from tests.test_cli import csc
from tests.test_leaving import until
from tests.world import REF, World, git, put, state_of

MANY = 300
THEN = "2026-01-01T00:00:00.000000Z"


def crowd(one: Coordinator, sessions: int, value: str = "x") -> None:
    """Sessions of another clone that never signed off, with claims, conflicts and states."""
    puts: dict[Key, Json] = {}
    now = clock.now()
    for number in range(sessions):
        name = f"claude_{number}@elsewhere"
        puts[lease_key(name)] = Lease(
            f"h{number}", "other", 1, 5400, "active", THEN
        ).to_json()
        puts[Key(("session", name), "status")] = value
        resource = f"src/f{number}.py"
        puts[claim_key(resource)] = Claim(
            resource,
            name,
            f"h{number}",
            "other",
            number + 1,
            None,
            "held",
            THEN,
        ).to_json()
        lost = Version(Entry(value, "a@b", now), "a@b", now)
        conflict = Conflict(
            Key(("s",), f"k{number}"), Outcome.LOST, lost, "absent", "z@y", now
        )
        puts[Key(("conflicts",), f"{number:032x}.0")] = conflict.to_json()
    one.store.transact(lambda _: Draft("a crowd", "builder@x", puts), now)


def size(answer: Any) -> int:
    return len(answer.to_text())


def test_answers_stay_small_and_say_what_they_leave_out(world: World) -> None:
    one = world.open("one")
    crowd(one, MANY, value="y" * 100_000)
    assert state_of(one) == "ok"
    signed_on = one.sign_on()
    assert len(signed_on.others) + signed_on.others_more == MANY
    assert size(signed_on) < 8_000
    context = one.summary.context()
    assert len(context.active) + context.active_more == MANY + 1
    assert size(context) < 12_000
    assert len(context.claims) == 10
    assert context.claims_more
    assert context.conflicts[-1] == f"and {MANY - 10} more"
    status = one.status()
    assert status.active_count == MANY + 1
    assert size(status) < 60_000
    assert all(len(str(other.status)) < 300 for other in signed_on.others)
    assert "read it with retrieve_data" in str(signed_on.others[0].status)


def unlisted(*_: object) -> None:
    """In place of `Objects.list_below`: git fails."""
    raise Unlisted


def test_lists_come_in_parts_that_join_to_the_whole(world: World) -> None:
    one = world.open("one")
    puts: dict[Key, Json] = {
        Key(("s",), f"k{number}"): number for number in range(60)
    }
    puts |= {
        Key(("issue", str(number)), "status"): "open" for number in range(60)
    }
    one.store.transact(lambda _: Draft("many", "t@x", puts), clock.now())
    for listed, name in ((one.list_keys, "s"), (one.list_scopes, "issue:*")):
        whole, parts, after = listed(name), list[str](), None
        assert whole.more == 0
        while True:
            part = listed(name, after, 25)
            names = part.keys if isinstance(part, Keys) else part.scopes
            parts += names
            if not part.more:
                break
            assert len(names) == 25
            after = names[-1]
        assert parts == (
            whole.keys if isinstance(whole, Keys) else whole.scopes
        )
        assert len(parts) == 60
    assert one.list_keys("s", "k5", 2).keys == ["k50", "k51"]
    for ask in (
        lambda: one.list_keys("s", None, 0),
        lambda: one.list_scopes(limit=-1),
        lambda: one.conflicts.open(0),
    ):
        with pytest.raises(InputError, match="it must be 1 or more"):
            ask()


def test_what_git_lists_is_what_is_read_tree_by_tree(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Split directories, names that are cut or escaped, entries that are nobody's."""
    one = world.open("one")
    long = "ä" * 60
    puts: dict[Key, Json] = {
        Key(scope, name): 1
        for scope in ((long, "big"), ("big",), ("con", "A.b"), ("sessions",))
        for name in (
            *(f"k{number}" for number in range(300)),
            long,
            long + "b",
            "-Ä.",
            "nul",
        )
    }
    one.store.transact(lambda _: Draft("many", "t@x", puts), clock.now())
    path, tip = one.store.repository.path, one.store.branch.tip
    monkeypatch.setenv("GIT_INDEX_FILE", str(world.directory / "index"))
    git("read-tree", str(tip), cwd=path)
    fan = git("ls-tree", "--name-only", f"{tip}:data/big", cwd=path).split()[0]
    blob = git("rev-parse", f"{tip}:format.json", cwd=path).strip()
    for mode, name in (
        ("100644", f"{fan}/=.txt"),
        ("100755", "x.json"),
        ("120000", "l.json"),
    ):
        for scope in ("big", f"only{mode}"):
            place = f"{mode},{blob},data/{scope}/{name}"
            git("update-index", "--add", "--cacheinfo", place, cwd=path)
    tree = git("write-tree", cwd=path).strip()
    made = git(
        "commit-tree", "-p", str(tip), "-m", "by hand", tree, cwd=path
    ).strip()
    git("update-ref", REF, made, cwd=path)

    def seen() -> object:
        one.store.repository.objects.shared = {}
        snapshot = one.store.snapshot()
        scopes = snapshot.scopes()
        records = {scope: snapshot.records(scope) for scope in scopes}
        return (
            scopes,
            {scope: snapshot.keys(scope) for scope in scopes},
            records,
        )

    listed = seen()
    with monkeypatch.context() as patched:  # git prints more than is taken
        patched.setattr("csc_git.git.objects.database._MOST_AT_ONCE", 100)
        assert seen() == listed
    monkeypatch.setattr(Objects, "list_below", unlisted)
    assert seen() == listed


def test_the_keys_of_a_large_edit_are_those_of_its_difference(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = world.open("one")
    for start in (0, 150, 400):
        kept = {Key(("s",), f"k{n}"): start for n in range(start, start + 200)}
        gone = tuple(Key(("s",), f"k{n}") for n in range(start - 20, start))
        draft = Draft("many", "t@x", kept, gone)
        one.store.transact(lambda _, draft=draft: draft, clock.now())  # type: ignore[misc]
    repository = one.store.repository
    commits = list(ancestry(repository.objects, one.store.branch.tip))
    one_by_one = [keys_of(repository, commit) for commit in commits]
    monkeypatch.setattr("csc_git.store.past_edits._MANY", 0)
    assert [keys_of(repository, commit) for commit in commits] == one_by_one
    assert [len(keys) for keys in one_by_one][:2] == [200, 220]


def test_a_failed_edit_of_many_large_values_answers_briefly(
    world: World,
) -> None:
    one = world.open("one")
    for number in range(30):
        put(one, "w", f"k{number}", "z" * 100_000)
    changes = [
        Change("w", f"k{n}", "require", if_revision="absent") for n in range(30)
    ]
    with pytest.raises(Exception, match="was required") as caught:
        one.edits.edit(one.person("x"), [*changes, Change("w", "n", "put", 1)])
    assert len(str(caught.value)) < 8000
    assert "and 25 more" in str(caught.value)


class Counted:
    """Counts what is read from the object store."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.reads = 0
        read = Objects._raw  # noqa: SLF001  what is counted is what reaches the disk

        def counted(objects: Objects, object_id: str, kind: int) -> bytes:
            self.reads += 1
            return read(objects, object_id, kind)

        patch.setattr(Objects, "_raw", counted)


def test_a_call_after_another_reads_the_difference_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = world.open("one"), world.open("two")
    crowd(one, MANY)
    assert [state_of(one), state_of(two)] == ["ok", "ok"]
    two.sign_on()
    two.summary.context()
    put(one, "s", "k", 1)
    one.sign_on()
    assert [state_of(one), state_of(two)] == ["ok", "ok"]
    counted = Counted(monkeypatch)
    two.summary.context()
    two.sign_on("second")
    assert two.claims.claim("second", ["docs"]).status == "granted"
    two.list_scopes("issue:*")
    assert counted.reads < 200, counted.reads


@pytest.mark.parametrize("parts", [1 << 18, 8])
def test_the_index_holds_what_a_new_one_would(
    world: World, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each of many edits, names, records and scopes are as a new index has them.

    Also where nearly nothing is remembered.
    """
    monkeypatch.setattr("csc_git.store.scopes._MOST_PARTS", parts)
    one = world.open("one")
    chance = Random(4)  # noqa: S311
    for _ in range(60):
        puts: dict[Key, Json] = {}
        for _ in range(chance.randint(1, 12)):
            scope = (
                ("sessions",)
                if chance.random() < 0.5
                else ("a", str(chance.randint(0, 3)))
            )
            puts[Key(scope, f"k{chance.randint(0, 400)}@x")] = chance.random()
        here = one.store.snapshot()
        present = [key for scope in here.scopes() for key in here.keys(scope)]
        gone = tuple(
            chance.sample(present, min(len(present), chance.randint(0, 3)))
        )
        gone = tuple(key for key in gone if key not in puts)
        draft = Draft("x", "t@x", puts, gone)
        one.store.transact(lambda _, draft=draft: draft, clock.now())  # type: ignore[misc]
        warm = one.store.snapshot()
        objects = one.store.repository.objects
        objects.shared, kept = {}, objects.shared
        cold = Snapshot(objects, warm.commit)
        expected = (
            cold.scopes(),
            list(cold.names(("sessions",))),
            cold.records(("sessions",)),
        )
        objects.shared = kept
        assert (
            warm.scopes(), list(warm.names(("sessions",))), warm.records(("sessions",))
        ) == expected  # fmt: skip


def test_waits_that_a_client_gave_up_leave_no_thread(world: World) -> None:
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


async def _wait_and_give_up(client: Client) -> None:
    with anyio.move_on_after(0.5):
        await client.call_tool("wait_for_changes", {"timeout": 600})


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


def test_a_wait_that_was_given_up_consumes_nothing(world: World) -> None:
    one = world.open("one")
    one.sign_on()
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


def test_the_doctor_is_quick_with_many(world: World) -> None:
    one = world.open("one")
    crowd(one, MANY)
    assert state_of(one) == "ok"
    until(lambda: one.store.branch.base is not None)
    began = time.monotonic()
    found = json.loads(
        csc("doctor", "--json", cwd=world.directory / "one").stdout
    )
    assert time.monotonic() - began < 20
    assert found["findings"]


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning"
)  # a hook's process ends with its packs open
def test_a_guard_that_blocks_takes_the_time_it_needs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline of a blocking guard is its own, not that of a warning."""
    allowed = list[float]()
    monkeypatch.setattr(before_edit, "allow", allowed.append)
    one = world.open("one")
    put(one, "s", "k", 1)
    clone = world.directory / "one"
    told = {"tool_input": {"file_path": str(clone / "file.txt")}}
    for setting, seconds in (("block", 10.0), ("warn", 0.28)):
        monkeypatch.setenv("CSC_GUARD", setting)
        before_edit.answer(clone, told)
        assert allowed.pop() == seconds
    gc.collect()  # what the hook left open, while its warning is ignored


def test_the_index_remembers_no_damage(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = world.open("one")
    for number in range(3):
        put(one, "s", f"k{number}", number)
    put(one, "other", "k", 1)
    read = Objects.tree

    def damaged(objects: Objects, tree_id: str) -> Any:
        if tree_id == broken:
            raise StoreDamaged("gone for a moment")
        return read(objects, tree_id)

    broken = git("rev-parse", f"{REF}:data/s", cwd=one.store.repository.path)
    with monkeypatch.context() as patched:
        patched.setattr(Objects, "tree", damaged)
        patched.setattr(Objects, "list_below", unlisted)
        assert one.list_keys("s").keys == []
        assert one.list_scopes().scopes == ["other"]
    assert one.list_keys("s").keys == ["k0", "k1", "k2"]
    assert one.list_scopes().scopes == ["other", "s"]
    put(one, "s", "k9", 1)
    assert one.list_keys("s").keys == ["k0", "k1", "k2", "k9"]
