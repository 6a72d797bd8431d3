"""File locks: they exclude other processes, and no lock outlives its process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from csc_git.files.lock import FileLock, excludes
from csc_git.store.clone_id import recall
from csc_git.store.transaction import README
from tests.world import CSC, ROOT, World, put


def test_deleting_lock_files_frees_no_session(world: World) -> None:
    one = world.open("one")
    name = one.authors.sign_on().session
    one.claims.claim(None, ["src/a.py"])
    command = ["find", ".git", "-name", "*.lock", "-delete"]
    subprocess.run(command, cwd=world.directory / "one", check=True)
    two = world.open("one")
    signed_on = two.authors.sign_on()
    assert signed_on.session != name
    assert [other.session for other in signed_on.others] == [name]
    assert two.claims.claim(None, ["src/a.py"]).status != "granted"
    assert put(one, "s", "k", 1)


def _waits_for_lock(pid: int) -> bool:
    """Whether a process waits for a lock, by the kernel's list of them."""
    return any(f" {pid} " in line for line in Path("/proc/locks").read_text().splitlines()
               if "->" in line)  # fmt: skip


def test_a_lock_on_a_deleted_file_is_not_acquired(tmp_path: Path) -> None:
    """A process that waited for the deleted file must not run beside one with the new lock."""
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
        while not _waits_for_lock(waiter.pid):
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


def _csc_with_flock(
    answer: str, clone: Path, *command: str
) -> "subprocess.CompletedProcess[str]":
    """Run csc-git under strace, which gives this answer to each flock."""
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
def test_a_file_system_whose_locks_do_nothing_is_refused(world: World) -> None:
    clone = world.clone("one")
    done = _csc_with_flock("retval=0", clone, "set", "s", "k", "1")
    assert done.returncode == 1
    assert "do not exclude other processes" in done.stderr
    assert "local disk" in done.stderr
    assert recall(clone / CSC) is None
    assert excludes(clone / CSC / "locks" / "probe")


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_a_file_system_without_locks_is_reported(world: World) -> None:
    clone = world.clone("one")
    for error, words in (
        ("ENOSYS", "Function not implemented"),
        ("ENOLCK", "No locks available"),
    ):
        done = _csc_with_flock(f"error={error}", clone, "set", "s", "k", "1")
        assert done.returncode == 1
        assert f"does not lock files ({words})" in done.stderr, done.stderr


def test_lock_files_of_dead_writers_block_no_edit(world: World) -> None:
    one = world.open("one", sync=False)
    readme = subprocess.run(
        ["git", "hash-object", "--stdin"],
        input=README,
        capture_output=True,
        check=True,
    ).stdout.decode()
    stale = (
        one.store.repository.path
        / "objects"
        / readme[:2]
        / f"{readme[2:].strip()}.lock"
    )
    stale.parent.mkdir()
    stale.touch()
    put(one, "a", "b", 1)
    (one.store.repository.path / "refs/heads/csc/state.lock").touch()
    put(one, "a", "c", 1)
    assert one.values.list_keys("a").keys == ["b", "c"]
