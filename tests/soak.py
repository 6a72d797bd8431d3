"""Soaks: long runs of short tests. `python -m tests.soak` runs all, `… NAME` some.

counter     8 clones over http add 1 to one counter, 200 times each, by conditional write
claims      8 clones over http race for one claim, 50 rounds
cut         the same, with 3 of 10 pushes cut off before or after the remote took them
clocks      the same, with clocks from 3 hours behind to 3 hours ahead (needs faketime)
model       1,000 random histories of several clones against a plain model
kills       kill -9 at every system call of every operation that writes (needs strace)
errors      ENOSPC, EIO, EMFILE and EACCES at each of them, in four passes
power       50 power cuts of ext4 and 50 of XFS, half of them offline (needs root)
crowd       16 processes write 100 times each into one clone, with gc, rebases … going on beside
http, ssh   16 clones make 50 confirmed edits each through one remote
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

import click

from tests import concurrent_writers, races
from tests.faults import call_sweep, power
from tests.faults.faulted_process import ACTIONS
from tests.git_servers import http_server, ssh_server
from tests.world import ROOT, Progress, World

_FAIREST = 3.0
"""How many times as long as the fastest writer the slowest one may take."""


class Result(NamedTuple):
    """Whether all promises were kept, and what happened."""

    good: bool
    summary: str


def soak_counter(
    directory: Path, count: int | None, progress: Progress
) -> Result:
    times = count or 200
    progress(f"8 clones add 1, {times} times each")
    found = races.count_together(directory, 8, times)
    good = found["value"] == 8 * times and not found["conflicts"]
    return Result(good, str(found))


def _claims(
    directory: Path,
    count: int | None,
    progress: Progress,
    *,
    cut: float = 0,
    hours: int = 0,
) -> Result:
    rounds = count or 50
    won = races.race_for_claims(
        directory, 8, rounds, cut=cut, hours_apart=hours, progress=progress
    )
    return Result(
        won == [1] * rounds, f"{rounds} rounds, {won.count(1)} with one winner"
    )


def soak_claims(
    directory: Path, count: int | None, progress: Progress
) -> Result:
    return _claims(directory, count, progress)


def soak_cut(directory: Path, count: int | None, progress: Progress) -> Result:
    return _claims(directory, count, progress, cut=0.3)


def soak_clocks(
    directory: Path, count: int | None, progress: Progress
) -> Result:
    return _claims(directory, count, progress, hours=3)


def soak_model(_: Path, count: int | None, progress: Progress) -> Result:
    examples = count or 1000
    progress(f"{examples} histories")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--timeout=0",
        "tests/test_model.py",
    ]
    env = os.environ | {"CSC_TEST_EXAMPLES": str(examples)}
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    return Result(
        done.returncode == 0,
        f"{examples} histories{done.stdout[-3000:] * (done.returncode > 0)}",
    )


def _sweep_all(
    directory: Path,
    progress: Progress,
    strike: Callable[[call_sweep.CallSweep], call_sweep.Tally],
) -> Result:
    total = call_sweep.Tally()
    for action in (*ACTIONS, "git"):
        place = Path(tempfile.mkdtemp(dir=directory, prefix=f"{action}-"))
        found = strike(call_sweep.CallSweep(place, action, progress=progress))
        total.faults += found.faults
        total.acknowledged += found.acknowledged
        total.errors += found.errors
        total.absorbed += found.absorbed
        total.broken += found.broken
    summary = f"{total.faults} faults, {total.acknowledged} edits acknowledged"
    summary += f", {dict(total.errors)}"
    harmless = (
        f"; no harm: {dict(total.absorbed.most_common(12))}"
        if total.absorbed
        else ""
    )
    return Result(
        not total.broken, f"{summary}{harmless}{' '.join(total.broken)}"
    )


def soak_kills(directory: Path, _: int | None, progress: Progress) -> Result:
    return _sweep_all(directory, progress, lambda one: one.kill())


def soak_errors(
    directory: Path, count: int | None, progress: Progress
) -> Result:
    """In each pass each call fails with one error; in four, with each."""
    found = [
        _sweep_all(directory, progress, _turn(number))
        for number in range(count or 4)
    ]
    summary = (
        f"pass {number}: {one.summary}" for number, one in enumerate(found, 1)
    )
    return Result(all(one.good for one in found), "\n".join(summary))


def _turn(number: int) -> Callable[[call_sweep.CallSweep], call_sweep.Tally]:
    turned = call_sweep.ERRORS[number:] + call_sweep.ERRORS[:number]
    return lambda one: one.fail(turned)


def soak_power_cuts(
    directory: Path, count: int | None, progress: Progress
) -> Result:
    summary, lost = [], list[str]()
    for system in power.SYSTEMS:
        total = power.Cuts()
        for number in range(count or 50):
            progress(f"{system}: cut {number + 1}")
            place = Path(tempfile.mkdtemp(dir=directory))
            total += power.cut_power(
                place,
                system,
                online=number % 2 == 0,
                chance=Random(number),  # noqa: S311
            )
        summary.append(f"{system}: {total}")
        lost += total.lost
    return Result(not lost, "\n".join(summary))


def soak_crowd(
    directory: Path, count: int | None, progress: Progress
) -> Result:
    times = count or 100
    progress(f"16 processes, {times} writes each")
    return _judged(concurrent_writers.write_in_one_clone(directory, 16, times))


def soak_http(directory: Path, count: int | None, progress: Progress) -> Result:
    progress(f"16 clones over http, {count or 50} confirmed edits each")
    world = World(directory)
    world.make_remote()
    with http_server(directory) as server:
        return _judged(
            concurrent_writers.write_in_many_clones(
                world, server.url("remote.git"), 16, count or 50
            )
        )


def soak_ssh(directory: Path, count: int | None, progress: Progress) -> Result:
    progress(f"16 clones over ssh, {count or 50} confirmed edits each")
    world = World(directory)
    remote = world.make_remote()
    with ssh_server(directory / "ssh") as server:
        os.environ |= {
            "SSH_AUTH_SOCK": server.agent, "GIT_SSH_COMMAND": f"ssh -F {server.config}"
        }  # fmt: skip
        return _judged(
            concurrent_writers.write_in_many_clones(
                world, server.url(remote), 16, count or 50
            )
        )


def _judged(made: concurrent_writers.CrowdResult) -> Result:
    summary = (
        f"{made.edits} edits, {len(made.lost)} not there once, {len(made.disordered)} out of "
        f"order, slowest to fastest {made.spread:.2f}, {max(made.seconds):.0f} s"
    )
    beside = f"; beside: {dict(made.beside)}" if made.beside else ""
    fair = made.spread <= _FAIREST
    return Result(
        not made.lost and not made.disordered and fair, summary + beside
    )


SOAKS: dict[str, Callable[[Path, int | None, Progress], Result]] = {
    "counter": soak_counter, "claims": soak_claims, "cut": soak_cut, "clocks": soak_clocks,
    "model": soak_model,
    "kills": soak_kills, "errors": soak_errors, "power": soak_power_cuts,
    "crowd": soak_crowd, "http": soak_http,
    "ssh": soak_ssh,
}  # fmt: skip


@click.command(help=(__doc__ or "").replace("\n\n", "\n\n\b\n"))
@click.argument("names", nargs=-1, type=click.Choice(list(SOAKS)))
@click.option(
    "--count", type=int, help="How often, instead of the number above."
)
def main(names: tuple[str, ...], count: int | None) -> None:
    failed = [name for name in names or SOAKS if not _run_soak(name, count)]
    print(
        f"\nFAILED: {', '.join(failed)}"
        if failed
        else "\nAll promises were kept."
    )
    sys.exit(bool(failed))


def _run_soak(name: str, count: int | None) -> bool:
    began = time.monotonic()

    def progress(text: str) -> None:
        line = f"{name} {time.monotonic() - began:5.0f} s  {text}"
        end = "" if sys.stderr.isatty() else "\n"
        print(f"\r{line:<79.79}", end=end, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="csc-soak-") as place:
        _fresh_home(Path(place))
        result = SOAKS[name](Path(place), count, progress)
    word = "ok" if result.good else "FAILED"
    print(
        f"\n{name}: {word} in {time.monotonic() - began:.0f} s\n{result.summary}",
        flush=True,
    )
    return result.good


def _fresh_home(directory: Path) -> None:
    """Use a home directory and git settings of its own."""
    home = directory / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Test\n\temail = test@example.com\n[init]\n\tdefaultBranch = main\n",
        encoding="utf-8",
    )
    os.environ |= {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}


if __name__ == "__main__":
    main()
