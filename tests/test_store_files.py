"""The store's own files in a clone: damaged, misplaced, deleted, unreadable.

What is wrong is reported where it matters. Everything else goes on.
"""

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from csc_git.cli.main import main
from csc_git.coordinator.coordinator import Coordinator
from csc_git.core.lease import lease_key
from csc_git.errors import (
    StorageFailed,
    StoreDamaged,
    StoreGone,
    UnreadableValue,
)
from csc_git.server.host import Host
from tests.agents import agent, run
from tests.by_hand import break_on_disk, push_tree, tree_with_data_a
from tests.commands import csc_here
from tests.world import CSC, World, git, person, put, state_of


@pytest.fixture
def damaged(world: World) -> Coordinator:
    """A clone whose value of a/k is damaged on its disk."""
    first = world.open("one")
    first.authors.sign_on("builder")
    put(first, "a", "k", {"x": "x" * 50})
    put(first, "a", "sound", 1)
    assert state_of(first) == "ok"
    break_on_disk(first.store.repository.path, "data/a/k.json")
    first.close()
    return world.open("one")


def test_reading_a_damaged_value_is_an_error(damaged: Coordinator) -> None:
    with pytest.raises(StoreDamaged, match="can't be read"):
        damaged.values.retrieve("a", "k")
    damaged.close()  # nothing keeps the pack open


def test_everything_but_the_damaged_value_works(
    world: World, damaged: Coordinator
) -> None:
    assert damaged.values.retrieve("a", "sound").value == 1
    assert damaged.values.list_keys("a").keys == ["k", "sound"]
    assert damaged.summary.status().keys >= 2
    assert damaged.summary.context().conflicts == []
    assert damaged.authors.sign_on("other").session == "other@one"
    put(damaged, "a", "new", 1)
    assert state_of(damaged) == "ok"
    assert world.open("two").values.retrieve("a", "k", fresh=True).value == {
        "x": "x" * 50
    }


def test_a_damaged_value_can_be_overwritten(damaged: Coordinator) -> None:
    put(damaged, "a", "k", 2)
    assert damaged.values.retrieve("a", "k").value == 2


def test_a_sync_that_needs_a_damaged_object_keeps_the_queue(
    world: World, damaged: Coordinator
) -> None:
    """git packs a new value as a delta to the old one, and a merge needs the old one too.

    Neither the push nor the merge succeeds, and no edit is lost.
    """
    put(damaged, "a", "k", 2)
    assert _sync_fails_locally(damaged)
    two = world.open("two")
    assert state_of(two) == "ok"
    put(two, "a", "k", {"x": "x" * 50, "y": 1})
    assert state_of(two) == "ok"
    assert _sync_fails_locally(damaged)
    assert two.values.retrieve("a", "k", fresh=True).value == {
        "x": "x" * 50,
        "y": 1,
    }


def test_a_damaged_value_is_not_merged_as_absent(
    world: World, damaged: Coordinator
) -> None:
    """Else another clone's deletion of it would be undone silently."""
    two = world.open("two")
    assert state_of(two) == "ok"
    two.edits.delete(person(two), "a", "k")
    assert state_of(two) == "ok"
    put(damaged, "a", "k", 2)
    status = damaged.syncing.sync()
    assert status.state == "failed"
    assert "can't be read" in status.detail
    assert _is_queued(damaged)


def _sync_fails_locally(damaged: Coordinator) -> bool:
    status = damaged.syncing.sync()
    assert status.state == "local-storage", status
    assert "corrupt" in status.detail
    assert "csc-git doctor" in status.describe()[1]
    return _is_queued(damaged)


def _is_queued(damaged: Coordinator) -> bool:
    return any(
        edit.message.startswith("store a/k")
        for edit in damaged.store.branch.queue()
    )


