"""Races between clones: one counter, one claim a round. Short ones are tests, long ones soaks.

Every clone is a process of its own with a clone of its own; all share one remote over http.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.git_servers import http_server
from tests.world import ROOT, Crowd, Progress, World, git


def count_together(directory: Path, clones: int, times: int) -> dict[str, int]:
    """Each of several clones adds 1 to one counter so often, by conditional write."""
    world = World(directory)
    world.make_remote()
    with http_server(directory) as server:
        paths = [
            world.clone(f"c{n}", server.url("remote.git"))
            for n in range(clones)
        ]
        answers = Crowd(
            [["count", str(path), path.name, str(times)] for path in paths]
        ).run()
        reader = world.open("c0")
        reader.syncing.sync()
        value = reader.values.retrieve("shared", "counter").value
        conflicts = len(reader.conflicts.open())
        world.close()
    git("fsck", "--strict", cwd=world.remote)
    refused = sum(answer["refused"] for answer in answers)
    return {"value": value, "refused": refused, "conflicts": conflicts}


def race_for_claims(
    directory: Path,
    clones: int,
    rounds: int,
    *,
    cut: float = 0.0,
    hours_apart: int = 0,
    progress: Progress = lambda _: None,
) -> list[int]:
    """Several clones race for one claim a round; how many won each round.

    Args:
        directory: Where to work.
        clones: How many.
        rounds: How many.
        cut: Share of pushes whose connection is cut; see `HttpServer`.
        hours_apart: Clocks of the clones are spread over plus and minus so many hours.
        progress: Called with each round.
    """
    world = World(directory)
    world.make_remote()
    with http_server(directory) as server:
        paths = [
            world.clone(f"c{n}", server.url("remote.git"))
            for n in range(clones)
        ]
        server.cut = cut
        racers = [
            _racer(path, rounds, _offset(number, clones, hours_apart))
            for number, path in enumerate(paths)
        ]
        try:
            won = _run_rounds(racers, rounds, progress)
        finally:
            for racer in racers:
                racer.kill()
                racer.communicate()
        if cut:
            assert server.cuts, "no connection was cut"
    git("fsck", "--strict", cwd=world.remote)
    return won


def _offset(number: int, clones: int, hours: int) -> float:
    return hours * (2 * number / (clones - 1) - 1)


def _racer(clone: Path, rounds: int, offset: float) -> "subprocess.Popen[str]":
    command = [sys.executable, str(ROOT / "tests" / "crowd_worker.py"), "race"]
    if offset:
        faketime = shutil.which("faketime")
        assert faketime, "install faketime"
        command = [
            faketime,
            "--exclude-monotonic",
            "-f",
            f"{offset * 3600:+.0f}s",
            *command,
        ]
    return subprocess.Popen(
        [*command, str(clone), clone.name, str(rounds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _run_rounds(
    racers: list["subprocess.Popen[str]"], rounds: int, progress: Progress
) -> list[int]:
    for racer in racers:
        assert _line(racer) == "ready\n"
        _say(racer, "go")
    for number in range(rounds):
        for racer in racers:
            assert _line(racer) == "round\n"
        for racer in racers:
            _say(racer, "go")
        progress(f"round {number + 1} of {rounds}")
    won = [0] * rounds
    for racer in racers:
        for number in Crowd.answer(racer)["won"]:
            won[number] += 1
    return won


def _line(racer: "subprocess.Popen[str]") -> str:
    assert racer.stdout is not None
    return racer.stdout.readline()


def _say(racer: "subprocess.Popen[str]", word: str) -> None:
    assert racer.stdin is not None
    racer.stdin.write(word + "\n")
    racer.stdin.flush()
