"""Progress broadcast: every agent reports under its own session, and any agent reads all reports.

Each session writes only keys of its own scope. Two sessions therefore never write the same key, and
any number of sessions can report at the same time. The resource `session://context` shows
`current_issue`, `status` and the number of open `todos` of all active sessions at once.
"""

import anyio
from two_agents import two_agents


async def main() -> None:
    """Let both agents report, and print the reports of all active sessions."""
    async with two_agents() as (laptop, desktop):
        for agent, issue in ((laptop, 15), (desktop, 16)):
            for percent in (10, 60, 100):
                status = {
                    "percent": percent,
                    "doing": "tests" if percent > 50 else "code",  # noqa: PLR2004
                }
                await agent.call(
                    "store_data",
                    scope="session:claude_1",
                    key="status",
                    value=status,
                )
            await agent.call(
                "store_data", scope="session:claude_1", key="current_issue", value=issue,
                confirm=True,
            )  # fmt: skip
        await laptop.call("retrieve_data", scope="any", key="any", fresh=True)
        for one in (await laptop.context())["active"]:
            print(
                one["session"],
                "issue",
                one["current_issue"],
                f"{one['status']['percent']} %",
            )


anyio.run(main)