@pytest.mark.parametrize("name", ["builder", None])
def test_a_damaged_session_record_blocks_no_sign_on(
    world: World, name: str | None
) -> None:
    first = world.open("one")
    first.authors.sign_on("builder")
    assert state_of(first) == "ok"
    path = b"/".join(lease_key("builder@one").path).decode()
    break_on_disk(first.store.repository.path, f"data/{path}")
    first.close()
    one = world.open("one")
    assert one.authors.sign_on(name).session == f"{name or 'claude_1'}@one"
    put(one, "a", "k", 1)
    assert one.values.retrieve("a", "k").value == 1
    assert {each.session for each in one.summary.context().active} == {
        one.sessions.here[0]
    }


def test_a_directory_in_place_of_a_value_is_no_damage(world: World) -> None:
    """A tree in place of a value was pushed like that. A new store would have it too."""
    one = world.open("one")
    put(one, "a", "good", 1)
    assert state_of(one) == "ok"
    tree = git("hash-object", "-t", "tree", "-w", "/dev/null", cwd=world.remote)
    push_tree(
        world, tree_with_data_a(world, b"100644 k.json\0" + bytes.fromhex(tree))
    )
    assert state_of(one) == "ok"
    with pytest.raises(UnreadableValue):
        one.values.retrieve("a", "k")
    assert any("a/k.json" in line for line in one.summary.status().foreign)


def test_a_file_in_place_of_our_directory_is_reported(clone_cwd: Path) -> None:
    (clone_cwd / ".git" / "csc").write_text("x")
    assert "The disk refused" in csc_here("set", "a", "b", "1", code=1)

    async def scenario() -> None:
        async with agent(clone_cwd) as claude:
            assert "The disk refused" in await claude.refused("sign_on")
            assert "The disk refused" in await claude.prompt("startup")
            with pytest.raises(Exception, match="The disk refused"):
                await claude.read("session://context")

    run(scenario)


@pytest.mark.parametrize(
    "name", ["clone.json", "locks/write", "locks/sync", "sync.json"]
)
def test_a_directory_in_place_of_our_file_gives_a_clear_result(
    clone_cwd: Path, name: str
) -> None:
    csc_here("set", "a", "b", "1")
    (clone_cwd / ".git" / "csc" / name).unlink()
    (clone_cwd / ".git" / "csc" / name).mkdir()
    done = CliRunner().invoke(main, ["set", "a", "b", "2"])
    assert isinstance(done.exception, SystemExit) or done.exception is None
    if (
        done.exit_code == 0
    ):  # stored, perhaps with a warning about the directory
        assert "synced" in done.output or "The local disk failed" in done.output
        shown = csc_here("get", "a", "b", "--json")
        assert (
            json.loads(shown[shown.index("{") :])["value"] == 2
        )  # beside a warning
    else:
        assert "The disk refused" in done.output


def test_a_fault_of_our_disk_is_not_blamed_on_the_remote(world: World) -> None:
    one = world.open("one")
    put(one, "a", "b", 1)
    (one.store.repository.path / "refs" / "csc").mkdir(exist_ok=True)
    (one.store.repository.path / "refs" / "csc" / "fetch").write_text(
        "in the way"
    )
    put(world.open("two"), "a", "c", 1, confirm=True)
    assert state_of(one) == "local-storage"
    assert "local disk" in one.store.sync_status.describe()[0]


def test_a_store_without_head_can_be_moved_aside(clone_cwd: Path) -> None:
    csc_here("set", "a", "b", "1")
    state = clone_cwd / ".git" / "csc" / "state.git"
    (state / "HEAD").unlink()
    refused = csc_here("get", "a", "b", code=1)
    assert "not a Git repository any more" in refused
    assert "to another place and keep it" in refused
    state.rename(clone_cwd / "kept")
    assert csc_here("get", "a", "b", "--fresh").strip() == "1"


