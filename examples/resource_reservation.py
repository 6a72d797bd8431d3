"""Resource reservation: one agent at a time uses the staging server.

The `claim` has a `ttl`, a length in seconds. If an agent dies or does not release its claim, the
claim ends when the `ttl` has passed. Other agents then need not wait any longer. Each claim has a
fence, a number that is higher than the fence of every earlier claim. A claim is advisory. An action
that must never happen twice should therefore check the claim. In this example, the deployment is an
`edit` that requires the revision of the claim's record. The `edit` is refused when the claim is
gone.
"""

import anyio
from two_agents import attempt, two_agents

from csc_git.cli.demo.stage import Machine


async def deploy(agent: Machine, claim: dict[str, str], version: str) -> bool:
    """Record a deployment if the claim is still active; return whether the edit was made."""
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
    """Let the second agent wait until the first agent has released the server."""
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
