"""Shared state: several agents add to one object, even at the same time.

An agent reads the object and then writes it, in two calls. Another agent may change the object
between these calls. The agent therefore passes the revision that it read to the write. If several
agents read the same revision, exactly one of their writes succeeds, across all machines. Every
other agent reads the object again, and adds its member to the current value.

A write without a revision replaces the current value of this clone, even if the agent has not read
that value. Two values are merged by member only if two clones changed one key before they synced.
"""

import anyio
from two_agents import attempt, two_agents

from csc_git.cli.demo.stage import Machine


async def add(agent: Machine, member: str, value: str) -> None:
    """Set one member of the shared object, and keep all other members."""
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
    """Let two agents add decisions at the same time."""
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
