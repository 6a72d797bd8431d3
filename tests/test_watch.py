"""`csc-git watch` in a terminal, in a pipe and over ssh."""

import re
import select
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import IO

import pytest

from csc_git.coordinator.coordinator import Coordinator
from tests.commands import csc
from tests.git_servers import ssh_server
from tests.terminal import screen, terminal, width_of
from tests.world import World, put, state_of


def test_watch_shows_changes_and_q_quits(
    world: World, busy: Coordinator, clone: Path
) -> None:
    two = world.open("two")
    with screen(clone, "watch", "--poll", "0.2") as shown:
        before = termios.tcgetattr(shown.terminal)
        text = shown.until(
            lambda text: "builder@one" in text and "src/api" in text
        )
        assert "issue 15 \\x1b[31m [bold]" in text
        assert "2 todos" in text
        assert b"\x1b[31m [bold]" not in shown.shown
        assert width_of(text) <= 80
        assert state_of(busy) == "ok"
        put(two, "plan", "from afar", 1)
        assert state_of(two) == "ok"
        shown.until(
            lambda text: "store plan/from afar" in text
        )  # it syncs by itself
        shown.resize(50, 12)
        shown.until(
            lambda _: (
                "plan/from" in shown.frame() and width_of(shown.frame()) <= 50
            )
        )
        assert "builder@one" in shown.frame()
        shown.type(b"q")
        shown.until(lambda _: shown.process.poll() is not None)
        assert shown.process.wait(30) == 0
        assert b"\x1b[?1049l" in shown.shown  # the screen is as it was before
        assert (
            termios.tcgetattr(shown.terminal)[3]
            == before[3] | termios.ECHO | termios.ICANON
        )


@pytest.mark.parametrize(("columns", "rows"), [(60, 15), (40, 10), (40, 20)])
def test_watch_fits_a_small_terminal_offline(
    world: World, busy: Coordinator, clone: Path, columns: int, rows: int
) -> None:
    assert state_of(busy) == "ok"
    world.remote.rename(world.directory / "away.git")
    put(busy, "a", "k", 1)
    with screen(
        clone, "watch", "--poll", "0.2", columns=columns, rows=rows
    ) as shown:
        shown.until(
            lambda _: (
                "no repository" in shown.frame()
                and "store a/k" in shown.frame()
            )
        )
        text = shown.frame()
    assert "issue 15" in text
    assert "the parser" in text
    assert "1 queued. There is no repo" in text
    assert width_of(text) <= columns


@pytest.mark.parametrize("pressed", [b"qq", b"\x1b"])
def test_watch_counts_hidden_rows_and_obeys_keys(
    busy: Coordinator, clone: Path, pressed: bytes
) -> None:
    for first in (0, 35):
        busy.claims.claim(
            None, [f"lib/{first + number}" for number in range(35)]
        )
    with screen(clone, "watch", "--no-sync") as shown:
        shown.until(
            lambda text: "and 68 more" in text
        )  # of 71, the parser's too
        shown.type(b"\x1b[A")  # an arrow is no Escape
        put(busy, "a", "later", 1)
        shown.until(lambda text: "store a/later" in text)
        shown.type(pressed)
        shown.until(lambda _: shown.process.poll() is not None)
        assert shown.process.wait(30) == 0


def test_watch_prints_lines_in_a_dumb_terminal(
    busy: Coordinator, clone: Path
) -> None:
    with screen(clone, "watch", "--no-sync", kind="dumb") as shown:
        for number in range(200):  # it may not have begun to watch yet
            put(busy, "a", "k", number)
            if select.select([shown.terminal], [], [], 0.3)[0]:
                break
        text = shown.until(lambda text: "store a/k" in text)
    assert "\x1b" not in text


def test_watch_prints_a_line_for_each_edit_in_a_pipe(
    world: World, clone: Path
) -> None:
    two = world.open("two")
    put(two, "a", "before", 1)
    assert state_of(two) == "ok"
    csc("sync", cwd=clone)
    with subprocess.Popen(
        [sys.executable, "-m", "csc_git", "watch", "--poll", "0.2"],
        cwd=clone, stdout=subprocess.PIPE, text=True,
    ) as watching:  # fmt: skip
        assert watching.stdout is not None
        for number in range(40):  # it may not have begun to watch yet
            put(two, "a", "after", number)
            assert state_of(two) == "ok"
            if select.select([watching.stdout], [], [], 0.5)[0]:
                break
        else:
            watching.kill()
        line = watching.stdout.readline()
        for number in range(80):
            put(two, "a", f"burst{number}", number)
        assert state_of(two) == "ok"
        burst = list(iter(lambda: _burst(watching.stdout), "burst79"))
        watching.terminate()  # SIGINT is ignored by what a shell runs in the background
    assert [one for one in burst if one] == [
        f"burst{number}" for number in range(79)
    ]
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\t\S+@two\tstore a/after\n", line
    )


def _burst(lines: IO[str] | None) -> str:
    """The key of the next line, if it is one of the burst; fails at the end."""
    assert lines is not None
    line = lines.readline()
    assert line
    return line.rpartition("/")[2].strip() if "burst" in line else ""


@pytest.mark.parametrize(
    "ending", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]
)
@pytest.mark.usefixtures("busy")
def test_a_signal_to_watch_restores_the_terminal(
    clone: Path, ending: int
) -> None:
    with screen(clone, "watch", "--no-sync") as shown:
        shown.until(lambda text: "builder@one" in text)
        assert not termios.tcgetattr(shown.terminal)[3] & termios.ECHO
        shown.process.send_signal(ending)
        shown.until(lambda _: shown.process.poll() is not None)
        assert shown.process.wait(30) == 0
        assert termios.tcgetattr(shown.terminal)[3] & termios.ECHO
        assert b"\x1b[?1049l" in shown.shown


def test_watch_ignores_the_stop_signal(busy: Coordinator, clone: Path) -> None:
    with screen(clone, "watch", "--no-sync") as shown:
        shown.until(lambda text: "builder@one" in text)
        shown.process.send_signal(signal.SIGTSTP)
        put(busy, "a", "later", 1)
        shown.until(lambda text: "store a/later" in text)


@pytest.mark.skipif(not Path("/usr/sbin/sshd").exists(), reason="needs sshd")
@pytest.mark.usefixtures("busy")
def test_watch_works_over_ssh(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ssh_server(tmp_path / "ssh") as sshd:
        monkeypatch.setenv("SSH_AUTH_SOCK", sshd.agent)
        watch = f"cd {clone} && {sys.executable} -m csc_git watch --no-sync"
        command = ("ssh", "-F", str(sshd.config), "-tt", "forge", watch)
        with terminal(clone, *command) as shown:
            shown.until(
                lambda text: "builder@one" in text and "src/api" in text
            )
            shown.resize(50, 12)
            shown.until(
                lambda _: (
                    "builder@one" in shown.frame()
                    and width_of(shown.frame()) <= 50
                )
            )
            shown.type(b"q")
            shown.until(lambda _: shown.process.poll() is not None)
            assert shown.process.wait(30) == 0
