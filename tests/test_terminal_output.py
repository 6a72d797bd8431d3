"""What commands print in a terminal: wrapped at its width, coloured, without control characters."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import csc, csc_here
from tests.terminal import screen
from tests.world import World


@pytest.mark.parametrize(
    "arguments",
    [("status",), ("set", "a", "k", "1"), ("sync",), ("init", "--no-register")],
)
def test_long_messages_break_between_words(
    world: World, clone: Path, arguments: tuple[str, ...]
) -> None:
    world.remote.rename(world.directory / "away.git")
    csc("sync", cwd=clone, code=1)
    with screen(clone, *arguments, columns=50) as shown:
        text = shown.until(lambda _: shown.process.poll() is not None)
    # What stood on a line before, a turning wheel, was written over.
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    assert [
        line for line in lines if len(line) > 50 and len(line.split()) > 3
    ] == []
    assert len([line for line in lines if line.strip()]) > 3


def test_blame_reports_a_scope_without_keys(clone: Path) -> None:
    with screen(clone, "blame", "nosuch") as shown:
        assert "no keys in nosuch" in shown.until(
            lambda _: shown.process.poll() is not None
        )


def test_doctor_indents_wrapped_findings(
    clone: Path,
) -> None:
    with screen(clone, "doctor", "--remote", "nosuch", columns=60) as shown:
        text = shown.until(lambda _: shown.process.poll() is not None)
    lines = [line.rstrip("\r") for line in text.split("\n")]
    long = [line for line in lines if len(line) > 60 and len(line.split()) > 3]
    assert (
        long == []
    )  # a path that is longer than a line is not broken: it can be copied
    first = next(
        n for n, line in enumerate(lines) if line.startswith("!!  remote      ")
    )
    assert lines[first + 1].startswith(" " * 16)


@pytest.mark.usefixtures("clone_cwd")
def test_log_in_a_terminal_prints_no_raw_escapes() -> None:
    """With the real pager in a real terminal."""
    csc_here("set", "a", "k", "1")
    leader, follower = pty.openpty()
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in {"LESS", "PAGER"}
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "csc_git", "log"],
        stdin=follower, stdout=follower, stderr=follower, env=env | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(follower)
    shown = b""
    try:
        while part := os.read(leader, 4096):
            shown += part
    except OSError:  # the other end is closed
        pass
    assert process.wait(30) == 0
    os.close(leader)
    assert b"store a/k" in shown
    assert b"ESC[" not in shown
