"""Real Claude Code, set up by `init --hooks`: its hooks run, its server is ours, two coordinate.

Only the model is stood in for (tests/stand_in.py): what it says is the test's, what it hears is
Claude Code's own doing.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from csc_git.coordinator.coordinator import Coordinator
from csc_git.core.lease import lease_key
from tests.stand_in import Call, Model, model
from tests.test_cli import csc
from tests.world import World, git, put, state_of

pytestmark = pytest.mark.skipif(
    not shutil.which("claude"), reason="needs Claude Code"
)

_SECONDS = 120


@pytest.fixture
def laptop(world: World) -> Path:
    return _set_up(world, "laptop")


def _set_up(world: World, name: str) -> Path:
    clone = world.clone(name)
    git("config", "csc.machine", name, cwd=clone)
    csc("init", "--hooks", cwd=clone)
    return clone


@contextmanager
def claude(
    clone: Path, one: Model, said: str = "go on"
) -> Iterator["subprocess.Popen[str]"]:
    """A run of Claude Code with this model, that may edit and call our tools."""
    home = clone.parent / f"home of {clone.name}"
    home.mkdir(exist_ok=True)
    shutil.copy(Path.home() / ".gitconfig", home)
    environment = {
        "HOME": str(home),
        "ANTHROPIC_BASE_URL": one.url,
        "ANTHROPIC_API_KEY": "sk-stand-in",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        # Or the model is asked before our tools are there: at once, or after 5 s.
        "MCP_CONNECTION_NONBLOCKING": "0",
        "MCP_CONNECT_TIMEOUT_MS": f"{_SECONDS}000",
        "CSC_HOOK_SECONDS": "20",
    }
    with subprocess.Popen(
        ["claude", "-p", said, "--permission-mode", "acceptEdits", "--mcp-config", ".mcp.json",
         "--allowedTools", "Write,Edit,mcp__csc-git", "--output-format", "stream-json",
         "--verbose"],
        cwd=clone, env=os.environ | environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def run(clone: Path, one: Model) -> str:
    """Run it to its end; what it printed."""
    with claude(clone, one) as process:
        printed, _ = process.communicate(timeout=_SECONDS)
        assert process.returncode == 0, printed
    return printed


def _tool(name: str, **arguments: object) -> Call:
    return Call(f"mcp__csc-git__{name}", arguments)


def _until_signed_off(other: Coordinator, session: str) -> None:
    """The last hook goes on in a process of its own; until the remote has what it did."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        assert state_of(other) == "ok"
        stored = other.store.snapshot().get(lease_key(session))
        if stored is not None and stored.entry.value["state"] == "signed_off":
            return
    pytest.fail(f"{session} was never signed off")


def test_its_session_is_told_works_and_is_signed_off(
    world: World, laptop: Path
) -> None:
    other = world.open("other")
    other.sign_on("builder")
    other.claims.claim(None, ["src"], note="the parser")
    put(other, "plan", "next", "release")
    assert state_of(other) == "ok"
    csc("sync", cwd=laptop)
    file = laptop / "src" / "x.py"
    with model(
        _tool("sign_on", session_id="claude_1"),
        _tool("retrieve_data", scope="plan", key="next"),
        Call("Write", {"file_path": str(file), "content": "x = 1\n"}),
        _tool(
            "store_data", scope="plan", key="next", value="tests", confirm=True
        ),
    ) as one:
        run(laptop, one)
        results = one.results()
    assert 'call its tool sign_on with session_id \\"claude_1\\"' in one.text()
    assert "Signed on elsewhere: builder@other" in one.text()
    assert "claude_1@laptop" in results[0]
    assert "release" in results[1]
    assert (
        "src/x.py is claimed by builder@other" in one.text()
    )  # a warning: it is written
    assert file.read_text(encoding="utf-8") == "x = 1\n"
    _until_signed_off(other, "claude_1@laptop")
    assert other.retrieve("plan", "next").value == "tests"


def test_two_coordinate(world: World, laptop: Path) -> None:
    """The first claims; the second is refused, and blocked; the first ends, the second goes on."""
    desktop = _set_up(world, "desktop")
    git("config", "csc.guard", "block", cwd=desktop)
    claimed, refused, ended = Event(), Event(), Event()
    file = desktop / "src" / "x.py"
    write = Call("Write", {"file_path": str(file), "content": "x = 1\n"})
    with (
        model(
            _tool("sign_on"),
            _tool("claim", resources=["src"], note="the parser"),
            _then(
                _tool("store_data", scope="plan", key="parser", value="done"),
                claimed,
                refused,
            ),
        ) as first,
        model(
            _then(_tool("sign_on"), None, claimed),
            _tool("claim", resources=["src/x.py"]),
            write,
            _then(
                _tool("retrieve_data", scope="plan", key="parser", fresh=True),
                refused,
                ended,
            ),
            _tool("claim", resources=["src/x.py"]),
            write,
        ) as second,
        claude(laptop, first) as one,
        claude(desktop, second) as two,
    ):
        printed = one.communicate(timeout=_SECONDS)[0]
        _until_signed_off(world.open("other"), "claude_1@laptop")
        ended.set()
        printed += two.communicate(timeout=_SECONDS)[0]
    assert (one.returncode, two.returncode) == (0, 0), printed
    _, claim, blocked, plan, again, written = second.results()
    assert "claude_1@laptop" in claim, second.results()
    assert "src/x.py is claimed by claude_1@laptop" in blocked
    assert "done" in plan
    assert "claude_1@laptop" not in again
    assert "src/x.py is claimed" not in written
    assert file.exists()


def _then(call: Call, tell: Event | None, wait: Event) -> Call:
    """A call that is made when the others are so far, and tells them that it is."""

    def before() -> None:
        if tell is not None:
            tell.set()
        assert wait.wait(_SECONDS)

    return Call(call.tool, call.arguments, before)
