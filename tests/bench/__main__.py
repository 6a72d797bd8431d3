"""Measure and print a table, or JSON with `--json`, of all rows or of those named."""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.bench import __doc__ as about
from tests.bench.calls import calls
from tests.bench.crowd import many_clones, one_clone
from tests.bench.footprint import disk, memory, starting
from tests.bench.remote import offline, visible
from tests.bench.row import Report, Row
from tests.bench.scale import scale
from tests.world import World

Measure = Callable[[World, Report, int], list[Row]]

ROWS: dict[str, Measure] = {
    "calls": calls,
    "scale": scale,
    "processes": one_clone,
    "clones": many_clones,
    "visible": visible,
    "offline": offline,
    "start": starting,
    "memory": memory,
    "disk": disk,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=about
    )
    parser.add_argument(
        "--row",
        choices=ROWS,
        action="append",
        help="only this; may be repeated",
    )
    parser.add_argument(
        "--rounds", type=int, default=300, help="samples of each side"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    rows = list[Row]()
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("")
        for name in options.row or ROWS:

            def report(words: str, name: str = name) -> None:
                progress.update(task, description=f"{name}: {words}")
                if not console.is_terminal:
                    print(f"{name}: {words}", file=sys.stderr)

            with tempfile.TemporaryDirectory(prefix="csc-bench-") as directory:
                world = World(Path(directory))
                rows += ROWS[name](world, report, options.rounds)
                world.close()
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        _print(rows)


def _print(rows: list[Row]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in (
        "",
        "unit",
        "min",
        "median",
        "p99",
        "floor",
        "value",
        "bar",
        "",
    ):
        table.add_column(
            title, justify="left" if title in {"", "bar"} else "right"
        )
    for row in rows:
        ours = [
            f"{n:.3g}" if n < 1000 else f"{n:.0f}"
            for n in (row.ours.least, row.ours.median, row.ours.p99)
        ]
        floor = f"{row.floor.median:.3g}" if row.floor else ""
        met = "met" if row.met else "NOT met"
        table.add_row(
            row.name, row.unit, *ours, floor, f"{row.value:g}", row.bar, met
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    for row in rows:
        if row.note:
            print(f"{row.name}: {row.note}")


if __name__ == "__main__":
    main()
