"""Floors: the least work that could do the same, measured beside ours."""

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from mcp.client.stdio import StdioServerParameters

EMPTY = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("empty")
@server.tool()
def nothing(text: str) -> str:
    return text
server.run("stdio")
"""


def server(clone: Path, *flags: str) -> StdioServerParameters:
    """Our server, as an MCP client starts it."""
    arguments = ["-m", "csc_git", "serve", *flags]
    return StdioServerParameters(
        command=sys.executable, args=arguments, cwd=clone
    )


def empty(clone: Path) -> StdioServerParameters:
    """A server of the same SDK with one tool that does nothing."""
    return StdioServerParameters(
        command=sys.executable, args=["-c", EMPTY], cwd=clone
    )


def write_file(path: Path, number: int) -> float:
    """Seconds for one write, fsync and rename of a small file."""
    began = time.perf_counter()
    temporary = path.with_suffix(".new")
    with temporary.open("w") as file:
        file.write(str(number))
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    return time.perf_counter() - began


class Sqlite:
    """A SQLite table of keys in WAL mode that syncs each transaction."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS data (key PRIMARY KEY, value)"
        )

    def write(self, key: str, value: int) -> float:
        """Seconds for one durable write."""
        began = time.perf_counter()
        self._connection.execute(
            "INSERT OR REPLACE INTO data VALUES (?, ?)", (key, str(value))
        )
        return time.perf_counter() - began


class Git:
    """One commit from one repository to another by `git push` and `git fetch` alone."""

    def __init__(self, directory: Path) -> None:
        self._remote = directory / "floor.git"
        self._from, self._to = directory / "floor-from", directory / "floor-to"
        for path, *flags in (
            (self._remote, "--bare"),
            (self._from,),
            (self._to,),
        ):
            _git("init", "-q", *flags, str(path), cwd=directory)

    def pass_on(self, number: int) -> float:
        """Seconds for a push and a fetch of one commit of one small file."""
        (self._from / f"k{number % 100}").write_text(
            str(number), encoding="utf-8"
        )
        _git("add", ".", cwd=self._from)
        _git("commit", "-qm", str(number), cwd=self._from)
        began = time.perf_counter()
        _git("push", "-q", str(self._remote), "HEAD:main", cwd=self._from)
        _git("fetch", "-q", str(self._remote), "main", cwd=self._to)
        return time.perf_counter() - began


def _git(*arguments: str, cwd: Path) -> None:
    subprocess.run(
        ["git", *arguments], cwd=cwd, check=True, capture_output=True
    )
