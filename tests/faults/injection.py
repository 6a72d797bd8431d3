"""Injection: strace makes one chosen system call of one process kill it, or fail."""

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


def missing() -> str | None:
    """Why nothing can be injected here; None if it can."""
    if not shutil.which("strace"):
        return "strace is not installed"
    tried = subprocess.run(
        ["strace", "-o", os.devnull, "true"], capture_output=True, check=False
    )
    return "strace may not trace here" if tried.returncode else None


MISSING: Final = missing()
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
        within: `git`: it happens to each git process that the victim starts, not to itself.
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
        said: What the victim answered; empty if it died first.
        killed: Whether it was killed.
        struck: The call that the fault hit, as traced; empty if it made fewer.
    """

    said: dict[str, Any]
    killed: bool
    struck: str

    @property
    def ops(self) -> list[str]:
        """The edits acknowledged."""
        return [op for op in self.said.get("ops", []) if " " not in op]

    @property
    def state(self) -> str:
        """The state that a sync ended in, or nothing."""
        return next((op for op in self.said.get("ops", []) if " " in op), "")


class Victim:
    """A process of `tests.faults.victim`, and what is done to its children."""

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
            "tests.faults.victim",
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
        """Do it in the process that forks, so that later children find it imported."""
        self._ask(action, clone, number, warm=True)
        return Ending(self._hear(), killed=False, struck="")

    def run(
        self, action: str, clone: Path, number: int, fault: Fault
    ) -> Ending:
        """Do it in a child of its own, which a fault hits if it gets that far."""
        self._trace.unlink(missing_ok=True)
        if fault.within:
            self._git_fault.write_text(fault.option, encoding="utf-8")
        self._ask(action, clone, number)
        pid = self._hear()["pid"]
        with nullcontext() if fault.within else self._traced(pid, fault):
            self._channel.send(b"go")
            heard = [self._hear()]
            while "exit" not in heard[-1]:
                heard.append(self._hear())
        killed = heard[-1]["exit"] < 0
        said = heard[0] if len(heard) > 1 else {}
        self._git_fault.unlink(missing_ok=True)
        struck = [
            line
            for line in self.traced()
            if "(INJECTED)" in line or line.endswith(" = ?")
        ]
        return Ending(said, killed, struck[0] if struck else "")

    def traced(self) -> list[str]:
        """The calls that the last child made of the system call that it was watched for."""
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

    def _hear(self) -> dict[str, Any]:
        heard: dict[str, Any] = json.loads(self._channel.recv(1 << 20))
        return heard

    def _with_git(self, directory: Path) -> dict[str, str]:
        """An environment whose `git` is struck by a fault while there is one for it."""
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
            said = tracer.stderr.readline()
            assert "attached" in said, said
            yield
