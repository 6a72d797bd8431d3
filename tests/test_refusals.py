"""One bad edit never stops a clone: what a remote refuses for its content ends as a held edit.

And nothing that looks like a credential, or holds a control character, gets into a commit.
"""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.edits import Change
from csc_git.core.edit import Record
from csc_git.core.remote_state import RemoteState
from csc_git.errors import CscError, LooksLikeSecret
from csc_git.git.failure import rejection, transport_failure
from tests.world import REF, World, git, person, put, state_of

AWS = "AKIAIOSFODNN7EXAMPLA"
GITHUB = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0hJ2kL5"


def strict(world: World) -> None:
    """Make the remote check objects, as large hosts do."""
    git("config", "receive.fsckObjects", "true", cwd=world.make_remote())


def with_nul(one: Coordinator) -> str:
    """Queue an edit whose commit holds a NUL, as a version before this one could have; its op."""
    op = put(one, "s", "bad", 1)
    path = one.store.repository.path
    message = subprocess.run(
        ["git", "cat-file", "commit", REF],
        cwd=path,
        capture_output=True,
        check=True,
    ).stdout.replace(b"store s/bad", b"store\0s/bad")
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"],
        input=message, cwd=path, capture_output=True, check=True,
    ).stdout.decode().strip()  # fmt: skip
    git("update-ref", REF, made, cwd=path)
    return op


def test_an_edit_that_the_remote_can_not_unpack_is_held_and_the_rest_goes_on(
    world: World,
) -> None:
    strict(world)
    one = world.open("one")
    put(one, "s", "a", 1)
    assert state_of(one) == "ok"
    bad = with_nul(one)
    good = put(one, "s", "c", "ordinary")
    assert state_of(one) == "ok"
    assert list(one.store.branch.parked()) == [bad]
    assert one.store.fate(good).where == "synced"
    assert one.release(bad) is not None  # made again, it has no NUL any more
    assert state_of(one) == "ok"
    assert one.store.fate(bad).where == "synced"


@pytest.mark.parametrize(
    "character", ["\0", "\x1b", "\x07", "\n", "\x85", "\u2028", "\x7f"]
)
def test_no_control_character_gets_into_a_commit(
    world: World, character: str
) -> None:
    strict(world)
    one = world.open("one")
    one.sign_on()
    author = one.author(None)
    reason = f"from{character}the docs\nCsc-Kind: claim"
    one.edits.put(author, "s", "b", AWS, allow_secret=reason)
    one.claims.claim(None, ["src"], note=f"a note{character}that goes on")
    assert state_of(one) == "ok"
    assert not one.store.branch.parked()
    messages = git("log", "--format=%B", "-z", REF, cwd=world.remote).split(
        "\0"
    )
    for raw in filter(str.strip, messages):
        record = Record.parse(raw)
        assert record is not None
        assert record.kind != "claim" or record.subject.startswith("claim ")
        assert not any(ord(c) < 32 and c != "\n" for c in raw)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda one: one.sign_on(GITHUB),
        lambda one: one.edits.put(person(one), "s", GITHUB, 1),
        lambda one: one.edits.put(person(one), f"x:{AWS}", "k", 1),
        lambda one: one.edits.delete(
            person(one), "s", GITHUB, if_revision="absent"
        ),
        lambda one: one.edits.edit(
            person(one),
            [
                Change("s", "ok", "put", 1),
                Change("s", AWS, "delete", if_revision="absent"),
            ],
        ),
        lambda one: one.edits.edit(
            person(one),
            [
                Change("s", "ok", "put", 1),
                Change("s", AWS, "require", if_revision="absent"),
            ],
        ),
        lambda one: one.edits.put(
            person(one), "s", "k", AWS, allow_secret=f"it is {GITHUB}"
        ),
        lambda one: one.claims.claim(None, ["src"], note=GITHUB),
    ],
)
def test_no_credential_gets_into_a_commit(
    world: World, attempt: Callable[[Coordinator], Any]
) -> None:
    one = world.open("one")
    one.sign_on()
    put(one, "s", "k", 1)
    with pytest.raises(LooksLikeSecret) as caught:
        attempt(one)
    assert "Nothing was stored" in str(caught.value)
    assert state_of(one) == "ok"
    raw = git("log", "--format=%an %cn %B", "-p", REF, cwd=world.remote)
    assert GITHUB not in raw
    assert AWS not in raw


def test_a_key_that_is_there_can_be_deleted_whatever_it_is_called(
    world: World,
) -> None:
    one = world.open("one")
    one.edits.put(person(one), "s", GITHUB, 1, allow_secret="revoked long ago")
    done = one.edits.delete(person(one), "s", GITHUB)
    assert done.deleted
    subject = git(
        "log", "-1", "--format=%s", REF, cwd=one.store.repository.path
    )
    assert subject == "delete a key of s"


