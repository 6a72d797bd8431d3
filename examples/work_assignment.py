"""Work assignment: each agent takes an issue that nobody else has.

`claim` decides it: two agents that ask for one issue at the same moment get one `granted` and one
`held`, whatever machines they are on. A claim ends with its session, so a crashed agent's issue is
free again once its lease has lapsed.

An answer of `provisional` means that the remote could not be asked: work may begin, but the claim
may yet turn out to be lost, and then the agent's next call says so.
"""

import anyio
from two_agents import two_agents

from csc_git.cli.demo.stage import Machine


async def take_issue(agent: Machine, issues: list[int]) -> int:
    """Take the first issue that nobody has."""
    for issue in issues:
        answer = await agent.call(
            "claim", resources=[f"issue:{issue}"], note="fixing it"
        )
        if answer["status"] == "granted":
            return issue
        print(
            f"{agent.name}: issue {issue} is {answer['claims'][0]['session']}'s"
        )
    raise LookupError("every issue has somebody")


async def main() -> None:
    """Two agents ask for the same issue at the same moment."""
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
