"""Soaks: what the tests do in short, at length. `python -m tests.soak` runs all, `… NAME` some.

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

from tests import races
from tests.faults import crowds, power, siege
from tests.faults.victim import ACTIONS
from tests.git_servers import http_server, ssh_server
from tests.world import World

ROOT = Path(__file__).parent.parent
_FAIREST = 3.0
"""How often as long as the fastest member of a crowd the slowest may take."""

Progress = Callable[[str], None]


class Result(NamedTuple):
    """Whether all promises held, and what happened."""

    good: bool
    said: str


def counter(directory: Path, count: int | None, progress: Progress) -> Result:
    times = count or 200
    progress(f"8 clones add 1, {times} times each")
    found = races.counter(directory, 8, times)
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
    won = races.claims(
        directory, 8, rounds, cut=cut, hours_apart=hours, progress=progress
    )
    return Result(
        won == [1] * rounds, f"{rounds} rounds, {won.count(1)} with one winner"
    )


def claims(directory: Path, count: int | None, progress: Progress) -> Result:
    return _claims(directory, count, progress)


def cut(directory: Path, count: int | None, progress: Progress) -> Result:
    return _claims(directory, count, progress, cut=0.3)


def clocks(directory: Path, count: int | None, progress: Progress) -> Result:
    return _claims(directory, count, progress, hours=3)


def model(_: Path, count: int | None, progress: Progress) -> Result:
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


def _siege(
    directory: Path,
    progress: Progress,
    strike: Callable[[siege.Siege], siege.Tally],
) -> Result:
    total = siege.Tally()
    for action in (*ACTIONS, "git"):
        place = Path(tempfile.mkdtemp(dir=directory, prefix=f"{action}-"))
        found = strike(siege.Siege(place, action, progress=progress))
        total.faults += found.faults
        total.acknowledged += found.acknowledged
        total.errors += found.errors
        total.absorbed += found.absorbed
        total.broken += found.broken
    said = f"{total.faults} faults, {total.acknowledged} edits acknowledged, {dict(total.errors)}"
    harmless = (
        f"; no harm: {dict(total.absorbed.most_common(12))}"
        if total.absorbed
        else ""
    )
    return Result(not total.broken, f"{said}{harmless}{' '.join(total.broken)}")


def kills(directory: Path, _: int | None, progress: Progress) -> Result:
    return _siege(directory, progress, lambda one: one.kill())


def errors(directory: Path, count: int | None, progress: Progress) -> Result:
    """In each pass each call fails with one error; in four, with each."""
    found = [
        _siege(directory, progress, _turn(number))
        for number in range(count or 4)
    ]
    said = (f"pass {number}: {one.said}" for number, one in enumerate(found, 1))
    return Result(all(one.good for one in found), "\n".join(said))


def _turn(number: int) -> Callable[[siege.Siege], siege.Tally]:
    turned = siege.ERRORS[number:] + siege.ERRORS[:number]
    return lambda one: one.fail(turned)


def power_cuts(
    directory: Path, count: int | None, progress: Progress
) -> Result:
    said, lost = [], list[str]()
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
        said.append(f"{system}: {total}")
        lost += total.lost
    return Result(not lost, "\n".join(said))


def crowd(directory: Path, count: int | None, progress: Progress) -> Result:
    times = count or 100
    progress(f"16 processes, {times} writes each")
    return _judged(crowds.one_clone(directory, 16, times))


def http(directory: Path, count: int | None, progress: Progress) -> Result:
    progress(f"16 clones over http, {count or 50} confirmed edits each")
    world = World(directory)
    world.make_remote()
    with http_server(directory) as server:
        return _judged(
            crowds.many_clones(world, server.url("remote.git"), 16, count or 50)
        )


def ssh(directory: Path, count: int | None, progress: Progress) -> Result:
    progress(f"16 clones over ssh, {count or 50} confirmed edits each")
    world = World(directory)
    remote = world.make_remote()
    with ssh_server(directory / "ssh") as server:
        os.environ |= {
            "SSH_AUTH_SOCK": server.agent, "GIT_SSH_COMMAND": f"ssh -F {server.config}"
        }  # fmt: skip
        return _judged(
            crowds.many_clones(world, server.url(remote), 16, count or 50)
        )


def _judged(made: crowds.Crowding) -> Result:
    said = (
        f"{made.edits} edits, {len(made.lost)} not there once, {len(made.disordered)} out of "
        f"order, slowest to fastest {made.spread:.2f}, {max(made.seconds):.0f} s"
    )
    beside = f"; beside: {dict(made.beside)}" if made.beside else ""
    fair = made.spread <= _FAIREST
    return Result(not made.lost and not made.disordered and fair, said + beside)


SOAKS: dict[str, Callable[[Path, int | None, Progress], Result]] = {
    "counter": counter, "claims": claims, "cut": cut, "clocks": clocks, "model": model,
    "kills": kills, "errors": errors, "power": power_cuts, "crowd": crowd, "http": http,
    "ssh": ssh,
}  # fmt: skip


@click.command(help=(__doc__ or "").replace("\n\n", "\n\n\b\n"))
@click.argument("names", nargs=-1, type=click.Choice(list(SOAKS)))
@click.option(
    "--count", type=int, help="How often, instead of the number above."
)
def main(names: tuple[str, ...], count: int | None) -> None:
    failed = [name for name in names or SOAKS if not _run(name, count)]
    print(
        f"\nFAILED: {', '.join(failed)}" if failed else "\nAll promises held."
    )
    sys.exit(bool(failed))


def _run(name: str, count: int | None) -> bool:
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
        f"\n{name}: {word} in {time.monotonic() - began:.0f} s\n{result.said}",
        flush=True,
    )
    return result.good


def _fresh_home(directory: Path) -> None:
    """Git settings that owe nothing to whoever runs this."""
    home = directory / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Test\n\temail = test@example.com\n[init]\n\tdefaultBranch = main\n",
        encoding="utf-8",
    )
    os.environ |= {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}


if __name__ == "__main__":
    main()
