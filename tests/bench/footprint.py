"""What a server costs: its start, memory and disk."""

from pathlib import Path

import anyio
import psutil
from mcp.client import Client
from mcp.client.stdio import stdio_client

from tests.bench import floors
from tests.bench.calls import filled, start
from tests.bench.row import Report, Row, Spread, ratio
from tests.world import World, put


def starting(world: World, report: Report, rounds: int) -> list[Row]:
    """From a process's start until its tools are listed."""
    report("starting servers")
    clone, ours, floor = world.clone("start"), [], []
    for _ in range(max(3, rounds // 20)):
        ours.append(anyio.run(start, floors.server(clone, "--no-sync")))
        floor.append(anyio.run(start, floors.empty(clone)))
    return [ratio("start → tools listed", ours, floor, 1.2)]


def memory(world: World, report: Report, _: int) -> list[Row]:
    """Resident memory of a server after it read all of 10,000 keys and wrote a hundred."""
    clone = filled(world, 10_000, report)
    report("reading 10,000 keys")
    ours, floor = anyio.run(_resident, clone)
    return [ratio("memory, 10,000 keys", [ours], [floor], 1.5, unit="MB")]


async def _resident(clone: Path) -> tuple[float, float]:
    mine = psutil.Process()
    async with Client(stdio_client(floors.server(clone, "--no-sync"))) as csc:
        (ours,) = mine.children()
        await csc.call_tool("sign_on", {})
        for number in range(10_000):
            await csc.call_tool(
                "retrieve_data", {"scope": "s", "key": f"k{number}"}
            )
        for number in range(100):
            await csc.call_tool(
                "store_data",
                {"scope": "s", "key": f"k{number}", "value": "new"},
            )
        async with Client(stdio_client(floors.empty(clone))) as empty:
            (floor,) = {*mine.children()} - {ours}
            await empty.call_tool("nothing", {"text": "x"})
            return ours.memory_info().rss / 1e6, floor.memory_info().rss / 1e6


def disk(world: World, report: Report, _: int) -> list[Row]:
    """Bytes of our repository for each edit, once it was maintained."""
    edits = 3000
    report(f"making {edits:,} edits")
    one = world.open("disk")
    maintenance = one.store.repository.maintenance
    for number in range(edits):
        value = {"status": f"working on step {number}", "number": number}
        put(one, "s", f"k{number % 100}", value)
        if maintenance.is_due():
            maintenance.run()
    maintenance.run()
    files = (
        path for path in one.store.repository.path.rglob("*") if path.is_file()
    )
    each = sum(path.stat().st_size for path in files) / edits
    return [
        Row(
            "disk per edit",
            "bytes",
            Spread.of([each]),
            None,
            round(each),
            "≤ 900",
            each <= 900,
        )
    ]
