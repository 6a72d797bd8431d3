"""The scenes of the demo: the agents' calls, and the output that shows these calls."""

import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import anyio
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from csc_git.cli.demo.stage import Machine, Stage

_COLOURS: Final = {"laptop": "cyan", "desktop": "magenta"}
_ISSUE: Final = 15
"""The issue that the first agent works on."""

_OTHER_ISSUE: Final = 16
"""The issue that the second agent chooses when it sees that the first issue is taken."""

_SECONDS: Final = 30
"""An edit of one machine must reach the other machine within this many seconds."""

_PAUSE: Final = 0.05
"""Seconds between two checks whether an edit has arrived."""

_Context = dict[str, Any]
"""The content of the resource `session://context`."""


def play(directory: Path, *, pause: float, keep: bool) -> None:
    """Play all scenes.

    Args:
        directory: An empty directory for the remote and the clones.
        pause: Seconds between two scenes.
        keep: Whether the directory is kept afterwards.
    """
    stage = Stage(directory)
    console = Console(highlight=False)
    scenes = _Play(stage, console, pause)
    try:
        anyio.run(scenes.all)
    finally:
        if keep:
            console.print(f"Kept: {directory}", soft_wrap=True)
        else:
            shutil.rmtree(directory, ignore_errors=True)


class _Play:
    def __init__(
        self,
        stage: Stage,
        console: Console,
        pause: float,
    ) -> None:
        self._stage = stage
        self._console = console
        self._pause = pause
        self._scenes = 0

    async def all(self) -> None:
        """Set up the machines, play the scenes, and print the history."""
        began = time.monotonic()
        self._print(
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
        seconds = time.monotonic() - began
        command = _command()
        self._print(
            f"\nAll of this was real, and took {seconds:.1f} s. In your project, run:"
        )
        self._print(f"  [bold]{command} init[/]")

    async def _sign_on(self, laptop: Machine, desktop: Machine) -> None:
        await self._scene("Two agents sign on, and each sees the other")
        one = await laptop.call("sign_on")
        first = one["session"]
        self._print_call(laptop, "sign_on", first)
        await _until(desktop, lambda context: _has_session(context, first))
        two = await desktop.call("sign_on")
        session = two["session"]
        others = ", ".join(other["session"] for other in two["others"])
        self._print_call(
            desktop,
            "sign_on",
            f"{session}; already here: {others}",
        )

    async def _work(self, laptop: Machine, desktop: Machine) -> None:
        await self._scene(
            "They report what they work on, and choose different issues"
        )
        todos = [
            {"text": "parser", "done": True},
            {"text": "tests"},
        ]
        issue = "session:claude_1/current_issue"
        await self._put(laptop, issue, _ISSUE, confirm=True)
        await self._put(laptop, "session:claude_1/todos", todos)
        context = await _until(desktop, _is_issue_taken)
        (busy,) = filter(_works_on_issue, context["active"])
        session = busy["session"]
        self._print_call(
            desktop,
            "session://context",
            f"{session} has issue {_ISSUE}; I take {_OTHER_ISSUE}",
        )
        await self._put(desktop, issue, _OTHER_ISSUE, confirm=True)

    async def _offline(self, laptop: Machine, desktop: Machine) -> None:
        await self._scene(
            "The network fails; both go on working, even on the same key"
        )
        plan = {"owner": "laptop", "step": 1}
        await self._put(laptop, "plan/release", plan, confirm=True)
        await _until_stored(desktop, "plan", "release")
        self._stage.unplug()
        later_step = plan | {"step": 2}
        with_notes = plan | {"notes": "docs first"}
        await self._put(laptop, "plan/release", later_step, confirm=True)
        await self._put(desktop, "plan/release", with_notes)
        await self._put(laptop, "plan/date", "Friday")
        await self._put(desktop, "plan/date", "Monday")
        self._stage.plug_in()
        await self._scene("The network is back, and nothing was lost")
        for machine in (laptop, desktop, laptop):
            await _until(machine, _is_synced)
        await self._print_plan(laptop)

    async def _print_plan(self, machine: Machine) -> None:
        """Print the result for the two keys that both machines changed."""
        release = await machine.call(
            "retrieve_data",
            scope="plan",
            key="release",
            fresh=True,
        )
        merged = json.dumps(release["value"])
        self._print_call(machine, "plan/release", f"merged by member, {merged}")
        date = await machine.call(
            "retrieve_data",
            scope="plan",
            key="date",
        )
        current = date["value"]
        self._print_call(
            machine, "plan/date", f"the later one is current: {current}"
        )
        context = await machine.context()
        for line in context["conflicts"]:
            self._print_call(machine, "conflict", line)

    async def _hand_off(self, laptop: Machine, desktop: Machine) -> None:
        await self._scene("One agent hands its work over and signs off")
        handoff = {
            "done": ["parser"],
            "next": "tests",
            "careful": "fixture 3 is flaky",
        }
        await self._put(laptop, "issue:15/handoff", handoff, confirm=True)
        gone = await laptop.call("sign_off")
        self._print_call(laptop, "sign_off", gone["session"])
        await _until(desktop, _is_alone)
        note = await desktop.call(
            "retrieve_data",
            scope="issue:15",
            key="handoff",
            fresh=True,
        )
        author = note["session"]
        text = json.dumps(note["value"])
        self._print_call(
            desktop,
            "issue:15/handoff",
            f"{author} wrote {text}",
        )
        await desktop.call("sign_off")
        self._print_call(desktop, "sign_off", "claude_1@desktop")
        await _until(desktop, _is_synced)

    def _history(self) -> None:
        self._print(
            "\n[bold]What git stored[/]  git log csc/state, on the remote"
        )
        log = self._stage.git(
            "log",
            "--reverse",
            "--format=%h %<(18,trunc)%an %s",
            "csc/state",
            cwd=self._stage.remote,
        )
        for line in log.splitlines():
            shown = escape(line[:76])
            self._print(f"  [dim]{shown}[/]")

    async def _put(
        self,
        machine: Machine,
        place: str,
        value: Any,  # noqa: ANN401
        **more: Any,  # noqa: ANN401
    ) -> None:
        """Store a value and print the status of the edit.

        Args:
            machine: The machine whose agent stores the value.
            place: The scope and the key, separated by `/`.
            value: The value.
            more: Further arguments of the tool.
        """
        scope, _, key = place.partition("/")
        done = await machine.call(
            "store_data",
            scope=scope,
            key=key,
            value=value,
            **more,
        )
        status = done["status"]
        colour = "yellow"
        if status == "synced":
            colour = "green"
        full_scope = done["scope"]
        text = json.dumps(value, ensure_ascii=False)
        self._print_line(
            machine,
            f"{full_scope}/{key} = {text}",
            f"[{colour}]{status}[/]",
        )

    async def _scene(self, title: str) -> None:
        if self._scenes:
            await anyio.sleep(self._pause)
        self._scenes += 1
        self._print(f"\n[bold]{self._scenes}. {title}[/]")

    def _print_call(
        self,
        machine: Machine,
        what: str,
        result: str,
    ) -> None:
        self._print_line(machine, f"{what}: {result}")

    def _print_line(
        self,
        machine: Machine,
        text: str,
        mark: str = "",
    ) -> None:
        """Print a line about a machine: its name, a text, and a short coloured mark."""
        colour = _COLOURS[machine.name]
        line = Table.grid(padding=(0, 1))
        line.add_column(width=9)
        line.add_column(width=58, overflow="fold")
        line.add_column(width=7)
        line.add_row(
            f" [{colour}]{machine.name}[/]",
            escape(text),
            mark,
        )
        self._console.print(line)

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)


