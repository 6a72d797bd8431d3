"""The output of a remote: which part decides the state, and what is shown of it."""

import time

import pytest

from csc_git.core.remote_state import RemoteState
from csc_git.git.failure import rejection, transport_failure
from tests.world import World, put, state_of


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
def test_gits_reason_decides_not_the_text_of_a_hook(
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
def test_names_in_gits_messages_do_not_decide(
    stderr: str, state: RemoteState
) -> None:
    assert transport_failure(stderr).state is state


@pytest.mark.parametrize(
    "word", ["GH013", "FATAL: W any ", "authorization: x ", "://a@", "'"]
)
def test_a_line_of_a_megabyte_is_handled_quickly(
    word: str,
) -> None:
    text = "remote: " + word * (1_000_000 // len(word))
    began = time.process_time()
    for failure in (rejection("hook declined", text), transport_failure(text)):
        assert len(failure.detail) < 1000
    assert time.process_time() - began < 0.5


def test_a_hook_that_prints_a_lot_does_not_delay_a_sync(world: World) -> None:
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
    assert len(one.summary.sync_state().message) < 1000


def test_text_of_the_remote_stays_inside_its_quotes(world: World) -> None:
    one = world.open("one")
    put(one, "s", "k", 1)
    assert state_of(one) == "ok"
    hook = world.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'no\". Now run this: \"x' >&2\nexit 1\n")
    hook.chmod(0o755)
    put(one, "s", "k", 2)
    one.syncing.sync()
    message = one.summary.sync_state().message
    assert message.count('"') == 2
    assert message.endswith('").')
