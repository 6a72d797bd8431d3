"""Hand-off: one agent stops in the middle, another goes on from what it left.

What a session stores stays when it signs off. The next one to sign on under that name is told
which keys its predecessor left (`left_here`); anybody else reads `session://state/<id>`.
"""

import anyio
from two_agents import two_agents


async def main() -> None:
    """The laptop's agent leaves; the desktop's goes on."""
    async with two_agents() as (laptop, desktop):
        note = {
            "done": ["parser"],
            "next": "write tests for unicode",
            "careful": "flaky fixture",
        }
        await laptop.call(
            "store_data", scope="session:claude_1", key="handoff", value=note
        )
        await laptop.call(
            "store_data", scope="session:claude_1", key="todos", value=["tests"]
        )
        await laptop.call("sign_off")
        again = await laptop.call("sign_on")
        print(again["session"], "finds:", ", ".join(again["left_here"]))
        await laptop.call(
            "store_data", scope="ready", key="x", value=True, confirm=True
        )

        scope = "session:claude_1@laptop"
        found = await desktop.call(
            "retrieve_data", scope=scope, key="handoff", fresh=True
        )
        print(found["session"], "says next is to", found["value"]["next"])


anyio.run(main)
