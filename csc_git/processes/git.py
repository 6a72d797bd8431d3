"""Running the user's `git` as a child that can't hang, prompt, or run the user's hooks.

It gets its own session (so that no credential prompt can reach a terminal), a time limit after
which its whole process group is killed, and an environment without the variables that tie git
to another repository. Configuration is handed over in `GIT_CONFIG_*` variables: it may hold tokens,
and arguments would show in `ps`.
"""

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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from csc_git.errors import GitMissing

WORDS_LIMIT: Final = 1 << 20
"""Largest part of a child's error output that is kept, in bytes."""

_GRACE: Final = 1.0
"""Seconds after a child was killed in which its output is still read."""

_PIECE: Final = 1 << 16
"""Bytes of output that are read at once."""

_TIES: Final = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_PARAMETERS",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NAMESPACE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_QUARANTINE_PATH",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)
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
"""Those, and variables that change what arguments mean or add to what git prints; see git(1)."""

_VERSION: Final = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
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
"""Settings under which git runs no program but transports and credential helpers, sends and removes
only what it was asked to, prints no colours, and streams large files instead of holding them in
memory.
"""


class Children:
    """The git processes that one store has started and that still run."""

    def __init__(self) -> None:
        self._running: set[int] = set()
        self._is_closed = False

    def kill(self) -> None:
        """Kill all of them. A caller that waits for one gets no answer."""
        for pid in list(self._running):
            _kill_group(pid)

    def close(self) -> None:
        """Kill all of them, and from now on each new one as soon as it is started."""
        self._is_closed = True
        self.kill()

    @contextmanager
    def running(self, pid: int) -> Iterator[None]:
        """Count a process among them during a `with` block."""
        self._running.add(pid)
        try:
            if self._is_closed:
                _kill_group(pid)
            yield
        finally:
            self._running.discard(pid)


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


