"""A world to test in: one remote, clones of it, coordinators over them, real processes."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.edits import Author
from csc_git.coordinator.factory import open_coordinator
from csc_git.core.edit import Record

ROOT = Path(__file__).parent.parent
REF = "refs/heads/csc/state"


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
    """One remote and its clones."""

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


def person(coordinator: Coordinator) -> Author:
    """An author who needs no session."""
    return coordinator.person("tester")


def put(
    coordinator: Coordinator, scope: str, key: str, value: Any, **more: Any
) -> str:
    """Store a value as a person; the op, or `same`."""
    stored = coordinator.edits.put(
        person(coordinator), scope, key, value, **more
    )
    return stored.op or "same"


def state_of(coordinator: Coordinator) -> str:
    """Sync once; the state it ended in."""
    return str(coordinator.sync().state)


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
                [sys.executable, str(ROOT / "tests" / "worker.py"), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for command in commands
        ]

    def run(self) -> list[dict[str, Any]]:
        """Open the gate once everybody stands there; each process's last word."""
        return self.start()()

    def start(self) -> Callable[[], list[dict[str, Any]]]:
        """Open the gate, and go on; call the result for each process's last word."""
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
        """A process's last word."""
        said: dict[str, Any] = json.loads(cls._line(process))
        return said

    @staticmethod
    def _line(process: "subprocess.Popen[str]") -> str:
        assert process.stdout is not None
        return process.stdout.readline()


def rot(repository: Path, path: str, ref: str = REF) -> None:
    """Have the disk give back other bytes than were written, of the file at a path of a branch."""
    wanted = git("rev-parse", f"{ref}:{path}", cwd=repository).strip()
    for listing in (repository / "objects/pack").glob("*.idx"):
        shown = subprocess.run(
            ["git", "show-index"], input=listing.read_bytes(), capture_output=True, check=True,
            cwd=repository,
        ).stdout.decode()  # fmt: skip
        places = {
            name: int(offset)
            for offset, name, *_ in map(str.split, shown.splitlines())
        }
        if wanted in places:
            pack = listing.with_suffix(".pack")
            pack.chmod(0o644)
            with pack.open("r+b") as file:
                file.seek(places[wanted] + 6)
                file.write(b"\xff" * 4)
            return
    raise AssertionError(f"{path} is in no pack")
