"""Shared state: one object that several agents add to, even at the same time.

Objects are merged by top-level member: as long as two agents change different members, both
changes stand, whoever pushes first. Changes of the same member are decided by the later time, and
the other is kept as a conflict.
"""

import anyio
from two_agents import two_agents

from csc_git.cli.stage import Machine


async def add(agent: Machine, member: str, value: str) -> None:
    """Set one member of the shared object, leaving the others as this agent knows them."""
    found = await agent.call("retrieve_data", scope="architecture", key="decisions")
    known = found["value"] if found["found"] else {}
    await agent.call(
        "store_data", scope="architecture", key="decisions", value={**known, member: value}
    )


async def main() -> None:
    """Two agents add a decision each without having seen the other's."""
    async with two_agents() as (laptop, desktop):
        await add(laptop, "database", "sqlite")
        await add(desktop, "transport", "stdio")
        for agent in (laptop, desktop):  # a confirmed write of each: now the remote has both
            await agent.call("store_data", scope="ready", key=agent.name, value=True, confirm=True)
        found = await laptop.call(
            "retrieve_data", scope="architecture", key="decisions", fresh=True
        )
        print("decisions:", found["value"])
        print("by:", ", ".join(found["authors"]))


anyio.run(main)
