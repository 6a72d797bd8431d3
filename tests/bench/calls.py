"""Tool calls through the real client over stdio: reads and durable writes, at any size."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from csc_git.core.key import Key
from csc_git.store.transaction import Draft
from tests.bench import floors
from tests.bench.row import Report, Row, ratio
from tests.world import World

SMALL, LARGE = 100, 100_000


def calls(world: World, report: Report, rounds: int) -> list[Row]:
    """Reads and writes in a store of 100 keys, and in one of 100,000."""
    clones = {size: filled(world, size, report) for size in (SMALL, LARGE)}
    report("reading and writing")
    made = anyio.run(_measure_sizes, clones, rounds)
    floor = [
        one + two for one, two in zip(made.nothing, made.files, strict=True)
    ]
    sqlite = _times(made.sqlite, made.files)
    return [
        ratio(
            "write, 100 keys",
            made.writes[SMALL],
            floor,
            1.8,
            f"SQLite's own: {sqlite}× the file",
        ),
        ratio(
            "write, 100,000 keys", made.writes[LARGE], made.writes[SMALL], 1.25
        ),
        ratio("read, 100 keys", made.reads[SMALL], made.nothing, 1.3),
        ratio("read, 100,000 keys", made.reads[LARGE], made.nothing, 1.3),
    ]


def filled(world: World, keys: int, report: Report) -> Path:
    """A clone whose store has this many keys in one scope."""
    report(f"making a store of {keys:,} keys")
    one = world.open(f"of-{keys}")
    puts = {Key(("s",), f"k{number}"): number for number in range(keys)}
    one.store.transact(
        lambda _: Draft("fill", "bench", puts), datetime.now(UTC)
    )
    one.store.repository.maintenance.run()
    return world.directory / f"of-{keys}"


@dataclass
class _Made:
    """Seconds, by what was done."""

    reads: dict[int, list[float]] = field(
        default_factory=lambda: {SMALL: [], LARGE: []}
    )
    writes: dict[int, list[float]] = field(
        default_factory=lambda: {SMALL: [], LARGE: []}
    )
    nothing: list[float] = field(default_factory=list)
    files: list[float] = field(default_factory=list)
    sqlite: list[float] = field(default_factory=list)


async def _measure_sizes(clones: dict[int, Path], rounds: int) -> _Made:
    made, clone = _Made(), clones[SMALL]
    sqlite = floors.Sqlite(clone / ".git" / "csc" / "floor.sqlite")
    async with (
        Client(
            stdio_client(floors.server(clones[SMALL], "--no-sync"))
        ) as small,
        Client(
            stdio_client(floors.server(clones[LARGE], "--no-sync"))
        ) as large,
        Client(stdio_client(floors.empty(clone))) as empty,
    ):
        servers = {SMALL: small, LARGE: large}
        for server in servers.values():
            await server.call_tool("sign_on", {})
        for number in range(-20, rounds):
            measured = (
                made if number >= 0 else _Made()
            )  # the first ones warm up
            key = f"k{number % SMALL}"
            for side in random.sample(
                [*servers, "nothing", "files"], 4
            ):  # no side comes first
                if isinstance(side, int):
                    await _ours(servers[side], key, number, measured, side)
                elif side == "nothing":
                    measured.nothing.append(
                        await timed(empty, "nothing", {"text": "x"})
                    )
                else:
                    path = clone / ".git" / "csc" / "floor"
                    measured.files.append(floors.write_file(path, number))
                    measured.sqlite.append(sqlite.write(key, number))
    return made


async def _ours(
    server: Client, key: str, number: int, measured: _Made, size: int
) -> None:
    """A read and a write, in either order."""
    read = {"scope": "s", "key": key}
    for tool in random.sample(["retrieve_data", "store_data"], 2):
        if tool == "retrieve_data":
            measured.reads[size].append(await timed(server, tool, read))
        else:
            write = read | {"value": -number - 1000}
            measured.writes[size].append(await timed(server, tool, write))


async def timed(client: Client, tool: str, arguments: dict[str, Any]) -> float:
    """Seconds for one call that must succeed."""
    began = time.perf_counter()
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return time.perf_counter() - began


async def start(parameters: StdioServerParameters) -> float:
    """Seconds from a process's start until its tools are listed."""
    began = time.perf_counter()
    async with Client(stdio_client(parameters), mode="legacy") as client:
        await client.list_tools()
        return time.perf_counter() - began


def _times(ours: Sequence[float], floor: Sequence[float]) -> float:
    return ratio("", ours, floor, 0).value