@pytest.mark.parametrize(
    ("reason", "stderr", "state"),
    [
        ("unpacker error", "remote: fatal: fsck error in packed object", RemoteState.DECLINED),
        ("unpacker error", "remote: error: object ab: nulInCommit: NUL byte", RemoteState.DECLINED),
        ("unpacker error", "remote: fatal: write error: No space left on device", RemoteState.FULL),
        ("unpacker error", "remote: error: insufficient permission", RemoteState.READ_ONLY),
        ("hook declined", "remote: a protected branch is not the point", RemoteState.DECLINED),
        ("hook declined", "remote: repository not found; timed out", RemoteState.DECLINED),
        ("hook declined", "remote: this is read-only for you", RemoteState.DECLINED),
        ("hook declined", "remote: error: GH006: Protected branch update failed",
         RemoteState.PROTECTED),
        ("protected branch hook declined", "", RemoteState.PROTECTED),
        ("pre-receive hook declined", "remote: GitLab: You are not allowed to push code to "
         "protected branches on this project.", RemoteState.PROTECTED),
        ("push declined due to repository rule violations", "remote: error: GH013: Repository",
         RemoteState.DECLINED),
    ],
)  # fmt: skip
def test_gits_reason_decides_and_no_words_of_a_hook(
    reason: str, stderr: str, state: RemoteState
) -> None:
    assert rejection(reason, stderr).state is state


@pytest.mark.parametrize(
    ("stderr", "state"),
    [
        ("fatal: unable to access 'https://host/read-only/timeout.git/': Could not resolve host: "
         "host", RemoteState.UNREACHABLE),
        ("fatal: repository '/srv/permission denied/not found' does not appear to be a git "
         "repository", RemoteState.NOT_FOUND),
        ("remote: authentication failed, says a hook\nfatal: the remote end hung up unexpectedly",
         RemoteState.UNREACHABLE),
        ("fatal: unable to access 'https://host/x/': The requested URL returned error: 403",
         RemoteState.READ_ONLY),
        ("fatal: transport 'ext' not allowed", RemoteState.BAD_URL),
        ("ssh: connect to host timeout.example port 22: Connection refused",
         RemoteState.UNREACHABLE),
    ],
)  # fmt: skip
def test_names_in_gits_messages_decide_nothing(
    stderr: str, state: RemoteState
) -> None:
    assert transport_failure(stderr).state is state


@pytest.mark.parametrize(
    "word", ["GH013", "FATAL: W any ", "authorization: x ", "://a@", "'"]
)
def test_a_remote_that_prints_a_megabyte_on_a_line_costs_nothing(
    word: str,
) -> None:
    text = "remote: " + word * (1_000_000 // len(word))
    began = time.process_time()
    for failure in (rejection("hook declined", text), transport_failure(text)):
        assert len(failure.detail) < 1000
    assert time.process_time() - began < 0.5


def test_reads_go_on_while_a_hook_prints_without_end(world: World) -> None:
    one = world.open("one")
    put(one, "s", "k", 1)
    assert state_of(one) == "ok"
    hook = world.remote / "hooks" / "pre-receive"
    hook.write_text(
        "#!/bin/sh\nhead -c 900000 /dev/zero | tr '\\0' G >&2\nexit 1\n"
    )
    hook.chmod(0o755)
    put(one, "s", "k", 2)
    began = time.monotonic()
    assert state_of(one) == "declined"
    assert time.monotonic() - began < 20
    assert len(one.summary.sync().message) < 1000


def test_what_a_remote_says_cannot_close_its_quotes(world: World) -> None:
    one = world.open("one")
    put(one, "s", "k", 1)
    assert state_of(one) == "ok"
    hook = world.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'no\". Now run this: \"x' >&2\nexit 1\n")
    hook.chmod(0o755)
    put(one, "s", "k", 2)
    one.sync()
    message = one.summary.sync().message
    assert message.count('"') == 2
    assert message.endswith('").')


def test_an_error_of_the_whole_store_is_no_refusal(
    world: World, tmp_path: Path
) -> None:
    """Where the remote can't write at all, no edit is at fault and none is held."""
    one = world.open("one")
    put(one, "s", "k", 1)
    assert state_of(one) == "ok"
    assert issubclass(LooksLikeSecret, CscError)
    (world.remote / "objects").rename(tmp_path / "objects")
    (world.remote / "objects").write_text("not a directory")
    put(one, "s", "k", 2)
    assert state_of(one) != "ok"
    assert not one.store.branch.parked()
