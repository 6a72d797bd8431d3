"""Agents: real MCP clients over real stdio server processes."""

import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import TextContent, TextResourceContents

Era = Literal["legacy", "auto"]


@dataclass(frozen=True)
class Agent:
    """A client, and what an agent does with it."""

    client: Client

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that is expected to succeed; its structured answer."""
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        assert result.structured_content is not None
        return dict(result.structured_content)

    async def refused(self, tool: str, **arguments: Any) -> str:
        """Call a tool that is expected to refuse; the text of its error."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        return " ".join(
            part.text
            for part in result.content
            if isinstance(part, TextContent)
        )

    async def read(self, uri: str) -> dict[str, Any]:
        """Read a resource of JSON."""
        contents = (
            await self.client.read_resource(uri, cache_mode="bypass")
        ).contents
        assert isinstance(contents[0], TextResourceContents)
        return dict(json.loads(contents[0].text))

    async def prompt(self, name: str, **arguments: str) -> str:
        """A prompt's text."""
        messages = (await self.client.get_prompt(name, arguments)).messages
        return "\n".join(
            m.content.text
            for m in messages
            if isinstance(m.content, TextContent)
        )

    async def until(
        self, uri: str, ready: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        """Read a resource until it is ready; fails after 30 seconds."""
        with anyio.fail_after(30):
            while not ready(found := await self.read(uri)):
                await anyio.sleep(0.02)
            return found


@asynccontextmanager
async def agent(
    clone: Path, *flags: str, era: Era = "auto", **env: str
) -> AsyncIterator[Agent]:
    """Start `csc-git serve` in a clone as an MCP client does."""
    parameters = StdioServerParameters(
        command=sys.executable,
        args=[
            "-m",
            "csc_git",
            "serve",
            "--poll",
            "0.2",
            "--timeout",
            "20",
            *flags,
        ],
        cwd=clone,
        env=env,
    )
    async with Client(stdio_client(parameters), mode=era) as client:
        yield Agent(client)


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run an asynchronous scenario to its end."""
    anyio.run(scenario)
