"""The play of the demo: what the agents do, and what the spectator sees."""

import json
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from csc_git.cli.demo.stage import Machine, Stage

_COLOURS = {"laptop": "cyan", "desktop": "magenta"}


def play(directory: Path, *, pause: float, keep: bool) -> None:
    """Play all scenes in a directory, and remove it afterwards unless it is to be kept."""
    try:
        anyio.run(_Play(Stage(directory), Console(highlight=False), pause).all)
    finally:
        if keep:
            Console().print(f"Kept: {directory}", soft_wrap=True)
        else:
            shutil.rmtree(directory, ignore_errors=True)


class _Play:
    def __init__(self, stage: Stage, console: Console, pause: float) -> None:
        self._stage = stage
        self._console = console
        self._pause = pause
        self._scenes = 0

    async def all(self) -> None:
        """Build the stage, play the scenes, show the history."""
        began = time.monotonic()
        self._say(
            "[bold]csc-git demo[/]: two machines, one Git remote, real servers"
        )
        self._stage.build()
        async with (
            self._stage.machine("laptop") as laptop,
            self._stage.machine("desktop") as desktop,
        ):
            await self._sign_on(laptop, desktop)
            await self._work(laptop, desktop)
            await self._offline(laptop, desktop)
            await self._hand_off(laptop, desktop)
        self._history()
        self._say(
            f"\nAll of it real, in {time.monotonic() - began:.1f} s. In your project:"
        )
        self._say(f"  [bold]{_command()} init[/]")

    async def _sign_on(self, laptop: Machine, desktop: Machine) -> None:
        await self._scene("Two agents sign on; each learns of the other")
        one = await laptop.call("sign_on")
        self._did(laptop, "sign_on", one["session"])
        await self._until(lambda: _sees(desktop, one["session"]))
        two = await desktop.call("sign_on")
        others = ", ".join(other["session"] for other in two["others"])
        self._did(
            desktop, "sign_on", f"{two['session']}; already here: {others}"
        )

    async def _work(self, laptop: Machine, desktop: Machine) -> None:
        await self._scene("They say what they work on, and choose apart")
        own = "session:claude_1"
        await self._put(laptop, own, "current_issue", 15, confirm=True)
        await self._put(
            laptop,
            own,
            "todos",
            [{"text": "parser", "done": True}, {"text": "tests"}],
        )
        context = await self._until(lambda: _works_on(desktop, 15))
        busy = next(
            one
            for one in context["active"]
            if one["current_issue"] == 15  # noqa: PLR2004
        )
        self._did(
            desktop,
            "session://context",
            f"{busy['session']} has issue 15; I take 16",
        )
        await self._put(desktop, own, "current_issue", 16, confirm=True)

    async def _offline(self, laptop: Machine, desktop: Machine) -> None:
        await self._scene("The network goes; both go on, even on the same key")
        plan = {"owner": "laptop", "step": 1}
        await self._put(laptop, "plan", "release", plan, confirm=True)
        await self._until(lambda: _holds(desktop, "plan", "release"))
        self._stage.unplug()
        await self._put(
            laptop, "plan", "release", {**plan, "step": 2}, confirm=True
        )
        await self._put(
            desktop, "plan", "release", {**plan, "notes": "docs first"}
        )
        await self._put(laptop, "plan", "date", "Friday")
        await self._put(desktop, "plan", "date", "Monday")
        self._stage.plug_in()
        await self._scene("The network is back; nothing is lost")
        await self._until(lambda: _in_step(laptop))
        await self._until(lambda: _in_step(desktop))
        await self._until(lambda: _in_step(laptop))
        merged = await laptop.call(
            "retrieve_data", scope="plan", key="release", fresh=True
        )
        self._did(
            laptop,
            "plan/release",
            f"merged by member, {json.dumps(merged['value'])}",
        )
        date = await laptop.call("retrieve_data", scope="plan", key="date")
        self._did(laptop, "plan/date", f"the later one stands: {date['value']}")
        for line in (await laptop.context())["conflicts"]:
            self._did(laptop, "conflict", line)

    async def _hand_off(self, laptop: Machine, desktop: Machine) -> None:
        await self._scene("One hands its work on and leaves")
        handoff = {
            "done": ["parser"],
            "next": "tests",
            "careful": "fixture 3 is flaky",
        }
        await self._put(laptop, "issue:15", "handoff", handoff, confirm=True)
        gone = await laptop.call("sign_off")
        self._did(laptop, "sign_off", gone["session"])
        await self._until(lambda: _alone(desktop))
        note = await desktop.call(
            "retrieve_data", scope="issue:15", key="handoff", fresh=True
        )
        self._did(
            desktop,
            "issue:15/handoff",
            f"{note['session']} says {json.dumps(note['value'])}",
        )
        await desktop.call("sign_off")
        self._did(desktop, "sign_off", "claude_1@desktop")
        await self._until(lambda: _in_step(desktop))

    def _history(self) -> None:
        self._console.print(
            "\n[bold]What git has of it[/]  git log csc/state, on the remote"
        )
        form = "--format=%h %<(18,trunc)%an %s"
        log = self._stage.git(
            "log", "--reverse", form, "csc/state", cwd=self._stage.remote
        )
        for line in log.splitlines():
            self._console.print(
                f"  [dim]{escape(line[:76])}[/]", soft_wrap=True
            )

    async def _put(
        self,
        machine: Machine,
        scope: str,
        key: str,
        value: Any,  # noqa: ANN401
        **more: Any,  # noqa: ANN401
    ) -> None:
        done = await machine.call(
            "store_data", scope=scope, key=key, value=value, **more
        )
        colour = "green" if done["status"] == "synced" else "yellow"
        place = f"{done['scope']}/{key}"
        said = json.dumps(value, ensure_ascii=False)
        self._did(
            machine, f"{place} = {said}", "", f"[{colour}]{done['status']}[/]"
        )

    async def _scene(self, title: str) -> None:
        if self._scenes:
            await anyio.sleep(self._pause)
        self._scenes += 1
        self._say(f"\n[bold]{self._scenes}. {title}[/]")

    def _did(
        self, machine: Machine, what: str, text: str, mark: str = ""
    ) -> None:
        line = Table.grid(padding=(0, 1))
        line.add_column(width=9)
        line.add_column(width=58, overflow="fold")
        line.add_column(width=7)
        said = f"{escape(what)}{': ' if text else ''}{escape(text)}"
        line.add_row(
            f" [{_COLOURS[machine.name]}]{machine.name}[/]", said, mark
        )
        self._console.print(line)

    def _say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    @staticmethod
    async def _until(
        ready: Callable[[], Awaitable[dict[str, Any] | None]],
    ) -> dict[str, Any]:
        """Wait for what the other machine's edits bring about here, at most 30 seconds."""
        with anyio.fail_after(30):
            while (found := await ready()) is None:  # noqa: ASYNC110  another process's doing
                await anyio.sleep(0.05)
            return found


async def _sees(machine: Machine, session: str) -> dict[str, Any] | None:
    context = await machine.context()
    return (
        context
        if any(one["session"] == session for one in context["active"])
        else None
    )


async def _works_on(machine: Machine, issue: int) -> dict[str, Any] | None:
    context = await machine.context()
    return (
        context
        if any(one["current_issue"] == issue for one in context["active"])
        else None
    )


async def _holds(
    machine: Machine, scope: str, key: str
) -> dict[str, Any] | None:
    found = await machine.call("retrieve_data", scope=scope, key=key)
    return found if found["found"] else None


def _command() -> str:
    """How to call csc-git from where the reader is."""
    if shutil.which("csc-git"):
        return "csc-git"
    called = Path(sys.argv[0]).resolve()
    return (
        f"{sys.executable} -m csc_git"
        if called.name == "__main__.py"
        else str(called)
    )


async def _in_step(machine: Machine) -> dict[str, Any] | None:
    context = await machine.context()
    sync = context["sync"]
    return context if sync["state"] == "ok" and not sync["queued"] else None


async def _alone(machine: Machine) -> dict[str, Any] | None:
    context = await machine.context()
    return context if len(context["active"]) == 1 else None