async def _until(
    machine: Machine,
    is_so: Callable[[_Context], bool],
) -> _Context:
    """Wait until the context of a machine's session meets a condition. Return this context."""
    with anyio.fail_after(_SECONDS):
        while True:
            context = await machine.context()
            if is_so(context):
                return context
            await anyio.sleep(_PAUSE)


async def _until_stored(machine: Machine, scope: str, key: str) -> None:
    """Wait until a machine has a value for a key."""
    with anyio.fail_after(_SECONDS):
        while True:
            found = await machine.call(
                "retrieve_data",
                scope=scope,
                key=key,
            )
            if found["found"]:
                return
            await anyio.sleep(_PAUSE)


def _has_session(context: _Context, session: str) -> bool:
    return any(one["session"] == session for one in context["active"])


def _is_issue_taken(context: _Context) -> bool:
    return any(map(_works_on_issue, context["active"]))


def _works_on_issue(session: dict[str, Any]) -> bool:
    return bool(session["current_issue"] == _ISSUE)


def _is_synced(context: _Context) -> bool:
    sync = context["sync"]
    if sync["queued"]:
        return False
    return bool(sync["state"] == "ok")


def _is_alone(context: _Context) -> bool:
    return len(context["active"]) == 1


def _command() -> str:
    """The command with which the user can start csc-git."""
    if shutil.which("csc-git"):
        return "csc-git"
    called = Path(sys.argv[0]).resolve()
    if called.name == "__main__.py":
        return f"{sys.executable} -m csc_git"
    return str(called)
