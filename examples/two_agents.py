"""The setup of all examples: a temporary project, and two agents that work on the project."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from csc_git.cli.demo.stage import Machine, Stage


@asynccontextmanager
async def two_agents() -> AsyncIterator[tuple[Machine, Machine]]:
    """Start two machines, each with a clone, a server and an agent that is signed on.

    `machine.call("tool", name=value, ...)` calls a tool and returns its structured answer.
    """
    directory = Path(tempfile.mkdtemp(prefix="csc-git-example-"))
    stage = Stage(directory)
    stage.build()
    try:
        async with (
            stage.machine("laptop") as laptop,
            stage.machine("desktop") as desktop,
        ):
            for machine in (laptop, desktop):
                await machine.call("sign_on")
            yield laptop, desktop
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def attempt(
    agent: Machine,
    tool: str,
    **arguments: Any,  # noqa: ANN401
) -> dict[str, Any] | None:
    """Call a tool, and return its answer; return None if the tool refused the call."""
    result = await agent.client.call_tool(tool, arguments)
    return None if result.is_error else dict(result.structured_content or {})
