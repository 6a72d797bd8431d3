"""Shared state: one object that several agents add to, even at the same time.

To change what one has read is two calls, and between them somebody else's change can arrive. So
the second one says which revision it is meant for: of two agents that saw the same one writer
wins, for all machines, and the other reads again and adds to what stands now.

Without that condition a value replaces whatever stands here, seen or not. Only edits that were
made apart, on two machines that had not heard of each other, are merged by member.
"""

import anyio
from two_agents import attempt, two_agents

from csc_git.cli.demo.stage import Machine


async def add(agent: Machine, member: str, value: str) -> None:
    """Set one member of the shared object, and keep all others."""
    place = {"scope": "architecture", "key": "decisions"}
    while True:
        found = await agent.call("retrieve_data", **place)
        seen = found["revision"] if found["found"] else "absent"
        new = {**(found["value"] or {}), member: value}
        if await attempt(
            agent,
            "store_data",
            **place,
            value=new,
            if_revision=seen,
            confirm=True,
        ):
            return


async def main() -> None:
    """Two agents add decisions side by side."""
    async with two_agents() as (laptop, desktop):
        async with anyio.create_task_group() as group:
            for agent, member, value in (
                (laptop, "database", "sqlite"),
                (desktop, "transport", "stdio"),
                (laptop, "license", "MIT"),
            ):
                group.start_soon(add, agent, member, value)
        found = await laptop.call(
            "retrieve_data", scope="architecture", key="decisions", fresh=True
        )
        print(
            "decisions:",
            ", ".join(f"{k}={v}" for k, v in sorted(found["value"].items())),
        )


anyio.run(main)
