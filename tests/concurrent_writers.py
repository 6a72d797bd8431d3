"""Many processes on one clone, and many clones of one remote. Short runs are tests.

No edit may be lost, and the branch has to keep real-time order: an edit that was acknowledged
before another one was begun precedes it.
"""

import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.world import Crowd, World, git

Timed = tuple[str, float, float]
"""An op, and the moments between which it was made."""

OUTSIDERS = (
    ("user", ["git", "gc", "-q", "--prune=now"]),
    ("user", ["git", "repack", "-adq"]),
    ("user", ["git", "pack-refs", "--all"]),
    ("user", ["git", "commit", "-q", "--allow-empty", "-m", "work"]),
    ("user", ["git", "rebase", "-q", "--force-rebase", "HEAD~1"]),
    ("user", ["git", "fetch", "-q", "--prune", "origin"]),
    ("ours", ["git", "gc", "-q", "--prune=now"]),
    ("ours", ["git", "repack", "-adq"]),
    ("ours", ["git", "commit-graph", "write", "--reachable"]),
)
"""Commands that run in a loop meanwhile, in the user's repository and in ours."""


@dataclass
class CrowdResult:
    """What a run of many writers did.

    Attributes:
        edits: How many were acknowledged.
        seconds: How long each member of the crowd took.
        beside: How often each of the other commands was run.
        lost: Edits that the branch does not have exactly once.
        disordered: Edits placed before one that was acknowledged before they were begun.
    """

    edits: int
    seconds: list[float]
    beside: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)

    @property
    def spread(self) -> float:
        """The slowest writer's time divided by that of the fastest."""
        return max(self.seconds) / min(self.seconds)


def write_in_one_clone(
    directory: Path, processes: int, times: int
) -> CrowdResult:
    """Run processes that write into one clone while other commands loop in it."""
    world = World(directory)
    clone = world.clone("one")
    git("commit", "-q", "--allow-empty", "-m", "work", cwd=clone)
    coordinator = world.open(clone)
    path = coordinator.store.repository.path
    commands = [
        ["timed", str(clone), f"p{n}", str(times)] for n in range(processes)
    ]
    with _outsiders(clone, path) as beside:
        answers = Crowd(commands).run()
    made = _judge(answers, [record.op for record in world.log(path)])
    made.beside = beside
    git("fsck", "--strict", "--no-dangling", cwd=path)
    world.close()
    return made


def write_in_many_clones(
    world: World, url: str, clones: int, times: int
) -> CrowdResult:
    """Run clones of one remote whose edits are confirmed one by one."""
    paths = [world.clone(f"c{n}", url) for n in range(clones)]
    answers = Crowd(
        [["confirmed", str(path), path.name, str(times)] for path in paths]
    ).run()
    made = _judge(answers, [record.op for record in world.log()])
    git("fsck", "--strict", cwd=world.remote)
    assert world.is_linear()
    return made


def disorder(timed: Sequence[Timed], branch: Sequence[str]) -> list[str]:
    """The ops placed before one that was acknowledged before they were begun."""
    moments = {op: (began, ended) for op, began, ended in timed}
    found, latest_begin = [], float("-inf")
    for op in branch:
        if op in moments:
            began, ended = moments[op]
            if ended < latest_begin:
                found.append(op)
            latest_begin = max(latest_begin, began)
    return found


def _judge(
    answers: Sequence[dict[str, object]], branch: list[str]
) -> CrowdResult:
    timed: list[Timed] = []
    for answer in answers:
        timed += map(tuple, answer["timed"])  # type: ignore[call-overload]
    counted = Counter(branch)
    return CrowdResult(
        edits=len(timed),
        seconds=[max(t[2] for t in answer["timed"]) - min(t[1] for t in answer["timed"])  # type: ignore[attr-defined]
                 for answer in answers],
        lost=[op for op, *_ in timed if counted[op] != 1],
        disordered=disorder(timed, branch),
    )  # fmt: skip


@contextmanager
def _outsiders(clone: Path, ours: Path) -> Iterator[Counter[str]]:
    """Run each of the other commands in a loop, in a thread of its own."""
    over, counted = threading.Event(), Counter[str]()

    def repeat(where: str, command: list[str]) -> None:
        while not over.is_set():
            directory = clone if where == "user" else ours
            subprocess.run(
                command, cwd=directory, capture_output=True, check=False
            )
            counted[f"{where}: {' '.join(command[:2])}"] += 1

    threads = [threading.Thread(target=repeat, args=one) for one in OUTSIDERS]
    for thread in threads:
        thread.start()
    try:
        yield counted
    finally:
        over.set()
        for thread in threads:
            thread.join()
