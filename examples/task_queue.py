"""Task queue: agents empty one list of tasks, and each task is done exactly once.

Each task is a key of `tasks`. An agent takes a task by an `edit` of two keys. The `edit` requires
that both keys are unchanged since the agent read the task. Either the task moves from `tasks` to
`taken`, or nothing happens. With `confirm=true` the answer is final for all machines. If two agents
want the same task, exactly one of them gets the task, and the other agent tries the next task.
"""

import anyio
from two_agents import attempt, two_agents

from csc_git.cli.demo.stage import Machine


async def work(agent: Machine) -> int:
    """Take and do tasks until the list is empty; return the number of tasks that were done."""
    count = 0
    while (task := await take(agent)) is not None:
        key, number = task
        value = {"result": number**2, "by": agent.name}
        changes = [
            {
                "scope": "done",
                "key": key,
                "value": value,
                "if_revision": "absent",
            },
            {"scope": "taken", "key": key, "delete": True},
        ]
        await agent.call("edit", changes=changes)
        count += 1
    return count


async def take(agent: Machine) -> tuple[str, int] | None:
    """Take the first free task; return its key and value, or None if the list is empty."""
    while keys := (await agent.call("list_keys", scope="tasks"))["keys"]:
        for key in keys:
            found = await agent.call("retrieve_data", scope="tasks", key=key)
            if not found["found"]:
                continue
            changes = [
                {
                    "scope": "tasks",
                    "key": key,
                    "delete": True,
                    "if_revision": found["revision"],
                },
                {
                    "scope": "taken",
                    "key": key,
                    "value": agent.name,
                    "if_revision": "absent",
                },
            ]
            if (
                await attempt(agent, "edit", changes=changes, confirm=True)
                is not None
            ):
                return key, found["value"]
    return None


async def main() -> None:
    """Let two agents empty one queue at the same time."""
    async with two_agents() as (laptop, desktop):
        tasks = [
            {"scope": "tasks", "key": f"square-{n}", "value": n}
            for n in range(7)
        ]
        await laptop.call("edit", changes=tasks, confirm=True)
        await desktop.call(
            "retrieve_data", scope="tasks", key="any", fresh=True
        )
        done: dict[str, int] = {}

        async def run(agent: Machine) -> None:
            done[agent.name] = await work(agent)

        async with anyio.create_task_group() as group:
            group.start_soon(run, laptop)
            group.start_soon(run, desktop)
        await desktop.call(
            "store_data", scope="ready", key="all", value=True, confirm=True
        )
        await laptop.call("retrieve_data", scope="tasks", key="any", fresh=True)
        results = (await laptop.call("list_keys", scope="done"))["keys"]
        print("all done:", len(results) == len(tasks))
        print("each once:", sum(done.values()) == len(tasks))


anyio.run(main)
