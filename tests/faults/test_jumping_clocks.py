"""Servers whose wall clocks are hours apart and jump: order, leases and merges stay right.

Real servers run under libfaketime, which reads each clock's offset from a file, so that it can jump
while the server runs. The monotonic clock is left alone, as a wrong wall clock leaves it.
"""

from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Self

import pytest

from csc_git.core.clock import parse_time
from tests.agents import Agent, agent, run
from tests.world import World, state_of

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)

MACHINES = ("one", "two", "three")

TURNS = 3

pytestmark = pytest.mark.skipif(
    LIBRARY is None, reason="faketime is not installed"
)


class Clock:
    """A machine's wall clock, which can be set while its processes run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.set(0)

    def set(self, seconds: int) -> None:
        """Put it so many seconds ahead of the truth, or behind."""
        self._path.with_suffix(".new").write_text(
            f"{seconds:+d}", encoding="ascii"
        )
        self._path.with_suffix(".new").rename(self._path)

    @property
    def environment(self) -> dict[str, Any]:
        """For the processes that go by it."""
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


class Machines:
    """A server on each machine, each by a clock of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stack = AsyncExitStack()
        self.clocks = {
            name: Clock(world.directory / f"{name}.clock") for name in MACHINES
        }
        self.agents: dict[str, Agent] = {}

    async def __aenter__(self) -> Self:
        for name in MACHINES:
            clone = self._world.clone(name)
            serving = agent(
                clone, "--machine", name, **self.clocks[name].environment
            )
            self.agents[name] = await self._stack.enter_async_context(serving)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


def test_servers_work_together_with_clocks_hours_apart(world: World) -> None:
    chance = Random(5)  # noqa: S311

    async def scenario() -> None:
        async with Machines(world) as machines:
            names = {}
            for name, claude in machines.agents.items():
                names[name] = (await claude.call("sign_on"))["session"]
            await _take_turns(machines, chance)
            await _write_at_once(machines, chance)
            await _keep_their_names(machines, names)

    run(scenario)
    clocks = [record.clock for record in world.log()]
    assert max(clocks) - min(clocks) > timedelta(hours=2), "no clock was wrong"
    reader = world.open("reader")
    assert state_of(reader) == "ok"
    assert reader.summary.clocks(), "nobody is named"


async def _take_turns(machines: Machines, chance: Random) -> None:
    """An overwrite of a value that its author has seen wins, whatever the clocks show."""
    times = []
    for turn in range(TURNS):
        name = MACHINES[turn % len(MACHINES)]
        machines.clocks[name].set(chance.randint(-3 * 3600, 3 * 3600))
        claude = machines.agents[name]
        found = await claude.call(
            "retrieve_data", scope="turns", key="k", fresh=True
        )
        assert found["value"] == (turn - 1 if turn else None)
        stored = await claude.call(
            "store_data", scope="turns", key="k", value=turn, confirm=True,
            if_revision=found["revision"] or "absent",
        )  # fmt: skip
        assert stored["status"] == "synced"
        now = await claude.call("retrieve_data", scope="turns", key="k")
        times.append(parse_time(now["time"]))
    assert all(earlier < later for earlier, later in pairwise(times))
    history = await machines.agents["three"].call(
        "history", scope="turns", limit=TURNS
    )
    assert [edit["session"] for edit in history["edits"]] == [
        f"claude_1@{MACHINES[turn % len(MACHINES)]}"
        for turn in reversed(range(TURNS))
    ]


async def _write_at_once(machines: Machines, chance: Random) -> None:
    """Of values written at once every machine has the same one, and the others are conflicts."""
    for clock in machines.clocks.values():
        clock.set(chance.randint(-3 * 3600, 3 * 3600))
    for name, claude in machines.agents.items():
        await claude.call("store_data", scope="at-once", key="k", value=name)
    current = set()
    for claude in machines.agents.values():
        await claude.until(
            "session://context", lambda it: not it["sync"]["queued"]
        )
    for claude in machines.agents.values():
        found = await claude.call(
            "retrieve_data", scope="at-once", key="k", fresh=True
        )
        conflicts = (await claude.call("list_conflicts"))["conflicts"]
        lost = {
            one["lost"]["value"]
            for one in conflicts
            if one["scope"] == "at-once"
        }
        assert not lost & {found["value"]}
        current.add(found["value"])
    assert len(current) == 1


async def _keep_their_names(machines: Machines, names: dict[str, str]) -> None:
    """A lease does not depend on wall clocks: a jump of three hours ends none."""
    for hours in (3, -3):
        for clock in machines.clocks.values():
            clock.set(hours * 3600)
        for name, claude in machines.agents.items():
            context = await claude.read("session://context")
            active = {one["session"] for one in context["active"]}
            assert active == set(names.values()), (name, hours)
