"""Fault injection: with strace, one chosen system call of a process fails or kills it."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from tests.world import ROOT

MUTATING: Final = (
    "openat", "write", "pwrite64", "writev", "fsync", "fdatasync", "rename", "renameat2", "link",
    "linkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "ftruncate", "chmod", "fchmod",
    "fchmodat", "utimensat", "flock", "symlink",
)  # fmt: skip
"""The system calls by which a program changes what is on disk, and how it locks."""


def why_no_injection() -> str | None:
    """Reason that faults can't be injected here; None if they can."""
    if not shutil.which("strace"):
        return "strace is not installed"
    tried = subprocess.run(
        ["strace", "-o", os.devnull, "true"], capture_output=True, check=False
    )
    return "strace may not trace here" if tried.returncode else None


MISSING: Final = why_no_injection()
_LIMIT: Final = 60
_WRAPPER: Final = """#!/bin/sh
case "$*" in
  *fetch*|*push*) [ -e {_git_fault} ] && exec strace -f -A -o {_trace} \\
    -e "trace=$(sed 's/inject=//; s/:.*//' {_git_fault})" -e "$(cat {_git_fault})" {git} "$@" ;;
esac
exec {git} "$@"
"""


@dataclass(frozen=True)
class Fault:
    """What happens to a process at its `when`-th call of a system call.

    Attributes:
        call: The system call.
        when: Counted from 1.
        error: The error it fails with; None: the process is killed before it is made.
        within: `git` if the fault hits each git that the process starts, not the process.
    """

    call: str
    when: int
    error: str | None = None
    within: Literal["", "git"] = ""

    def __str__(self) -> str:
        what = f"{self.error or 'SIGKILL'} at {self.call} number {self.when}"
        return f"{what} of git" if self.within else what

    @property
    def option(self) -> str:
        """The fault as an option of strace."""
        how = f"error={self.error}" if self.error else "signal=KILL"
        return f"inject={self.call}:{how}:when={self.when}"


@dataclass(frozen=True)
class Ending:
    """How an action ended.

    Attributes:
        answer: What the process answered; empty if it died first.
        killed: Whether it was killed.
        struck: The call that the fault hit, as traced; empty if it made fewer calls.
    """

    answer: dict[str, Any]
    killed: bool
    struck: str

    @property
    def ops(self) -> list[str]:
        """The edits acknowledged."""
        return [op for op in self.answer.get("ops", []) if " " not in op]

    @property
    def state(self) -> str:
        """The state that a sync ended in, or nothing."""
        return next((op for op in self.answer.get("ops", []) if " " in op), "")


class FaultedProcess:
    """A process of `tests.faults.faulted_process`, and the faults of its children."""

    def __init__(self, directory: Path) -> None:
        self._trace = directory / "trace"
        self._git_fault = directory / "git-fault"
        self._channel, theirs = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_SEQPACKET
        )
        self._channel.settimeout(_LIMIT)
        command = [
            sys.executable,
            "-m",
            "tests.faults.faulted_process",
            str(theirs.fileno()),
        ]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            pass_fds=[theirs.fileno()],
            env=self._with_git(directory / "bin"),
        )
        theirs.close()

    def warm(self, action: str, clone: Path, number: int) -> Ending:
        """Do an action in the process that forks, so that later children have the imports."""
        self._ask(action, clone, number, warm=True)
        return Ending(self._receive(), killed=False, struck="")

    def run(
        self, action: str, clone: Path, number: int, fault: Fault
    ) -> Ending:
        """Do an action in a child process, which the fault hits if it makes enough calls."""
        self._trace.unlink(missing_ok=True)
        if fault.within:
            self._git_fault.write_text(fault.option, encoding="utf-8")
        self._ask(action, clone, number)
        pid = self._receive()["pid"]
        with nullcontext() if fault.within else self._traced(pid, fault):
            self._channel.send(b"go")
            answers = [self._receive()]
            while "exit" not in answers[-1]:
                answers.append(self._receive())
        killed = answers[-1]["exit"] < 0
        answer = answers[0] if len(answers) > 1 else {}
        self._git_fault.unlink(missing_ok=True)
        struck = [
            line
            for line in self.traced()
            if "(INJECTED)" in line or line.endswith(" = ?")
        ]
        return Ending(answer, killed, struck[0] if struck else "")

    def traced(self) -> list[str]:
        """The traced calls of the last child."""
        if not self._trace.exists():  # no git was started
            return []
        return self._trace.read_text(encoding="utf-8").splitlines()

    def close(self) -> None:
        """Let it end."""
        self._channel.close()
        self._process.wait(_LIMIT)

    def _ask(
        self, action: str, clone: Path, number: int, *, warm: bool = False
    ) -> None:
        request = {
            "action": action,
            "clone": str(clone),
            "number": number,
            "warm": warm,
        }
        self._channel.send(json.dumps(request).encode())

    def _receive(self) -> dict[str, Any]:
        answers: dict[str, Any] = json.loads(self._channel.recv(1 << 20))
        return answers

    def _with_git(self, directory: Path) -> dict[str, str]:
        """An environment in which `git` is hit by a fault while one is set for it."""
        directory.mkdir()
        wrapper = directory / "git"
        wrapper.write_text(
            _WRAPPER.format(git=shutil.which("git"), **vars(self)), "utf-8"
        )
        wrapper.chmod(0o755)
        return os.environ | {"PATH": f"{directory}:{os.environ['PATH']}"}

    @contextmanager
    def _traced(self, pid: int, fault: Fault) -> Iterator[None]:
        command = [
            "strace",
            "-p",
            str(pid),
            "-o",
            str(self._trace),
            "-e",
            f"trace={fault.call}",
        ]
        tracer = subprocess.Popen(
            [*command, "-e", fault.option], stderr=subprocess.PIPE, text=True
        )
        assert tracer.stderr is not None
        with tracer, tracer.stderr:
            line = tracer.stderr.readline()
            assert "attached" in line, line
            yield
