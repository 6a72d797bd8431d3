"""Scale: what a call costs in a store as large as a team's, compared with a small one."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
from mcp.client import Client
from mcp.client.stdio import stdio_client

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.core.claim import Claim, claim_key
from csc_git.core.conflict import Conflict
from csc_git.core.edit import Outcome
from csc_git.core.key import Key
from csc_git.core.lease import Lease, lease_key
from csc_git.core.merge import Version
from csc_git.core.value import Entry, Json
from csc_git.store.transaction import Draft
from tests.bench import floors
from tests.bench.calls import timed
from tests.bench.row import Report, Row, Spread, ratio
from tests.world import World

FEW = {"sessions": 10, "conflicts": 10, "scopes": 10, "keys": 10}
MANY = {
    "sessions": 3000,
    "conflicts": 20_000,
    "scopes": 10_000,
    "keys": 100_000,
}
_BATCH = 20_000
_MOST = 1.5
_DOCTOR_SECONDS = 5.0
_THEN = "2026-01-01T00:00:00.000000Z"

Call = Callable[[Client, int], Awaitable[float]]


def scale(world: World, report: Report, rounds: int) -> list[Row]:
    """Measure calls in both stores in turn, and the doctor in the large one."""
    clones = {}
    for name, sizes in (("few", FEW), ("many", MANY)):
        report(
            f"making a store of {', '.join(f'{n:,} {what}' for what, n in sizes.items())}"
        )
        one = world.open(name, sync=False)
        fill(one, **sizes)
        one.store.repository.maintenance.run()
        clones[name] = world.directory / name
    report("calling")
    made = anyio.run(_measure, clones, max(20, rounds // 10))
    rows = [
        ratio(call, times["many"], times["few"], _MOST)
        for call, times in made.items()
    ]
    report("asking the doctor")
    for command, bar in (
        ("doctor", _DOCTOR_SECONDS),
        ("status", _DOCTOR_SECONDS),
    ):
        seconds = [_command(clones["many"], command) for _ in range(3)]
        spread = Spread.of(seconds)
        met = spread.median <= bar
        rows.append(
            Row(
                f"csc-git {command}",
                "s",
                spread,
                None,
                spread.median,
                f"≤ {bar:g} s",
                met,
            )
        )
    return rows


def fill(
    one: Coordinator, *, sessions: int, conflicts: int, scopes: int, keys: int
) -> None:
    """Store sessions of other clones with claims, and conflicts, scopes and keys."""
    puts: dict[Key, Json] = {}
    now = clock.now()
    for number in range(sessions):
        name, holder = f"claude_{number}@m{number % 97}", f"h{number}"
        resource = f"src/f{number}.py"
        puts[lease_key(name)] = Lease(
            holder, "other", 1, 5400, "active", _THEN
        ).to_json()
        puts[Key(("session", name), "status")] = f"works on {number}"
        claim = Claim(
            resource, name, holder, "other", number + 1, None, "held", _THEN
        )
        puts[claim_key(resource)] = claim.to_json()
    for number in range(conflicts):
        lost = Version(Entry("x" * 100, "a@b", now), "a@b", now)
        conflict = Conflict(
            Key(("s",), f"k{number}"), Outcome.LOST, lost, "absent", "z@y", now
        )
        puts[Key(("conflicts",), f"{number:032x}.0")] = conflict.to_json()
    puts |= {
        Key(("issue", str(number)), "status"): "open"
        for number in range(scopes)
    }
    puts |= {
        Key(("big",), f"key_{number}"): {"n": number} for number in range(keys)
    }
    items = list(puts.items())
    for start in range(0, len(items), _BATCH):
        draft = Draft("fill", "bench", dict(items[start : start + _BATCH]))
        one.store.transact(lambda _, draft=draft: draft, now)  # type: ignore[misc]


def _tool(name: str, **arguments: object) -> Call:
    async def call(client: Client, _: int) -> float:
        return await timed(client, name, dict(arguments))

    return call


async def _store(
    client: Client, number: int, scope: str = "big", key: str = "key_1"
) -> float:
    return await timed(
        client, "store_data", {"scope": scope, "key": key, "value": number}
    )


async def _edit(client: Client, number: int) -> float:
    changes = [
        {"scope": "big", "key": f"key_{n}", "value": number} for n in (2, 3)
    ]
    return await timed(client, "edit", {"changes": changes})


async def _claim(client: Client, number: int) -> float:
    return await timed(client, "claim", {"resources": [f"docs/{number}.md"]})


async def _delete(client: Client, number: int) -> float:
    await _store(client, number, scope="s", key=f"short_lived_{number}")
    return await timed(
        client, "delete_data", {"scope": "s", "key": f"short_lived_{number}"}
    )


async def _context(client: Client, _: int) -> float:
    began = time.perf_counter()
    await client.read_resource("session://context", cache_mode="bypass")
    return time.perf_counter() - began


CALLS: dict[str, Call] = {
    "sign_on": _tool("sign_on"),
    "session://context": _context,
    "store_data": _store,
    "edit": _edit,
    "delete_data": _delete,
    "retrieve_data": _tool("retrieve_data", scope="big", key="key_7"),
    "claim": _claim,
    "release": _tool("release"),
    "list_keys": _tool("list_keys", scope="big", limit=10),
    "list_scopes": _tool("list_scopes", limit=10),
    "list_scopes of a pattern": _tool(
        "list_scopes", pattern="issue:*", limit=10
    ),
    "list_conflicts": _tool("list_conflicts"),
    "history": _tool("history", scope="big", key="key_1", limit=5),
    "wait_for_changes": _tool("wait_for_changes", timeout=0),
}


async def _measure(
    clones: dict[str, Path], rounds: int
) -> dict[str, dict[str, list[float]]]:
    made: dict[str, dict[str, list[float]]] = {
        call: {"few": [], "many": []} for call in CALLS
    }
    async with AsyncExitStack() as stack:
        servers = {}
        for name, clone in clones.items():
            client = Client(
                stdio_client(
                    floors.server(clone, "--no-sync", "--machine", "bench")
                )
            )
            servers[name] = await stack.enter_async_context(client)
            await servers[name].call_tool("sign_on", {})
        for number in range(-3, rounds):
            for call, run in CALLS.items():
                for name in random.sample(list(servers), 2):
                    spent = await run(servers[name], number)
                    if number >= 0:  # the first ones warm up
                        made[call][name].append(spent)
    return made


def _command(clone: Path, command: str) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "csc_git", command, "--json", "--no-sync"],
        cwd=clone, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert json.loads(done.stdout)
    return time.perf_counter() - began
