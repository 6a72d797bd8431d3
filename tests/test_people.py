"""What people look at: watch, sessions, claims; what a shell completes; sign-off from outside."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import pytest

from csc_git.coordinator.coordinator import Coordinator
from csc_git.core.lease import lease_key
from tests.git_servers import ssh_server
from tests.test_cli import csc
from tests.world import World, installed, put, state_of

_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


@pytest.fixture
def clone(world: World) -> Path:
    return world.clone("one")


@pytest.fixture
def busy(world: World, clone: Path) -> Coordinator:
    one = world.open(clone)
    session = one.sign_on("builder").session
    put(
        one,
        f"session:{session}",
        "current_issue",
        "issue 15 \x1b[31m [bold]is[/bold] red",
    )
    put(one, f"session:{session}", "todos", [1, {"status": "done"}, 3])
    one.claims.claim(None, ["src/api"], note="the parser")
    return one


# One look


def test_sessions_and_claims_in_a_pipe_are_lines_of_cells(
    busy: Coordinator, clone: Path
) -> None:
    cells = csc("sessions", cwd=clone).stdout.rstrip("\n").split("\t")
    assert cells[:2] == ["builder@one", "here"]
    assert cells[3:5] == ["issue 15 \\x1b[31m [bold]is[/bold] red", "2 todos"]
    cells = csc("claims", cwd=clone).stdout.rstrip("\n").split("\t")
    assert cells[:2] + cells[3:] == [
        "src/api",
        "builder@one",
        "session ends",
        "the parser",
    ]
    found = json.loads(csc("sessions", "--json", cwd=clone).stdout)["sessions"]
    assert found[0]["session"] == "builder@one"
    assert (
        json.loads(csc("claims", "--json", cwd=clone).stdout)["claims"][0][
            "note"
        ]
        == "the parser"
    )
    busy.sign_off()
    assert csc("sessions", cwd=clone).stdout == ""
    assert csc("claims", cwd=clone).stdout == ""
    assert "gone" in csc("sessions", "--all", cwd=clone).stdout


def test_sign_off_from_outside(busy: Coordinator, clone: Path) -> None:
    done = csc("sign-off", "builder@one", "nobody", cwd=clone).stdout
    assert "builder@one: signed off\nnobody: was not signed on\n" in done
    stored = busy.store.snapshot().get(lease_key("builder@one"))
    assert stored is not None
    assert stored.entry.value["state"] == "signed_off"
    assert csc("claims", cwd=clone).stdout == ""
    assert "no session name" in csc("sign-off", "a b", cwd=clone, code=1).stderr


# A terminal


_KIND = "xterm-256color"


@dataclass
class Screen:
    """A command in a terminal of its own."""

    process: "subprocess.Popen[bytes]"
    terminal: int
    shown: bytes = b""

    def until(self, ready: Callable[[str], bool]) -> str:
        """Read what is shown until it is as the test waits for; fails after 30 seconds."""
        deadline = time.monotonic() + 30
        while not ready(text := self.text()):
            assert time.monotonic() < deadline, text
            if select.select([self.terminal], [], [], 1)[0]:
                try:
                    self.shown += os.read(self.terminal, 65536)
                except OSError:  # it has ended
                    break
        return self.text()

    def text(self) -> str:
        return _ESCAPES.sub(b"", self.shown).decode(errors="replace")

    def frame(self) -> str:
        """The last whole picture of those drawn one over the other."""
        frames = self.shown.split(b"\x1b[H")
        return _ESCAPES.sub(b"", frames[-2] if len(frames) > 1 else b"").decode(
            errors="replace"
        )

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(
            self.terminal,
            termios.TIOCSWINSZ,
            struct.pack("HHHH", rows, columns, 0, 0),
        )
        self.process.send_signal(signal.SIGWINCH)
        self.shown = b""

    def type(self, keys: bytes) -> None:
        os.write(self.terminal, keys)


def _width(text: str) -> int:
    return max(map(len, text.replace("\r", "\n").splitlines()), default=0)


def screen(
    clone: Path,
    *arguments: str,
    columns: int = 80,
    rows: int = 24,
    kind: str = _KIND,
) -> AbstractContextManager[Screen]:
    command = (sys.executable, "-m", "csc_git", *arguments)
    return terminal(clone, *command, columns=columns, rows=rows, kind=kind)


@contextmanager
def terminal(
    clone: Path,
    *command: str,
    columns: int = 80,
    rows: int = 24,
    kind: str = _KIND,
) -> Iterator[Screen]:
    leader, follower = pty.openpty()
    fcntl.ioctl(
        follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0)
    )
    process = subprocess.Popen(
        command,
        cwd=clone, stdin=follower, stdout=follower, stderr=follower,
        env={name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
        | {"TERM": kind},
    )  # fmt: skip
    os.close(follower)
    try:
        yield Screen(process, leader)
    finally:
        process.kill()
        process.wait()
        os.close(leader)


def test_watch_shows_all_of_it_as_it_changes_and_q_quits(
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
        assert _width(text) <= 80
        assert state_of(busy) == "ok"
        put(two, "plan", "from afar", 1)
        assert state_of(two) == "ok"
        shown.until(
            lambda text: "store plan/from afar" in text
        )  # it syncs by itself
        shown.resize(50, 12)
        shown.until(
            lambda _: (
                "plan/from" in shown.frame() and _width(shown.frame()) <= 50
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
def test_watch_in_a_small_terminal_offline_shows_what_matters(
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
    assert _width(text) <= columns


@pytest.mark.parametrize("pressed", [b"qq", b"\x1b"])
def test_watch_counts_what_it_does_not_show_and_heeds_keys(
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


def test_watch_where_nothing_can_be_drawn_is_lines(
    busy: Coordinator, clone: Path
) -> None:
    with screen(clone, "watch", "--no-sync", kind="dumb") as shown:
        for number in range(200):  # it may not have begun to watch yet
            put(busy, "a", "k", number)
            if select.select([shown.terminal], [], [], 0.3)[0]:
                break
        text = shown.until(lambda text: "store a/k" in text)
    assert "\x1b" not in text


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


def test_a_scope_without_keys_is_told_to_be_so(clone: Path) -> None:
    with screen(clone, "blame", "nosuch") as shown:
        assert "no keys in nosuch" in shown.until(
            lambda _: shown.process.poll() is not None
        )


def test_watch_in_a_pipe_is_a_line_an_edit(world: World, clone: Path) -> None:
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


def test_doctor_in_a_terminal_hangs_under_its_own_beginning(
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


# Completion


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("csc-git wat", ["watch"]),
        ("csc-git get iss", ["issue:15"]),
        ("csc-git get issue:1", ["15"]),
        ("csc-git get issue:15 s", ["status"]),
        ("csc-git sign-off bui", ["builder@one"]),
        ("csc-git rm --al", ["--all"]),
        ("csc-git get issue:15 $", [""]),  # nothing that a shell would run
    ],
)
@pytest.mark.usefixtures("busy")
def test_bash_completes(clone: Path, typed: str, offered: list[str]) -> None:
    """Asked as readline does, with its ways to break words."""
    csc("set", "issue:15", "status", "1", "--local", cwd=clone)
    csc("set", "issue:15", "$(touch pwned)", "1", "--local", cwd=clone)
    command = installed(clone.parent / "bin")
    script = f"""
        {csc("completion", "bash", cwd=clone).stdout}
        COMP_WORDBREAKS=$' \\t\\n"\\'@><=;|&(:'
        COMP_LINE={typed!r} COMP_POINT={len(typed)}
        _csc_git_completion {command} && printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split("\n")[:-1] == offered, done.stderr


_SETTINGS = {
    "zsh": (".zshrc", "autoload -Uz compinit; compinit -u\n"
            "eval \"$(csc-git completion zsh)\"\nPS1='ready> '\n"),
    "fish": (".config/fish/config.fish", "csc-git completion fish | source\n"
             "function fish_prompt; echo 'ready> '; end\n"),
}  # fmt: skip


_NOTING = """#!/bin/sh
[ -n "$_CSC_GIT_COMPLETE" ] || [ "$1" = completion ] || exec printf '%s\\n' "$*" >> {noted}
exec {python} -m csc_git "$@"
"""


@pytest.mark.parametrize(
    "shell",
    [pytest.param(s, marks=pytest.mark.skipif(not shutil.which(s), reason=f"needs {s}"))
     for s in _SETTINGS],
)  # fmt: skip
@pytest.mark.usefixtures("busy")
def test_zsh_and_fish_complete(
    clone: Path, fresh_user: Path, shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typed into the shell itself, set up as `completion --help` says; what it then runs."""
    csc("set", "issue:15", "status", "1", "--local", cwd=clone)
    csc("set", "issue:15", "$(touch pwned)", "1", "--local", cwd=clone)
    command = installed(clone.parent / "bin")
    noted = clone.parent / "noted"
    command.write_text(
        _NOTING.format(noted=noted, python=sys.executable), encoding="utf-8"
    )
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    name, settings = _SETTINGS[shell]
    (fresh_user / name).parent.mkdir(parents=True, exist_ok=True)
    (fresh_user / name).write_text(settings, encoding="utf-8")
    typed = {
        "csc-git wat": "watch",
        "csc-git get iss": "get issue:15",
        "csc-git get issue:1": "get issue:15",
        "csc-git get issue:15 ": "get issue:15 status",  # never what a shell would run
        "csc-git sign-off bui": "sign-off builder@one",
        "csc-git rm --al": "rm --all",
    }
    with terminal(
        clone, "setsid", "-c", "-w", shell
    ) as shown:  # job control wants its own
        for number, line in enumerate(typed, 1):
            shown.until(partial(_is_ready, number))
            shown.type(line.encode() + b"\t\r")
            shown.until(partial(_has_run, noted, number))
    assert _lines(noted) == list(typed.values())
    assert not (clone / "pwned").exists()


def _is_ready(times: int, text: str) -> bool:
    return text.count("ready>") >= times


def _has_run(noted: Path, commands: int, _: str) -> bool:
    return len(_lines(noted)) >= commands


def _lines(file: Path) -> list[str]:
    return (
        file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    )


def test_completing_makes_no_store(world: World) -> None:
    clone = world.clone("two")
    env = {
        "_CSC_GIT_COMPLETE": "bash_complete",
        "COMP_WORDS": "csc-git get i",
        "COMP_CWORD": "2",
    }
    csc(cwd=clone, env=env)
    assert not (clone / ".git/csc").exists()


def test_completing_where_there_is_no_repository(tmp_path: Path) -> None:
    env = {
        "_CSC_GIT_COMPLETE": "bash_complete",
        "COMP_WORDS": "csc-git get i",
        "COMP_CWORD": "2",
    }
    done = subprocess.run(
        [sys.executable, "-m", "csc_git"],
        cwd=tmp_path, env=os.environ | env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == ("", "")


@pytest.mark.parametrize(
    "ending", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]
)
@pytest.mark.usefixtures("busy")
def test_watch_that_is_ended_leaves_the_terminal_as_it_was(
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


def test_watch_is_not_stopped_while_it_has_the_screen(
    busy: Coordinator, clone: Path
) -> None:
    with screen(clone, "watch", "--no-sync") as shown:
        shown.until(lambda text: "builder@one" in text)
        shown.process.send_signal(signal.SIGTSTP)
        put(busy, "a", "later", 1)
        shown.until(lambda text: "store a/later" in text)


@pytest.mark.skipif(not Path("/usr/sbin/sshd").exists(), reason="needs sshd")
@pytest.mark.usefixtures("busy")
def test_watch_over_ssh(
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
                    and _width(shown.frame()) <= 50
                )
            )
            shown.type(b"q")
            shown.until(lambda _: shown.process.poll() is not None)
            assert shown.process.wait(30) == 0
