"""Hand-off: one agent stops in the middle of its work, and another agent continues that work.

The values that a session stores are kept when the session signs off. The next session that signs
on under the same name gets the list of keys that the earlier session left (`left_here`). Any other
session can read `session://state/<id>`.
"""

import anyio
from two_agents import two_agents


async def main() -> None:
    """Let the laptop's agent leave its work, and the desktop's agent find it."""
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
