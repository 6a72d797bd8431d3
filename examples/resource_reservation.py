"""Resource reservation: one agent at a time uses the staging server.

A reservation is a key under `reserved:<resource>`; whoever finds one waits, whoever is done deletes
it.

Not race-free: two agents on different machines that find it free at the same moment may both
reserve; after the next sync the later one stands and both see the same holder. So confirm, and
read again before use. Nothing frees what a crashed agent reserved. Claims with a lease will do
both; until then keep reservations for what merely wastes time when used twice.
"""

import anyio
from two_agents import two_agents

from csc_git.cli.stage import Machine


async def reserve(agent: Machine, resource: str, why: str) -> bool:
    """Reserve if it is free; whether we hold it."""
    scope, me = f"reserved:{resource}", f"claude_1@{agent.name}"
    found = await agent.call("retrieve_data", scope=scope, key="holder", fresh=True)
    if found["found"] and found["session"] != me:
        return False
    await agent.call("store_data", scope=scope, key="holder", value={"why": why}, confirm=True)
    again = await agent.call("retrieve_data", scope=scope, key="holder", fresh=True)
    return bool(again["session"] == me)


async def main() -> None:
    """The second has to wait until the first is done."""
    async with two_agents() as (laptop, desktop):
        print("laptop:", await reserve(laptop, "staging", "load test"))
        print("desktop:", await reserve(desktop, "staging", "demo"))
        await laptop.call("delete_data", scope="reserved:staging", key="holder")
        await laptop.call("store_data", scope="log", key="freed", value=True, confirm=True)
        print("desktop, later:", await reserve(desktop, "staging", "demo"))


anyio.run(main)
