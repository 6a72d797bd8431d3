"""Measures, as ratios against floors taken in the same run: `python -m tests.bench`.

Absolute times mean nothing on shared machines, so both sides are taken in turn, A B A B …, and
what is printed is the ratio of their medians. `--json` prints the samples' summary.

Rows so far: `start` (a process started, initialised, its tools listed, against an empty server of
the same SDK), `read` and `write` (a tool call, against a call that does nothing, and against that
plus one write, fsync and rename).
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.world import World

EMPTY = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("empty")
@server.tool()
def nothing(text: str) -> str:
    return text
server.run("stdio")
"""


@dataclass(frozen=True)
class Row:
    """One measure: medians in milliseconds, their ratio, and the bar it must stay under."""

    name: str
    ours_ms: float
    ours_p99_ms: float
    floor_ms: float
    ratio: float
    bar: float
    met: bool


def row(name: str, ours: list[float], floor: list[float], bar: float) -> Row:
    """Summarise two series of seconds."""
    ratio = statistics.median(ours) / statistics.median(floor)
    worst = sorted(ours)[int(len(ours) * 0.99)]
    return Row(
        name, _ms(statistics.median(ours)), _ms(worst), _ms(statistics.median(floor)),
        round(ratio, 2), bar, ratio <= bar,
    )  # fmt: skip


def start(clone: Path, rounds: int) -> Row:
    """Process start to tools listed."""
    ours, floor = [], []
    for _ in range(rounds):
        ours.append(anyio.run(_start_once, _server(clone)))
        floor.append(anyio.run(_start_once, _empty(clone)))
    return row("start → tools listed", ours, floor, 1.2)


def calls(clone: Path, rounds: int) -> list[Row]:
    """A read and a durable write through MCP."""
    return anyio.run(_calls, clone, rounds)


async def _calls(clone: Path, rounds: int) -> list[Row]:
    async with (
        Client(stdio_client(_server(clone))) as csc,
        Client(stdio_client(_empty(clone))) as empty,
    ):
        await csc.call_tool("sign_on", {})
        for number in range(100):
            await csc.call_tool("store_data", {"scope": "s", "key": f"k{number}", "value": number})
        reads, writes, nothing, files = [], [], [], []
        for number in range(rounds):
            key = f"k{number % 100}"
            read = {"scope": "s", "key": key}
            write = {**read, "value": -number - 1}
            reads.append(await _timed(csc, "retrieve_data", read))
            nothing.append(await _timed(empty, "nothing", {"text": "x"}))
            writes.append(await _timed(csc, "store_data", write))
            files.append(_write_file(clone / ".git" / "csc" / "floor", number))
    floor = [call + file for call, file in zip(nothing, files, strict=True)]
    return [row("read, 100 keys", reads, nothing, 1.3), row("write, 100 keys", writes, floor, 1.8)]


async def _start_once(parameters: StdioServerParameters) -> float:
    began = time.perf_counter()
    async with Client(stdio_client(parameters), mode="legacy") as client:
        await client.list_tools()
        return time.perf_counter() - began


async def _timed(client: Client, tool: str, arguments: dict[str, Any]) -> float:
    began = time.perf_counter()
    await client.call_tool(tool, arguments)
    return time.perf_counter() - began


def _write_file(path: Path, number: int) -> float:
    began = time.perf_counter()
    temporary = path.with_suffix(".new")
    with temporary.open("w") as file:
        file.write(str(number))
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    return time.perf_counter() - began


def _server(clone: Path) -> StdioServerParameters:
    arguments = ["-m", "csc_git", "serve", "--no-sync"]
    return StdioServerParameters(command=sys.executable, args=arguments, cwd=clone)


def _empty(clone: Path) -> StdioServerParameters:
    return StdioServerParameters(command=sys.executable, args=["-c", EMPTY], cwd=clone)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--row", choices=["start", "calls"], help="only this one")
    parser.add_argument("--rounds", type=int, default=15, help="samples of each side")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as directory:
        clone = World(Path(directory)).clone("one")
        if options.row != "calls":
            rows.append(start(clone, options.rounds))
        if options.row != "start":
            rows += calls(clone, options.rounds * 20)
    if options.json:
        print(json.dumps([asdict(one) for one in rows], indent=2))
        return
    print(f"{'':<24}{'ours ms':>10}{'p99':>10}{'floor ms':>10}{'ratio':>8}{'bar':>6}")
    for one in rows:
        met = "met" if one.met else "NOT met"
        print(
            f"{one.name:<24}{one.ours_ms:>10}{one.ours_p99_ms:>10}{one.floor_ms:>10}"
            f"{one.ratio:>8}{one.bar:>6}  {met}"
        )


if __name__ == "__main__":
    main()
