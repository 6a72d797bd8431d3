"""Run the user's `git` as a child process that can't hang, prompt, or run the user's hooks.

The child runs in its own session, so that no prompt for credentials can appear on a terminal. After
a time limit, the child's whole process group is killed. The child's environment lacks the variables
that would make git use another repository. Settings are passed in `GIT_CONFIG_*` variables and not
as arguments, because settings may contain tokens, and everybody can see arguments with `ps`.
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
"""At most this many bytes of a child's error output are kept."""

_GRACE: Final = 1.0
"""After a child was killed, its output is still read for this many seconds."""

_PIECE: Final = 1 << 16
"""At most this many bytes of output are read by one system call."""

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
"""Variables that make git use another repository. `git rev-parse --local-env-vars` prints their
names, except `GIT_QUARANTINE_PATH`. git sets `GIT_QUARANTINE_PATH` for the hooks that run when a
repository receives a push."""

_DROPPED: Final = _TIES | {
    "GIT_CURL_VERBOSE",
    "GIT_GLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_PUSH_OPTION_COUNT",
    "GIT_REFLOG_ACTION",
}
"""Variables that are not passed on to git: `_TIES`, variables that change the meaning of arguments,
and variables that make git print more. git(1) describes them."""

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
"""Settings for every call of git. With them, git runs no other programs than transports and
credential helpers. git sends and removes only the refs and objects that csc-git asks for. git
prints no colours, and streams large files instead of keeping them in memory.
"""


class Children:
    """The running git processes that one store has started."""

    def __init__(self) -> None:
        self._running: set[int] = set()
        self._is_closed = False

    def kill(self) -> None:
        """Kill all running git processes of the store. Callers that wait for one get no result."""
        for pid in list(self._running):
            _kill_group(pid)

    def close(self) -> None:
        """Kill all running git processes of the store, and each later one as soon as it starts."""
        self._is_closed = True
        self.kill()

    @contextmanager
    def running(self, pid: int) -> Iterator[None]:
        """Add a process to the running processes during a `with` block."""
        self._running.add(pid)
        try:
            if self._is_closed:
                _kill_group(pid)
            yield
        finally:
            self._running.discard(pid)


@dataclass(frozen=True)
class Completed:
    """The result of a child process.

    Attributes:
        code: The child's exit code. Negative if a signal ended the child; None if it was killed
            after its time limit.
        out: The child's standard output.
        err: The child's standard error, decoded.
    """

    code: int | None
    out: bytes
    err: str

    @property
    def ok(self) -> bool:
        """Whether the child ended with exit code 0."""
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
        args: The command and its arguments. Arguments that come from outside must follow `--` or
            be checked refs.
        cwd: The directory in which git runs. Relative paths of remotes are relative to this
            directory.
        git_dir: The repository. If None, git uses `GIT_DIR`, or searches for a repository from
            `cwd`.
        config: Names and values of settings that are added to the user's own settings. If a name
            is given twice, the later value overrides the earlier value.
        env: Environment variables to add. If None, no variables are added.
        timeout: After this many seconds, git's process group is killed.
        children: The running git processes of a store. The new process is added to these processes,
            so that one call can kill all of them. None means that git does not run for a store.
        gives_up: A function that returns whether the caller has given up. If the caller has given
            up, git is killed at once.
        stdin: Descriptor of a file that git reads as its standard input. If None, git reads
            nothing.
        most: If git prints more than this many bytes, git is killed. If None, there is no limit.

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
        # `Children.kill` may have been called before this child was added to the running ones.
        if gives_up():
            _kill_group(child.pid)
        return _finish(child, timeout, most)


def git_version() -> tuple[int, ...] | None:
    """Find the version of the `git` on PATH; None if there is no git or its version is unknown."""
    # The user's configuration may be invalid, and git would then refuse to run.
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
    """Run a `git` command that only reads, and yield each line that git prints.

    The command has no time limit.

    Args:
        args: The command and its arguments.
        git_dir: The repository.

    Raises:
        GitMissing: there is no `git` on PATH.
        ValueError: git failed. The error contains git's error output.
    """
    binary = shutil.which("git")
    if binary is None:
        raise GitMissing
    with (
        # A pipe could fill up here, since it is not read while the lines are yielded.
        tempfile.TemporaryFile() as errors,
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
    """Read everything that a child prints, and wait until the child ends.

    A timer kills the child after `timeout` seconds. (If Python waited with a time limit, it would
    poll.)
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
    """Read a child's standard output and standard error.

    A program that the child started in another session may keep the streams open, and such a
    program is not killed with the child. So the function stops reading at the time `until`.

    Args:
        child: The child process.
        until: The time, by the monotonic clock, after which nothing more is read.
        most: If the child prints more than this many bytes on standard output, it is killed.
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
    # macOS reports a missing permission if the process has already ended.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _environment(
    git_dir: Path | None,
    config: Sequence[tuple[str, str]],
) -> dict[str, str]:
    """Make the environment variables of a git process; see `run_git` for the arguments."""
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
