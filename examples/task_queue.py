"""Task queue: agents take tasks from one list until it is empty.

Each task is a key of `tasks`; who takes one stores a key of the same name under `taken` with
`confirm=true` and reads it back; results go to `done`. Keys of their own, instead of one list,
mean that two agents meet only when they want the same task.

Not race-free: between reading back and working, an agent elsewhere that had not yet seen ours may
still win the same task, and it is then done twice, though never lost. A conditional write ("only
if absent") will make it exactly once.
"""

import anyio
from two_agents import two_agents

from csc_git.cli.stage import Machine


async def work(agent: Machine) -> int:
    """Take and do tasks until none is left; how many were done."""
    me, count = f"claude_1@{agent.name}", 0
    while (task := await take(agent, me)) is not None:
        found = await agent.call("retrieve_data", scope="tasks", key=task)
        value = {"result": found["value"] ** 2, "by": me}
        await agent.call("store_data", scope="done", key=task, value=value)
        count += 1
    return count


async def take(agent: Machine, me: str) -> str | None:
    """Take the first task that nobody has; its key, or None if all are taken."""
    await agent.call("retrieve_data", scope="tasks", key="any", fresh=True)
    tasks = (await agent.call("list_keys", scope="tasks"))["keys"]
    taken = (await agent.call("list_keys", scope="taken"))["keys"]
    for task in tasks:
        if task in taken:
            continue
        await agent.call("store_data", scope="taken", key=task, value=me, confirm=True)
        holder = await agent.call("retrieve_data", scope="taken", key=task, fresh=True)
        if holder["value"] == me:
            return str(task)
    return None


async def main() -> None:
    """Two agents empty one queue side by side."""
    async with two_agents() as (laptop, desktop):
        for number in range(6):
            await laptop.call("store_data", scope="tasks", key=f"square-{number}", value=number)
        await laptop.call("store_data", scope="tasks", key="square-6", value=6, confirm=True)
        done: dict[str, int] = {}

        async def run(agent: Machine) -> None:
            done[agent.name] = await work(agent)

        async with anyio.create_task_group() as group:
            group.start_soon(run, laptop)
            group.start_soon(run, desktop)
        await laptop.call("retrieve_data", scope="tasks", key="any", fresh=True)
        await desktop.call("store_data", scope="ready", key="all", value=True, confirm=True)
        await laptop.call("retrieve_data", scope="tasks", key="any", fresh=True)
        results = (await laptop.call("list_keys", scope="done"))["keys"]
        print("all done:", len(results) == 7)  # noqa: PLR2004
        print("work shared:", sum(done.values()) >= 7)  # noqa: PLR2004


anyio.run(main)
