"""Work assignment: each agent takes an issue that nobody else has.

An agent says what it takes under `issue:<n>/assignee` with `confirm=true`, so that the others see
it as soon as it is said, and looks first who has what.

Not race-free: two agents that look at the same moment may both write, and the later one stands.
The earlier one's claim is kept as a conflict, and it finds out when it reads `assignee` again, as
every agent should before it pushes work. A conditional write will make this exact.
"""

import anyio
from two_agents import two_agents

from csc_git.cli.stage import Machine


async def take_issue(agent: Machine, me: str, issues: list[int]) -> int:
    """Take the first issue that nobody has."""
    for issue in issues:
        found = await agent.call(
            "retrieve_data", scope=f"issue:{issue}", key="assignee", fresh=True
        )
        if not found["found"]:
            await agent.call(
                "store_data", scope=f"issue:{issue}", key="assignee", value=me, confirm=True
            )
            return issue
    raise LookupError("every issue has somebody")


async def main() -> None:
    """Two agents choose from the same list."""
    async with two_agents() as (laptop, desktop):
        print("laptop takes", await take_issue(laptop, "claude_1@laptop", [15, 16]))
        print("desktop takes", await take_issue(desktop, "claude_1@desktop", [15, 16]))
        for issue in (15, 16):
            scope = f"issue:{issue}"
            found = await laptop.call("retrieve_data", scope=scope, key="assignee", fresh=True)
            print(f"issue {issue}: {found['value']}")


anyio.run(main)