def test_an_unreadable_ref_is_an_error_not_an_empty_store(world: World) -> None:
    """Without file descriptors a store is not empty, and a parked edit is not gone."""
    one = world.open("one")
    put(one, "a", "k", 1)
    assert one.syncing.sync().state == "ok"
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        for read in (
            lambda: one.values.retrieve("a", "k"),
            lambda: one.values.list_keys("a"),
            one.store.branch.parked,
            lambda: put(one, "a", "k", 2),
            one.syncing.sync,
        ):
            with pytest.raises((OSError, StorageFailed)):
                read()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert one.store.sync_status.state == "local-storage"
    assert one.values.retrieve("a", "k").value == 1
    assert one.syncing.sync().state == "ok"


def test_a_deleted_store_is_reported_and_made_again(
    world: World,
) -> None:
    clone = world.clone("one")
    host = Host(clone, {"machine": "one"})
    one = host.get()
    one.authors.sign_on()
    put(one, "s", "k", "confirmed")
    assert one.syncing.sync().state == "ok"
    # at once, since the server goes on writing into the directory
    deleted = (clone / CSC).rename(world.directory / "deleted")
    shutil.rmtree(deleted)
    with pytest.raises(StoreGone, match="was deleted or moved"):
        host.get()
    assert not (clone / CSC).exists()
    again = host.get()
    assert again.syncing.sync().state == "ok"
    assert again.values.retrieve("s", "k").value == "confirmed"
    assert put(again, "s", "k", "new")
    host.close()
    world.open("one").close()  # every later start works too


def test_no_operation_recreates_a_deleted_store(
    world: World,
) -> None:
    one = world.open("one")
    one.authors.sign_on()
    put(one, "s", "k", 1)
    assert one.syncing.sync().state == "ok"
    shutil.rmtree(world.directory / "one" / CSC)
    attempts: list[Callable[[], object]] = [
        lambda: put(one, "s", "k", 2),
        lambda: put(one, "s", "k", 3, confirm=True),
        lambda: one.values.retrieve("s", "k"),
        lambda: one.values.retrieve("s", "k", fresh=True),
        lambda: one.claims.claim(None, ["a"]),
        one.authors.sign_off,
        one.syncing.sync,
        lambda: one.feed.wait(timeout=0),
        one.summary.context,
    ]
    for attempt in attempts:
        with pytest.raises((StoreGone, StorageFailed)) as caught:
            attempt()
        assert "deleted or moved" in str(caught.value)
    one.close()
    assert not (world.directory / "one" / CSC).exists()
    two = world.open("one")
    assert two.syncing.sync().state == "ok"
    assert two.values.retrieve("s", "k").value == 1


def test_a_store_recreated_by_another_process_is_noticed(
    world: World,
) -> None:
    one = world.open("one")
    put(one, "s", "k", 1)
    shutil.rmtree(world.directory / "one" / CSC)
    other = world.open("one")
    put(other, "s", "other", 1)
    with pytest.raises(StoreGone):
        put(one, "s", "k", 2)
    assert other.values.list_keys("s").keys == ["other"]


def test_a_server_follows_its_renamed_repository(
    world: World,
) -> None:
    """A server that was started in the project's directory follows it with its edits."""
    clone = world.clone("one")

    async def main() -> None:
        async with agent(clone, "--machine", "one") as client:
            await client.call("sign_on")
            await client.call(
                "store_data", scope="s", key="k", value="not lost"
            )
            clone.rename(world.directory / "renamed")
            assert "was deleted or moved" in await client.refused(
                "retrieve_data", scope="s", key="k"
            )
            assert (await client.call("sign_on"))["session"] == "claude_1@one"
            found = await client.call("retrieve_data", scope="s", key="k")
            assert found["value"] == "not lost"

    run(main)
    assert not clone.exists()


def test_a_half_made_store_is_completed(world: World) -> None:
    (world.clone("one") / CSC / "state.git" / "refs" / "heads").mkdir(
        parents=True
    )
    one = world.open("one")
    assert put(one, "s", "k", 1)
