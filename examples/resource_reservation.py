"""Resource reservation: one agent at a time uses the staging server.

`claim` with a `ttl`: whoever forgets to release it, or dies, blocks the others for so long at
most. Each claim carries a fencing number, higher than that of any claim before it. A claim is
advisory, so what must never be done twice should check it: here the deployment is an `edit` that
requires the revision of the claim's own record, and is refused once the claim is gone.
"""

import anyio
from two_agents import attempt, two_agents

from csc_git.cli.demo.stage import Machine


async def deploy(agent: Machine, claim: dict[str, str], version: str) -> bool:
    """Record a deployment, only if the claim still stands; whether it did."""
    guard = {
        "scope": "claims",
        "key": claim["resource"],
        "if_revision": claim["revision"],
    }
    change = {"scope": "staging", "key": "version", "value": version}
    return (
        await attempt(agent, "edit", changes=[guard, change], confirm=True)
        is not None
    )


async def main() -> None:
    """The second has to wait until the first is done."""
    async with two_agents() as (laptop, desktop):
        first = await laptop.call(
            "claim", resources=["host:staging"], ttl=600, note="load test"
        )
        print("laptop:", first["status"])
        second = await desktop.call(
            "claim", resources=["host:staging"], ttl=600, note="demo"
        )
        held = second["claims"][0]
        print(
            f"desktop: {second['status']} by {held['session']} for {held['note']}"
        )
        print(
            "laptop deploys:", await deploy(laptop, first["claims"][0], "1.0")
        )
        await laptop.call("release", resources=["host:staging"])
        await laptop.call(
            "store_data", scope="log", key="freed", value=True, confirm=True
        )
        third = await desktop.call(
            "claim", resources=["host:staging"], ttl=600, note="demo"
        )
        print("desktop, later:", third["status"])
        print(
            "fence rose:",
            third["claims"][0]["fence"] > first["claims"][0]["fence"],
        )
        await laptop.call("retrieve_data", scope="log", key="freed", fresh=True)
        print(
            "laptop deploys late:",
            await deploy(laptop, first["claims"][0], "0.9"),
        )


anyio.run(main)
