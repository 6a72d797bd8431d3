"""Soaks: the races and the model at length, with a progress display. `python -m tests.soak --help`.

counter     8 clones over http add 1 to one counter, 200 times each, by conditional write
claims      8 clones over http race for one claim, 50 rounds
cut         the same, with 3 of 10 pushes cut off before or after the remote took them
clocks      the same, with clocks from 3 hours behind to 3 hours ahead (needs faketime)
model       1,000 random histories of several clones against a plain model
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from tests import races

ROOT = Path(__file__).parent.parent


def _say(text: str) -> None:
    print(f"\r{text:<60}", end="" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)


@click.command(help=__doc__)
@click.argument("which", type=click.Choice(["counter", "claims", "cut", "clocks", "model"]))
@click.option("--clones", default=8, show_default=True)
@click.option("--count", type=int, help="Increments, rounds or examples; default as above.")
def main(which: str, clones: int, count: int | None) -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="csc-soak-") as name:
        directory = Path(name)
        if which == "counter":
            times = count or 200
            found = races.counter(directory, clones, times)
            said, good = str(found), found["value"] == clones * times and not found["conflicts"]
        elif which == "model":
            good, said = _model(count or 1000)
        else:
            rounds = count or 50
            won = races.claims(
                directory,
                clones,
                rounds,
                cut=0.3 if which == "cut" else 0.0,
                hours_apart=3 if which == "clocks" else 0,
                progress=_say,
            )
            said, good = f"winners a round: {won}", won == [1] * rounds
    print(f"\n{which}: {'ok' if good else 'FAILED'} in {time.monotonic() - began:.0f} s\n{said}")
    sys.exit(not good)


def _model(examples: int) -> tuple[bool, str]:
    command = [sys.executable, "-m", "pytest", "-q", "--timeout=0", "tests/test_model.py"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"CSC_TEST_EXAMPLES": str(examples)}, check=False
    )
    return done.returncode == 0, f"{examples} examples"


if __name__ == "__main__":
    main()
