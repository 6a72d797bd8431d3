"""A clone's identity, its files, and its locks: what people and machines do to them.

Copies get an identity of their own, a repository that was renamed keeps it, and a directory that
was deleted under a running server is reported as such and never made again by halves.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from csc_git.errors import StorageFailed, StoreGone
from csc_git.files.lock import FileLock, excludes
from csc_git.server.host import Host
from csc_git.store.clone_id import Place, identify, recall
from tests.agents import agent, run
from tests.world import ROOT, World, put, state_of

CSC = ".git/csc"


def same(clone: Path, **changes: Any) -> bool:
    """Whether a clone keeps its id where these members of its place were recorded otherwise."""
    directory = clone / CSC
    before = identify(directory, None, "host")
    file = directory / "clone.json"
    found = json.loads(file.read_text())
    file.write_text(json.dumps(found | {"place": found["place"] | changes}))
    return identify(directory, None, "host").id == before.id


@pytest.mark.parametrize(
    ("changes", "keeps"),
    [
        ({}, True),
        ({"inode": 1}, False),
        ({"born": 1}, False),
        ({"born": None}, True),
        ({"layer": "/var/lib/docker/overlay2/x/diff"}, False),
        ({"machine_id": "another"}, False),
        ({"machine_id": ""}, True),
        ({"boot": "another"}, True),  # the machine was restarted
        ({"host": "another"}, True),  # a laptop in another network
        (
            {"boot": "another", "host": "another"},
            False,
        ),  # an image, started twice
        ({"path": "/gone/project/.git/csc"}, True),  # the project was renamed
    ],
)
def test_what_a_clone_is_known_by(
    world: World, changes: dict[str, Any], keeps: bool
) -> None:
    world.open("one").close()
    assert same(world.directory / "one", **changes) is keeps


def test_a_copy_gets_an_id_of_its_own_and_a_renamed_clone_keeps_it(
    world: World,
) -> None:
    first = world.open("one")
    first.close()
    shutil.copytree(world.directory / "one", world.directory / "copy")
    (world.directory / "one").rename(world.directory / "renamed")
    assert world.open("renamed", machine="one").clone.id == first.clone.id
    assert world.open("copy", machine="one").clone.id != first.clone.id


def test_a_snapshot_that_keeps_inodes_and_times_is_told_by_the_path(
    world: World,
) -> None:
    one = world.open("one")
    copy = world.directory / "snapshot"
    shutil.copytree(world.directory / "one", copy)
    file = copy / CSC / "clone.json"
    found = json.loads(file.read_text())
    here = Place.of(copy / CSC)
    file.write_text(
        json.dumps(
            found | {"place": vars(replace(here, path=found["place"]["path"]))}
        )
    )
    assert identify(copy / CSC, None, "one").id != one.clone.id


@pytest.fixture
def overlays(tmp_path: Path) -> Iterator[Any]:
    """Mounts a directory as the image of two containers."""
    mounted: list[Path] = []

    def mount(image: Path) -> list[Path]:
        for name in ("a", "b"):
            parts = {
                part: tmp_path / f"{name}-{part}"
                for part in ("merged", "upper", "work")
            }
            for part in parts.values():
                part.mkdir()
            options = f"lowerdir={image},upperdir={parts['upper']},workdir={parts['work']}"
            command = [
                "mount",
                "-t",
                "overlay",
                "overlay",
                "-o",
                options,
                str(parts["merged"]),
            ]
            if subprocess.run(
                command, capture_output=True, check=False
            ).returncode:
                pytest.skip("overlayfs can't be mounted here")
            mounted.append(parts["merged"])
        return mounted

    yield mount
    for path in mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_two_containers_of_one_image_are_two_clones(
    world: World, overlays: Any
) -> None:
    image = world.open("image")
    put(image, "s", "k", 1)
    assert state_of(image) == "ok"
    image.close()
    (world.directory / "image").rename(
        world.directory / "base"
    )  # as an image has no other name
    first, second = overlays(world.directory / "base")
    one, two = world.open(first, machine=None), world.open(second, machine=None)
    assert len({image.clone.id, one.clone.id, two.clone.id}) == 3
    name = one.sign_on().session
    assert one.claims.claim(None, ["src/a.py"]).status == "granted"
    assert state_of(two) == "ok"
    assert two.sign_on().session != name
    assert two.claims.claim(None, ["src/a.py"]).status != "granted"


def test_deleting_lock_files_frees_nobody(world: World) -> None:
    one = world.open("one")
    name = one.sign_on().session
    one.claims.claim(None, ["src/a.py"])
    command = ["find", ".git", "-name", "*.lock", "-delete"]
    subprocess.run(command, cwd=world.directory / "one", check=True)
    two = world.open("one")
    signed_on = two.sign_on()
    assert signed_on.session != name
    assert [other.session for other in signed_on.others] == [name]
    assert two.claims.claim(None, ["src/a.py"]).status != "granted"
    assert put(one, "s", "k", 1)


def test_a_lock_on_a_deleted_file_is_none(tmp_path: Path) -> None:
    """Who waited for the deleted file must not go on beside who holds the new one."""
    path = tmp_path / "lock"
    first = FileLock(path)
    first.acquire()
    waiter = subprocess.Popen(
        [sys.executable, "-c", (
            "import sys; from pathlib import Path; from csc_git.files.lock import FileLock\n"
            "lock = FileLock(Path(sys.argv[1])); print('waits', flush=True); lock.acquire()\n"
            "print('has it', flush=True)"
        ), str(path)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    with waiter:
        assert waiter.stdout is not None
        assert waiter.stdout.readline() == "waits\n"
        while not _waits(waiter.pid):
            pass
        path.unlink()
        second = FileLock(path)
        assert second.try_acquire()
        first.release()
        with pytest.raises(subprocess.TimeoutExpired):
            waiter.wait(0.3)
        second.release()
        assert waiter.stdout.readline() == "has it\n"
    assert waiter.returncode == 0


def _waits(pid: int) -> bool:
    """Whether a process waits for a lock, by the kernel's list of them."""
    return any(f" {pid} " in line for line in Path("/proc/locks").read_text().splitlines()
               if "->" in line)  # fmt: skip


