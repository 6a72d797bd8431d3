"""A long history made quickly, by git fast-import, and how long questions about it take.

`python -m tests.long_history [COMMITS]` prints a table beside a history of 1,000 commits. The
default is 100,000. A busy team makes a million in a year.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from csc_git.coordinator.coordinator import Coordinator
from csc_git.core.edit import Record
from csc_git.core.key import Key
from csc_git.core.value import Entry
from tests.world import REF, World, git, put, state_of

FIRST_EDIT = datetime(2026, 1, 1, tzinfo=UTC)
SCOPE_COUNT = 200
RARE = Key(("rare",), "once")


def grow(coordinator: Coordinator, commits: int) -> None:
    """Add edits to a store that has one, a second apart, in 200 scopes in turn."""
    repository = coordinator.store.repository
    tip = str(coordinator.store.branch.tip)
    with subprocess.Popen(
        ["git", "fast-import", "--quiet", "--done"],
        cwd=repository.path,
        stdin=subprocess.PIPE,
    ) as child:
        assert child.stdin is not None
        for chunk in _stream(commits, tip):
            child.stdin.write(chunk)
    assert child.returncode == 0
    git("gc", "-q", cwd=repository.path)
    repository.maintenance.write_graph()


def _stream(commits: int, tip: str) -> Iterator[bytes]:
    for number in range(commits):
        now = FIRST_EDIT + timedelta(seconds=number)
        key = Key(("issue", str(number % SCOPE_COUNT)), "status")
        if number == commits // 10:
            key = RARE
        session = f"claude_{number % 7}@laptop"
        record = Record(f"store {key}", f"{number:032x}", session, now)
        message = record.message().encode()
        blob = Entry({"step": number}, session, now).encode()
        path = b"data/" + b"/".join(key.path)
        when = b"%d +0000" % int(now.timestamp())
        yield b"commit %s\n" % REF.encode()
        yield b"author %s <t@example.com> %s\n" % (session.encode(), when)
        yield b"committer laptop <t@example.com> %s\n" % when
        yield b"data %d\n%s\n" % (len(message), message)
        if number == 0:
            yield b"from %s\n" % tip.encode()
        yield b"M 100644 inline %s\ndata %d\n%s\n" % (path, len(blob), blob)
    yield b"done\n"


def questions(
    coordinator: Coordinator, commits: int
) -> dict[str, Callable[[], Any]]:
    """Questions that people ask of a history."""
    past = coordinator.past
    middle = (FIRST_EDIT + timedelta(seconds=commits // 2)).isoformat()
    return {
        "newest 20 edits": past.history,
        "newest 20 of a scope": lambda: past.history("issue:7"),
        "all 500 of a scope": lambda: past.history("issue:7", limit=500),
        "newest 20 of a session": lambda: past.history(
            session="claude_3@laptop"
        ),
        "a key changed once, long ago": lambda: past.history("rare", "once"),
        "of a scope, before a time": lambda: past.history(
            "issue:7", until=middle
        ),
        "read as of a time half-way back": lambda: coordinator.values.retrieve(
            "issue:7", "status", at=middle
        ),
        "blame a scope": lambda: past.blame("issue:7"),
        "diff now and half-way back": lambda: past.diff(middle),
    }


def daily(
    world: World, coordinator: Coordinator
) -> dict[str, Callable[[], Any]]:
    """Actions that every session does, however long the history is."""
    numbers = count()

    def write() -> None:
        put(coordinator, "issue:7", "status", next(numbers))

    def sync() -> None:
        write()
        assert state_of(coordinator) == "ok"

    def join() -> None:
        clone = world.open(f"joined-{next(numbers)}", timeout=3000)
        put(clone, "issue:8", "status", "of a clone that joins")
        assert state_of(clone) == "ok"

    return {
        "open": lambda: world.open(coordinator.project.top).close(),
        "read": lambda: coordinator.values.retrieve("issue:7", "status"),
        "write": write,
        "status": coordinator.summary.status,
        "write, replay and push": sync,
        "another clone joins, with an edit": join,
    }


def main(commits: int = 100_000) -> None:
    with tempfile.TemporaryDirectory(prefix="csc-long-") as name:
        columns: list[dict[str, float]] = []
        for edits in (1000, commits):
            world = World(Path(name) / str(edits))
            world.directory.mkdir()
            coordinator = world.open("one", timeout=3000)
            put(coordinator, "plan", "first", 1)
            grow(coordinator, edits)
            assert state_of(coordinator) == "ok"
            asked = daily(world, coordinator) | questions(coordinator, edits)
            columns.append({what: _seconds(ask) for what, ask in asked.items()})
            world.close()
    print(f"{'seconds':<40}{'1,000 edits':>14}{f'{commits:,} edits':>18}")
    for what, seconds in columns[1].items():
        print(f"{what:<40}{columns[0][what]:>14.4f}{seconds:>18.4f}")


def _seconds(ask: Callable[[], Any]) -> float:
    """The median of three runs."""
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - began)
    return sorted(taken)[1]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
