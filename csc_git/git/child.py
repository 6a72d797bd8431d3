"""Running the user's `git` as a child that can neither hang, prompt, nor call anything of theirs.

It gets its own session (so that no credential prompt can reach a terminal), a time limit after
which its whole process group is killed, and an environment without the variables that tie git
to another repository. Configuration is handed over in `GIT_CONFIG_*` variables, not arguments:
those would show in `ps`, and they may hold tokens.
"""

import math
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

WORDS_LIMIT: Final = 1 << 20
"""Largest part of a child's error output that is kept, in bytes."""

_GRACE: Final = 1.0
"""Seconds that what a killed child has printed may take to arrive."""

_PIECE: Final = 1 << 16

_TIES: Final = frozenset({
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS", "GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX", "GIT_NAMESPACE", "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_QUARANTINE_PATH", "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE", "GIT_WORK_TREE",
})  # fmt: skip
"""What `git rev-parse --local-env-vars` prints, and the quarantine of a running hook."""

_DROPPED: Final = _TIES | {
    "GIT_CURL_VERBOSE",
    "GIT_GLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_PUSH_OPTION_COUNT",
    "GIT_REFLOG_ACTION",
}
"""Those, and what changes the meaning of arguments or adds to what git prints; see git(1)."""

_QUIET: Final = {
    "GCM_INTERACTIVE": "never",
    "GIT_ADVICE": "0",
    "GIT_EDITOR": ":",
    "GIT_FLUSH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_TRACE": "0",
    "GIT_TRACE2": "0",
    "GIT_TRACE2_EVENT": "0",
    "GIT_TRACE2_PERF": "0",
    "LC_ALL": "C",
    "SSH_ASKPASS_REQUIRE": "never",
}
_PROMPTS: Final = ("GIT_ASKPASS", "SSH_ASKPASS")