def test_a_store_that_was_deleted_is_reported_and_made_again(
    world: World,
) -> None:
    clone = world.clone("one")
    host = Host(clone, {"machine": "one"})
    one = host.get()
    one.sign_on()
    put(one, "s", "k", "confirmed")
    assert one.sync().state == "ok"
    shutil.rmtree(clone / CSC)
    with pytest.raises(StoreGone, match="was deleted or moved"):
        host.get()
    assert not (clone / CSC).exists()
    again = host.get()
    assert again.sync().state == "ok"
    assert again.retrieve("s", "k").value == "confirmed"
    assert put(again, "s", "k", "new")
    host.close()
    world.open("one").close()  # every later start works too


def test_no_operation_makes_a_deleted_store_again_by_halves(
    world: World,
) -> None:
    one = world.open("one")
    one.sign_on()
    put(one, "s", "k", 1)
    assert one.sync().state == "ok"
    shutil.rmtree(world.directory / "one" / CSC)
    attempts: list[Callable[[], object]] = [
        lambda: put(one, "s", "k", 2),
        lambda: put(one, "s", "k", 3, confirm=True),
        lambda: one.retrieve("s", "k"),
        lambda: one.retrieve("s", "k", fresh=True),
        lambda: one.claims.claim(None, ["a"]),
        one.sign_off,
        one.sync,
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
    assert two.sync().state == "ok"
    assert two.retrieve("s", "k").value == 1


def test_a_store_made_again_by_another_process_is_not_taken_for_the_old_one(
    world: World,
) -> None:
    one = world.open("one")
    put(one, "s", "k", 1)
    shutil.rmtree(world.directory / "one" / CSC)
    other = world.open("one")
    put(other, "s", "other", 1)
    with pytest.raises(StoreGone):
        put(one, "s", "k", 2)
    assert other.list_keys("s").keys == ["other"]


def test_a_renamed_repository_is_found_again_by_its_server(
    world: World,
) -> None:
    """A server started in the project's directory follows it; what it had stored goes along."""
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


def test_a_store_that_was_left_half_made_is_made_whole(world: World) -> None:
    (world.clone("one") / CSC / "state.git" / "refs" / "heads").mkdir(
        parents=True
    )
    one = world.open("one")
    assert put(one, "s", "k", 1)


def _csc_with_flock(
    answer: str, clone: Path, *command: str
) -> "subprocess.CompletedProcess[str]":
    """Run csc-git with every flock answered so by the kernel's tracer."""
    trace = [
        "strace",
        "-f",
        "-qq",
        "-o",
        os.devnull,
        "-e",
        f"inject=flock:{answer}",
    ]
    return subprocess.run(
        [*trace, sys.executable, "-P", "-m", "csc_git", *command],
        cwd=clone, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_locks_that_exclude_nobody_are_refused(world: World) -> None:
    clone = world.clone("one")
    done = _csc_with_flock("retval=0", clone, "set", "s", "k", "1")
    assert done.returncode == 1
    assert "do not exclude other processes" in done.stderr
    assert "local disk" in done.stderr
    assert recall(clone / CSC) is None
    assert excludes(clone / CSC / "locks" / "probe")


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_file_system_without_locks_is_named(world: World) -> None:
    clone = world.clone("one")
    for error, words in (
        ("ENOSYS", "Function not implemented"),
        ("ENOLCK", "No locks available"),
    ):
        done = _csc_with_flock(f"error={error}", clone, "set", "s", "k", "1")
        assert done.returncode == 1
        assert f"does not lock files ({words})" in done.stderr, done.stderr
