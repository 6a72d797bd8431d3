"""Work assignment: each agent takes an issue that no other agent has.

`claim` decides which agent gets an issue. If two agents claim one issue at the same moment, one of
them gets `granted` and the other gets `taken`, even if they are on different machines. A claim ends
with its session. If an agent crashes, its issue is free again when the lease of its session has
lapsed.

The answer `provisional` means that the remote could not be asked. The agent may begin the work, but
its claim may still be lost. If the claim is lost, the next write or claim of the agent returns an
error that reports the loss.
"""

import anyio
from two_agents import two_agents

from csc_git.cli.demo.stage import Machine


async def take_issue(agent: Machine, issues: list[int]) -> int:
    """Take the first issue that no other agent has."""
    for issue in issues:
        answer = await agent.call(
            "claim", resources=[f"issue:{issue}"], note="fixing it"
        )
        if answer["status"] == "granted":
            return issue
        print(
            f"{agent.name}: issue {issue} is {answer['claims'][0]['session']}'s"
        )
    raise LookupError("every issue is claimed")


async def main() -> None:
    """Let two agents claim the same issue at the same moment."""
    async with two_agents() as (laptop, desktop):
        taken: dict[str, int] = {}

        async def run(agent: Machine) -> None:
            taken[agent.name] = await take_issue(agent, [15, 16])

        async with anyio.create_task_group() as group:
            group.start_soon(run, laptop)
            group.start_soon(run, desktop)
        print("taken:", sorted(taken.values()))
        await laptop.call(
            "retrieve_data", scope="claims", key="issue:16", fresh=True
        )
        context = await laptop.context()
        print(
            "claims:",
            ", ".join(claim["resource"] for claim in context["claims"]),
        )


anyio.run(main)
