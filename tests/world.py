"""A world to test in: one remote, clones of it, coordinators over them, real processes."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.edits import Author
from csc_git.coordinator.factory import open_coordinator
from csc_git.core.edit import Record
from csc_git.core.lease import Lease, lease_key

ROOT = Path(__file__).parent.parent
REF = "refs/heads/csc/state"
CSC = ".git/csc"
"""Where csc-git keeps its files in a clone."""

SYNC_ONCE = """
import sys
from pathlib import Path
from csc_git.coordinator.factory import open_coordinator
path = Path(sys.argv[1])
open_coordinator(path, {"machine": path.name, "timeout": 20}).syncing.sync()
"""
"""A program that syncs the clone whose path is its argument."""

Progress = Callable[[str], None]
"""Called with a few words on what a long run does now."""


def git(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run git and expect it to succeed; what it prints."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


class World:
    """A remote and its clones."""

    def __init__(self, directory: Path, object_format: str = "sha1") -> None:
        self.directory = directory
        self.remote = directory / "remote.git"
        self.object_format = object_format
        self._open: list[Coordinator] = []
        self._made = False

    def make_remote(self) -> Path:
        """The bare remote, made at first use, with one commit on main."""
        if not self._made:
            self._made = True
            form = f"--object-format={self.object_format}"
            git(
                "init",
                "-q",
                "--bare",
                form,
                str(self.remote),
                cwd=self.directory,
            )
            seed = self.directory / "seed"
            git("init", "-q", form, str(seed), cwd=self.directory)
            (seed / "file.txt").write_text("hello\n", encoding="utf-8")
            git("add", ".", cwd=seed)
            git("commit", "-q", "-m", "begin", cwd=seed)
            git("push", "-q", str(self.remote), "HEAD:main", cwd=seed)
        return self.remote

    def clone(self, name: str, url: str | None = None) -> Path:
        """A clone of the remote."""
        self.make_remote()
        path = self.directory / name
        git(
            "init",
            "-q",
            f"--object-format={self.object_format}",
            str(path),
            cwd=self.directory,
        )
        git("remote", "add", "origin", str(self.remote), cwd=path)
        git("pull", "-q", "origin", "main", cwd=path)
        git("remote", "set-url", "origin", url or str(self.remote), cwd=path)
        return path

    def open(self, where: Path | str, **flags: Any) -> Coordinator:
        """A coordinator over a clone (made if it isn't there), without background."""
        path = self.directory / where
        if not path.exists():
            self.clone(str(where))
        settings = {
            "timeout": 20,
            "machine": path.name.replace(".", "-"),
            **flags,
        }
        coordinator = open_coordinator(path, settings)
        self._open.append(coordinator)
        return coordinator

    def install_hook(self, name: str, script: str) -> Path:
        """Have the remote run a shell script at each push; the hook's file."""
        hook = self.make_remote() / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        hook.chmod(0o755)
        return hook

    def close(self) -> None:
        """Close what `open` opened."""
        for coordinator in self._open:
            coordinator.close()

    def log(self, git_dir: Path | None = None, ref: str = REF) -> list[Record]:
        """The edits of the branch in a repository (the remote's), oldest first."""
        where = git_dir or self.remote
        raw = git("log", "--reverse", "-z", "--format=%B", ref, cwd=where)
        records = [
            Record.parse(message) for message in raw.split("\0") if message
        ]
        return [record for record in records if record is not None]

    def is_linear(self) -> bool:
        """Whether the remote's branch is one line of commits."""
        return not git("rev-list", "--merges", REF, cwd=self.remote)


def doubled_ops(world: World) -> dict[str, int]:
    """Ops that the remote has more than once, with their number."""
    counted = Counter(record.op for record in world.log())
    return {op: count for op, count in counted.items() if count > 1}


def decline_commits_with(world: World, word: str = "BAD") -> Path:
    """Have the remote decline every push of a commit that adds a word; the hook's file."""
    return world.install_hook(
        "pre-receive",
        "while read old new ref; do\n"
        'has=$(git rev-parse -q --verify "$ref" || true)\n'
        f'if git log -p ${{has:+^$has}} $new -- data | grep -q "^+.*{word}"; then\n'
        "echo a secret; exit 1; fi\ndone",
    )


def check_pushed_objects(world: World) -> None:
    """Make the remote check objects, as large hosts do."""
    git("config", "receive.fsckObjects", "true", cwd=world.make_remote())


def person(coordinator: Coordinator) -> Author:
    """An author who needs no session."""
    return coordinator.authors.person("tester")


def put(
    coordinator: Coordinator, scope: str, key: str, value: Any, **more: Any
) -> str:
    """Store a value as a person; the op, or `same`."""
    stored = coordinator.edits.put(
        person(coordinator), scope, key, value, **more
    )
    return stored.op or "same"


def state_of(coordinator: Coordinator, progress: Progress | None = None) -> str:
    """Sync once; the state it ended in."""
    return str(coordinator.syncing.sync(progress=progress).state)


def run_command(*command: str, env: dict[str, str] | None = None) -> None:
    """Run a command and expect it to succeed."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something is true; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def go_offline(coordinator: Coordinator) -> None:
    """Point a clone at a remote that does not exist."""
    git("remote", "set-url", "origin", "/nowhere", cwd=coordinator.project.top)


def go_online(coordinator: Coordinator, world: World) -> None:
    """Point a clone at the remote again."""
    git(
        "remote",
        "set-url",
        "origin",
        str(world.remote),
        cwd=coordinator.project.top,
    )


def lease_of(coordinator: Coordinator, session: str) -> Lease:
    """A session's record as this clone has it."""
    stored = coordinator.store.snapshot().get(lease_key(session))
    assert stored is not None
    lease = Lease.from_json(stored.entry.value)
    assert lease is not None
    return lease


def until_signed_off(
    other: Coordinator, session: str, seconds: float = 30.0
) -> None:
    """Wait until another clone reads that a session was signed off.

    The hook at a session's end goes on in a process of its own.
    """
    with other.watch.listening() as wait:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert state_of(other) == "ok"
            stored = other.store.snapshot().get(lease_key(session))
            if stored and stored.entry.value["state"] == "signed_off":
                return
            wait(0.1)
    raise AssertionError(f"{session} was not signed off")


def installed(directory: Path) -> Path:
    """`csc-git` as a command in a directory, as an installer puts it there."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, module in (
        ("csc-git", "csc_git"),
        ("csc-git-hook", "csc_git.hooks.main"),
    ):
        script = f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n'
        (directory / name).write_text(script, encoding="utf-8")
        (directory / name).chmod(0o755)
    return directory / "csc-git"


class Crowd:
    """Processes that start together: each waits at the same gate until all are there."""

    def __init__(self, commands: Sequence[Sequence[str]]) -> None:
        self._processes = [
            subprocess.Popen(
                [
                    sys.executable,
                    str(ROOT / "tests" / "crowd_worker.py"),
                    *command,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for command in commands
        ]

    def run(self) -> list[dict[str, Any]]:
        """Open the gate once all processes wait; the answer of each."""
        return self.start()()

    def start(self) -> Callable[[], list[dict[str, Any]]]:
        """Open the gate and return; a call of the result waits for the answer of each process."""
        for process in self._processes:
            assert self._line(process) == "ready\n"
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return self._finish

    def _finish(self) -> list[dict[str, Any]]:
        answers = [self.answer(process) for process in self._processes]
        for process in self._processes:
            process.communicate(timeout=30)
        assert [process.returncode for process in self._processes] == [0] * len(
            answers
        )
        return answers

    @classmethod
    def answer(cls, process: "subprocess.Popen[str]") -> dict[str, Any]:
        """A process's answer."""
        answer: dict[str, Any] = json.loads(cls._line(process))
        return answer

    @staticmethod
    def _line(process: "subprocess.Popen[str]") -> str:
        assert process.stdout is not None
        return process.stdout.readline()
