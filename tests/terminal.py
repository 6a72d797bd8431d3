"""A terminal of its own for a command, and what a person sees in it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


_KIND = "xterm-256color"


@dataclass
class Screen:
    """A command in a terminal of its own."""

    process: "subprocess.Popen[bytes]"
    terminal: int
    shown: bytes = b""

    def until(self, ready: Callable[[str], bool]) -> str:
        """Read the screen until it is ready; fails after 30 seconds."""
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
        """The last complete frame that was drawn."""
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


def width_of(text: str) -> int:
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