SETTINGS: Final = (
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("core.askPass", ""),
    ("core.bigFileThreshold", "1m"),
    ("color.advice", "false"),
    ("color.push", "false"),
    ("color.remote", "false"),
    ("color.transport", "false"),
    ("color.ui", "false"),
    ("credential.interactive", "false"),
    ("fetch.prune", "false"),
    ("fetch.pruneTags", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("push.followTags", "false"),
    ("push.gpgSign", "false"),
    ("push.negotiate", "false"),
    ("push.pushOption", ""),
    ("push.recurseSubmodules", "no"),
    ("push.useForceIfIncludes", "false"),
    ("submodule.recurse", "false"),
)
"""Settings under which git calls nothing but transports and credential helpers, sends and removes
only what it was asked to, prints no colours, and streams what is large instead of holding it in
memory.
"""


_running: Final[set[int]] = set()


class GitMissing(Exception):
    """There is no `git` on PATH."""


@dataclass(frozen=True)
class Completed:
    """How a child ended.

    Attributes:
        code: Its exit code; negative for a signal; None if it ran out of time.
        out: Standard output.
        err: Standard error, decoded.
    """

    code: int | None
    out: bytes
    err: str

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.code == 0


def run_git(  # noqa: PLR0913  how to run a child has so many sides
    args: Sequence[str],
    *,
    cwd: Path,
    git_dir: Path | None = None,
    config: Sequence[tuple[str, str]] = (),
    env: Mapping[str, str] | None = None,
    timeout: float = 30.0,
    gives_up: Callable[[], bool] | None = None,
    stdin: int = subprocess.DEVNULL,
    most: int | None = None,
) -> Completed:
    """Run `git <args>` and wait for it.

    Args:
        args: Operands that come from outside must stand behind `--` or be checked refs.
        cwd: Where it runs; relative remote paths are resolved there.
        git_dir: The repository; else git looks for one from `cwd`, and then `GIT_DIR` counts.
        config: Settings added to the user's own, later ones winning.
        env: Further environment variables.
        timeout: Seconds until its process group is killed.
        gives_up: Whether the caller gave up; then it is killed at once.
        stdin: A file that it reads.
        most: Bytes that it may print; past them it is killed.

    Raises:
        GitMissing: no `git` on PATH.
    """
    binary = shutil.which("git")
    if binary is None:
        raise GitMissing
    environment = _environment(git_dir, config) | dict(env or {})
    child = subprocess.Popen(  # noqa: S603  an argument list, no shell
        [binary, *args],
        cwd=cwd,
        env=environment,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    _running.add(child.pid)
    if (
        gives_up is not None and gives_up()
    ):  # `kill_children` may have come too early for this one
        _kill_group(child.pid)
    try:
        with child:
            return _finish(child, timeout, math.inf if most is None else most)
    finally:
        _running.discard(child.pid)


def git_version() -> tuple[int, ...] | None:
    """The version of the `git` on PATH; None if there is none or its version is unknown."""
    try:
        unset = {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
        }  # it may be broken
        said = run_git(["version"], cwd=Path("/"), env=unset).out.decode(
            errors="replace"
        )
    except (GitMissing, OSError):
        return None
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", said)
    return (
        tuple(int(part) for part in found.groups() if part) if found else None
    )


def stream_git(args: Sequence[str], git_dir: Path) -> Iterator[str]:
    """Run a `git` that only reads, and yield its lines as they come; no time limit.

    Raises:
        GitMissing: no `git` on PATH.
        ValueError: git refused; its words.
    """
    binary = shutil.which("git")
    if binary is None:
        raise GitMissing
    with (
        tempfile.TemporaryFile() as said,  # a pipe that nobody reads meanwhile would fill
        subprocess.Popen(  # noqa: S603  an argument list, no shell
            [binary, *args],
            cwd=git_dir,
            env=_environment(git_dir, ()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,
        ) as child,
    ):
        assert child.stdout is not None  # noqa: S101  it is a pipe
        for line in child.stdout:
            yield line.decode(errors="replace")
        if child.wait():
            said.seek(0)
            raise ValueError(
                said.read(WORDS_LIMIT).decode(errors="replace").strip()
            )


def start_detached(
    module: str, arguments: Sequence[str], environment: Mapping[str, str]
) -> None:
    """Start a module of ours that goes on when this process has ended.

    It has a session of its own and no terminal, so that nothing that ends this process ends it.

    Args:
        module: As for `python -m`.
        arguments: What follows it.
        environment: All of its environment.
    """
    subprocess.Popen(  # noqa: S603  our own modules, an argument list
        [sys.executable, "-P", "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=dict(environment),
        start_new_session=True,
    )


def kill_children() -> None:
    """Kill every git of this process that still runs; callers that wait for one get no answer."""
    for pid in list(_running):
        _kill_group(pid)


def _finish(
    child: "subprocess.Popen[bytes]", timeout: float, most: float
) -> Completed:
    """Read all a child prints; a timer kills it, since waiting with a time limit would poll."""
    late = threading.Event()

    def expire() -> None:
        late.set()
        _kill_group(child.pid)

    timer = threading.Timer(timeout, expire)
    timer.daemon = True
    timer.start()
    try:
        out, err = _read(child, time.monotonic() + timeout + _GRACE, most)
        child.wait()
    except BaseException:
        _kill_group(child.pid)
        raise
    finally:
        timer.cancel()
    code = None if late.is_set() else child.returncode
    return Completed(code, out, err.decode(errors="replace"))


def _read(
    child: "subprocess.Popen[bytes]", until: float, most: float
) -> tuple[bytes, bytes]:
    """What a child prints, on both its streams.

    A program that it left behind in a session of its own may hold them open, and is not killed with
    it; nobody waits for that one.
    """
    assert child.stdout is not None  # noqa: S101  both are pipes
    assert child.stderr is not None  # noqa: S101
    out, err = bytearray(), bytearray()
    with selectors.DefaultSelector() as open_ones:
        open_ones.register(child.stdout, selectors.EVENT_READ, out)
        open_ones.register(child.stderr, selectors.EVENT_READ, err)
        while open_ones.get_map() and (left := until - time.monotonic()) > 0:
            if len(out) > most:
                _kill_group(child.pid)
                break
            for key, _ in open_ones.select(left):
                if part := os.read(key.fd, _PIECE):
                    key.data.extend(
                        part
                        if key.data is out
                        else part[: WORDS_LIMIT - len(err)]
                    )
                else:
                    open_ones.unregister(key.fileobj)
    return bytes(out), bytes(err)


def _kill_group(pid: int) -> None:
    with suppress(
        ProcessLookupError, PermissionError
    ):  # the latter on macOS, of one that ended
        os.killpg(pid, signal.SIGKILL)


def _environment(
    git_dir: Path | None, config: Sequence[tuple[str, str]]
) -> dict[str, str]:
    dropped = _DROPPED if git_dir is not None else _DROPPED - _TIES
    kept = {
        name: value for name, value in os.environ.items() if name not in dropped
    }
    kept = {name: value for name, value in kept.items() if name not in _PROMPTS}
    kept = {
        name: value
        for name, value in kept.items()
        if not name.startswith("GIT_TRACE")
    }
    kept |= _QUIET
    if git_dir is not None:
        kept["GIT_DIR"] = str(git_dir)
    settings = [*SETTINGS, *config]
    given = kept.get("GIT_CONFIG_COUNT", "")
    start = int(given) if given.isdecimal() else 0
    for number, (name, value) in enumerate(settings, start):
        kept[f"GIT_CONFIG_KEY_{number}"], kept[f"GIT_CONFIG_VALUE_{number}"] = (
            name,
            value,
        )
    return kept | {"GIT_CONFIG_COUNT": str(start + len(settings))}
