"""Real Claude Code, set up by `init --hooks`: its hooks run, it starts our server, two coordinate.

Only the model is replaced (tests/scripted_model.py). Its answers come from the test, and what it
receives comes from Claude Code itself.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from tests.commands import csc
from tests.scripted_model import Call, ScriptedModel, scripted_model
from tests.world import World, git, put, state_of, until_signed_off

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
    clone: Path, one: ScriptedModel, prompt: str = "go on"
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
        # Else the model is asked before our tools are connected.
        "MCP_CONNECTION_NONBLOCKING": "0",
        "MCP_CONNECT_TIMEOUT_MS": f"{_SECONDS}000",
        "CSC_HOOK_SECONDS": "20",
    }
    with subprocess.Popen(
        ["claude", "-p", prompt, "--permission-mode", "acceptEdits", "--mcp-config", ".mcp.json",
         "--allowedTools", "Write,Edit,mcp__csc-git", "--output-format", "stream-json",
         "--verbose"],
        cwd=clone, env=os.environ | environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def run_claude(clone: Path, one: ScriptedModel) -> str:
    """Run it to its end; what it printed."""
    with claude(clone, one) as process:
        printed, _ = process.communicate(timeout=_SECONDS)
        assert process.returncode == 0, printed
    return printed


def _our_tool(name: str, **arguments: object) -> Call:
    return Call(f"mcp__csc-git__{name}", arguments)


def test_a_session_is_informed_works_and_is_signed_off(
    world: World, laptop: Path
) -> None:
    other = world.open("other")
    other.authors.sign_on("builder")
    other.claims.claim(None, ["src"], note="the parser")
    put(other, "plan", "next", "release")
    assert state_of(other) == "ok"
    csc("sync", cwd=laptop)
    file = laptop / "src" / "x.py"
    with scripted_model(
        _our_tool("sign_on", session_id="claude_1"),
        _our_tool("retrieve_data", scope="plan", key="next"),
        Call("Write", {"file_path": str(file), "content": "x = 1\n"}),
        _our_tool(
            "store_data", scope="plan", key="next", value="tests", confirm=True
        ),
    ) as one:
        run_claude(laptop, one)
        results = one.results()
    assert 'call the tool sign_on with session_id \\"claude_1\\"' in one.text()
    assert "Signed on elsewhere: builder@other" in one.text()
    assert "claude_1@laptop" in results[0]
    assert "release" in results[1]
    assert (
        "src/x.py is claimed by builder@other" in one.text()
    )  # a warning: it is written
    assert file.read_text(encoding="utf-8") == "x = 1\n"
    until_signed_off(other, "claude_1@laptop", _SECONDS)
    assert other.values.retrieve("plan", "next").value == "tests"


def test_two_sessions_coordinate_through_claims(
    world: World, laptop: Path
) -> None:
    """The first claims. The second is refused and blocked, and goes on when the first ends."""
    desktop = _set_up(world, "desktop")
    git("config", "csc.guard", "block", cwd=desktop)
    claimed, refused, ended = Event(), Event(), Event()
    file = desktop / "src" / "x.py"
    write = Call("Write", {"file_path": str(file), "content": "x = 1\n"})
    with (
        scripted_model(
            _our_tool("sign_on"),
            _our_tool("claim", resources=["src"], note="the parser"),
            _then(
                _our_tool(
                    "store_data", scope="plan", key="parser", value="done"
                ),
                claimed,
                refused,
            ),
        ) as first,
        scripted_model(
            _then(_our_tool("sign_on"), None, claimed),
            _our_tool("claim", resources=["src/x.py"]),
            write,
            _then(
                _our_tool(
                    "retrieve_data", scope="plan", key="parser", fresh=True
                ),
                refused,
                ended,
            ),
            _our_tool("claim", resources=["src/x.py"]),
            write,
        ) as second,
        claude(laptop, first) as one,
        claude(desktop, second) as two,
    ):
        printed = one.communicate(timeout=_SECONDS)[0]
        until_signed_off(world.open("other"), "claude_1@laptop", _SECONDS)
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
    """A call that waits for one event, and sets another first."""

    def before() -> None:
        if tell is not None:
            tell.set()
        assert wait.wait(_SECONDS)

    return Call(call.tool, call.arguments, before)
