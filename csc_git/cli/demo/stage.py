"""The machines of the demo: a temporary remote, and two clones, each with server and client."""

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import TextContent

from csc_git.errors import GitMissing, SetupError
from csc_git.processes.git import run_git

_AUTHOR: Final = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


@dataclass(frozen=True)
class Machine:
    """One of the demo's machines: a clone, and an agent's connection to the clone's server."""

    name: str
    clone: Path
    client: Client

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        """Call a tool as an agent would, and return the structured answer.

        Args:
            tool: The tool's name.
            arguments: The arguments of the tool.

        Raises:
            SetupError: The tool returned an error, so the demo can't continue.
        """
        result = await self.client.call_tool(tool, arguments)
        if result.is_error:
            texts = [
                part.text
                for part in result.content
                if isinstance(part, TextContent)
            ]
            message = " ".join(texts)
            raise SetupError(f"{tool} on {self.name} failed: {message}")
        return dict(result.structured_content or {})

    async def context(self) -> dict[str, Any]:
        """Read the content of the resource `session://context`."""
        result = await self.client.read_resource(
            "session://context", cache_mode="bypass"
        )
        text = getattr(result.contents[0], "text", "{}")
        return dict(json.loads(text))


@dataclass(frozen=True)
class Stage:
    """The directory with the remote and the clones."""

    directory: Path

    @property
    def remote(self) -> Path:
        """The shared bare repository."""
        return self.directory / "remote.git"

    def build(self) -> None:
        """Make the remote, two clones of the remote, and a first commit."""
        self.git(
            "init",
            "--quiet",
            "--bare",
            "--initial-branch=main",
            str(self.remote),
        )
        for name in ("laptop", "desktop"):
            clone = self.directory / name
            self.git("clone", "--quiet", str(self.remote), str(clone))
        laptop = self.directory / "laptop"
        readme = laptop / "README"
        readme.write_text(
            "The project that the agents work on.\n", encoding="utf-8"
        )
        self.git("add", "README", cwd=laptop)
        self.git("commit", "--quiet", "-m", "Begin", cwd=laptop)
        self.git("push", "--quiet", "origin", "HEAD:main", cwd=laptop)

    def unplug(self) -> None:
        """Make the remote unreachable for everyone."""
        self.remote.rename(self.directory / "unplugged.git")

    def plug_in(self) -> None:
        """Make the remote reachable again."""
        unplugged = self.directory / "unplugged.git"
        unplugged.rename(self.remote)

    @asynccontextmanager
    async def machine(self, name: str) -> AsyncIterator[Machine]:
        """Start a real server for a clone, and a real client for an agent."""
        clone = self.directory / name
        parameters = StdioServerParameters(
            command=sys.executable,
            args=[
                "-m",
                "csc_git",
                "serve",
                "--machine",
                name,
                "--poll",
                "0.2",
            ],
            cwd=clone,
            env=_AUTHOR,
        )
        log_file = self.directory / f"{name}.log"
        with log_file.open("w", encoding="utf-8") as log:
            async with Client(stdio_client(parameters, errlog=log)) as client:
                yield Machine(name, clone, client)

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run git with the demo's own author, and return the output of git.

        Args:
            arguments: The arguments of git.
            cwd: The directory in which git runs. If None, git runs in the directory of the demo.

        Raises:
            SetupError: git is missing or fails.
        """
        try:
            done = run_git(
                list(arguments), cwd=cwd or self.directory, env=_AUTHOR
            )
        except GitMissing:
            raise SetupError(
                "There is no git on PATH", then="Install git 2.31 or later"
            ) from None
        if not done.ok:
            raise SetupError(f"git {arguments[0]} failed: {done.err.strip()}")
        return done.out.decode()