def run_git(  # noqa: PLR0913  a child has many settings, and each has a name
    args: Sequence[str],
    *,
    cwd: Path,
    git_dir: Path | None = None,
    config: Sequence[tuple[str, str]] = (),
    env: Mapping[str, str] | None = None,
    timeout: float = 30.0,
    children: Children | None = None,
    gives_up: Callable[[], bool] = lambda: False,
    stdin: int | None = None,
    most: int | None = None,
) -> Completed:
    """Run `git <args>` and wait for it.

    Args:
        args: The command and its arguments. Operands that come from outside must follow `--` or
            be checked refs.
        cwd: Where it runs; relative remote paths are resolved there.
        git_dir: The repository; None: git searches for one from `cwd`, and obeys `GIT_DIR`.
        config: Names and values of settings that are added to the user's own; a later one
            overrides an earlier.
        env: Further environment variables; None for no more.
        timeout: Seconds until its process group is killed.
        children: The git processes of the store that it works for, which are killed together; None
            if it works for no store.
        gives_up: Whether the caller gave up; then it is killed at once.
        stdin: Descriptor of a file that it reads; None: it reads nothing.
        most: Bytes that it may print before it is killed; None for any number.

    Raises:
        GitMissing: there is no `git` on PATH.
    """
    binary = shutil.which("git")
    if binary is None:
        raise GitMissing
    environment = _environment(git_dir, config)
    if env is not None:
        environment |= env
    if stdin is None:
        stdin = subprocess.DEVNULL
    if children is None:
        children = Children()
    if most is None:
        most = sys.maxsize
    child = subprocess.Popen(  # noqa: S603  an argument list, no shell
        [binary, *args],
        cwd=cwd,
        env=environment,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with child, children.running(child.pid):
        if (
            gives_up()
        ):  # `Children.kill` may have been called before this one ran
            _kill_group(child.pid)
        return _finish(child, timeout, most)


def git_version() -> tuple[int, ...] | None:
    """Find the version of the `git` on PATH; None if there is no git or its version is unknown."""
    # The user's configuration may be broken.
    no_config = {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    try:
        answer = run_git(
            ["version"],
            cwd=Path("/"),
            env=no_config,
        )
    except (GitMissing, OSError):
        return None
    printed = answer.out.decode(errors="replace")
    found = _VERSION.search(printed)
    if found is None:
        return None
    numbers = filter(None, found.groups())
    return tuple(map(int, numbers))


def stream_git(
    args: Sequence[str],
    git_dir: Path,
) -> Iterator[str]:
    """Run a `git` that only reads, and yield its lines as they come, without a time limit.

    Args:
        args: The command and its arguments.
        git_dir: The repository.

    Raises:
        GitMissing: there is no `git` on PATH.
        ValueError: git failed; with its error output.
    """
    binary = shutil.which("git")
    if binary is None:
        raise GitMissing
    with (
        tempfile.TemporaryFile() as errors,  # a pipe would fill while nobody reads it
        subprocess.Popen(  # noqa: S603  an argument list, no shell
            [binary, *args],
            cwd=git_dir,
            env=_environment(git_dir, ()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        ) as child,
    ):
        assert child.stdout is not None  # noqa: S101  it is a pipe
        for line in child.stdout:
            yield line.decode(errors="replace")
        if child.wait():
            errors.seek(0)
            printed = errors.read(WORDS_LIMIT).decode(errors="replace")
            raise ValueError(printed.strip())


def _finish(
    child: "subprocess.Popen[bytes]",
    timeout: float,
    most: int,
) -> Completed:
    """Read all that a child prints, and wait for its end.

    A timer kills it after `timeout` seconds, since waiting with a time limit would poll.
    """
    late = threading.Event()

    def expire() -> None:
        late.set()
        _kill_group(child.pid)

    timer = threading.Timer(timeout, expire)
    timer.daemon = True
    timer.start()
    try:
        until = time.monotonic() + timeout + _GRACE
        out, err = _read(child, until, most)
        child.wait()
    except BaseException:
        _kill_group(child.pid)
        raise
    finally:
        timer.cancel()
    code: int | None = child.returncode
    if late.is_set():
        code = None
    return Completed(
        code=code,
        out=out,
        err=err.decode(errors="replace"),
    )


def _read(
    child: "subprocess.Popen[bytes]",
    until: float,
    most: int,
) -> tuple[bytes, bytes]:
    """Read what a child prints on both its streams.

    A program that it started in another session may hold the streams open, and is not killed with
    it. So nothing is read after a moment.

    Args:
        child: The child.
        until: The moment, by the monotonic clock.
        most: Bytes of standard output; the child is killed when it has printed more.
    """
    assert child.stdout is not None  # noqa: S101  both are pipes
    assert child.stderr is not None  # noqa: S101
    out = bytearray()
    err = bytearray()
    with selectors.DefaultSelector() as streams:
        streams.register(child.stdout, selectors.EVENT_READ, out)
        streams.register(child.stderr, selectors.EVENT_READ, err)
        while streams.get_map():
            left = until - time.monotonic()
            if left <= 0:
                break
            if len(out) > most:
                _kill_group(child.pid)
                break
            for stream, _ in streams.select(left):
                part = os.read(stream.fd, _PIECE)
                if not part:
                    streams.unregister(stream.fileobj)
                stream.data.extend(part)
            del err[WORDS_LIMIT:]
    return bytes(out), bytes(err)


def _kill_group(pid: int) -> None:
    # macOS denies the permission if the process has ended.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _environment(
    git_dir: Path | None,
    config: Sequence[tuple[str, str]],
) -> dict[str, str]:
    """Make the environment variables of a child; see `run_git`."""
    dropped = {*_DROPPED, *_PROMPTS}
    if git_dir is None:
        dropped -= _TIES
    kept = {}
    for name, value in os.environ.items():
        if name in dropped or name.startswith("GIT_TRACE"):
            continue
        kept[name] = value
    kept |= _QUIET
    if git_dir is not None:
        kept["GIT_DIR"] = str(git_dir)
    start = 0
    given = kept.get("GIT_CONFIG_COUNT", "")
    if given.isdecimal():
        start = int(given)
    settings = [*SETTINGS, *config]
    for number, (name, value) in enumerate(settings, start):
        kept[f"GIT_CONFIG_KEY_{number}"] = name
        kept[f"GIT_CONFIG_VALUE_{number}"] = value
    count = start + len(settings)
    kept["GIT_CONFIG_COUNT"] = str(count)
    return kept
