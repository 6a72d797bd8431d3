"""`csc-git init`: set a repository up, checking every step for real."""

import sys
import time
from pathlib import Path
from typing import Any

import click

from csc_git.cli.options import common, opened, user
from csc_git.cli.output import progress, show
from csc_git.cli.registration import NAME, Registration
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.results import Result
from csc_git.git.failure import RemoteState

_KEY = "init"


class Step(Result):
    """One thing that `init` did or found."""

    name: str
    ok: bool
    text: str


class Setup(Result):
    """What `init` did."""

    steps: list[Step]

    @property
    def ok(self) -> bool:
        """Whether everything went well."""
        return all(step.ok for step in self.steps)


@click.command("init")
@common
@click.option("--undo", is_flag=True, help="Take back what init did here.")
@click.option("--no-register", is_flag=True, help="Leave .mcp.json alone.")
def init_command(undo: bool, no_register: bool, **options: Any) -> None:  # noqa: ANN401
    """Set this repository up: make the branch, try the remote, register with Claude Code.

    The remote is tried by a round trip: an edit is written, pushed, and read back.
    """
    with opened(options) as coordinator, progress() as coordinator.progress:
        done = _undo(coordinator) if undo else _set_up(coordinator, register=not no_register)
    marks = {True: "ok", False: "!!"}
    lines = [f"{marks[step.ok]}  {step.name:<12}{step.text}" for step in done.steps]
    if done.ok and not undo:
        lines += [
            "",
            "Next: start Claude Code here; ask it to sign on. Commit .mcp.json for others.",
        ]
    show(done, "\n".join(lines))
    sys.exit(0 if done.ok else 1)


def _set_up(coordinator: Coordinator, *, register: bool) -> Setup:
    steps = [
        Step(name="repository", ok=True, text=str(coordinator.project.top)),
        Step(name="store", ok=True, text=str(coordinator.store.repository.path)),
        _round_trip(coordinator),
    ]
    if register and coordinator.project.has_work_tree:
        file = coordinator.project.top / ".mcp.json"
        steps.append(Step(name="Claude Code", ok=True, text=_register(coordinator, file)))
    return Setup(steps=steps)


def _round_trip(coordinator: Coordinator) -> Step:
    """Write, push, and read back."""
    began = time.monotonic()
    says = {"clone": coordinator.clone.id, "by": user()}
    author = coordinator.person(user())
    coordinator.edits.put(author, f"clones:{coordinator.clone.machine}", _KEY, says)
    status = coordinator.sync()
    if status.state is RemoteState.OK:
        status = coordinator.sync()
    if status.state in {RemoteState.NO_REMOTE, RemoteState.OFF}:
        what, then = status.describe()
        return Step(name="remote", ok=True, text=f"{what}: this clone only. {then}.")
    if status.state is not RemoteState.OK or coordinator.store.branch.queue():
        what, then = status.describe()
        return Step(name="remote", ok=False, text=f"{what}. Local work goes on. {then}.")
    took = time.monotonic() - began
    where = coordinator.overview.status().remote
    return Step(name="remote", ok=True, text=f"{where}: written, pushed, read back in {took:.1f} s")


def _register(coordinator: Coordinator, file: Path) -> str:
    return f"{file.name}: {NAME} {_registration(coordinator).add()}"


def _undo(coordinator: Coordinator) -> Setup:
    author = coordinator.person(user())
    coordinator.edits.delete(author, f"clones:{coordinator.clone.machine}", _KEY)
    coordinator.sync()
    return Setup(
        steps=[
            Step(
                name="Claude Code",
                ok=True,
                text=f".mcp.json: {NAME} {_registration(coordinator).remove()}",
            ),
            Step(name="store", ok=True, text="left as it is: the data belong to all who share it"),
        ]
    )


def _registration(coordinator: Coordinator) -> Registration:
    memory = coordinator.store.directory / "registration.json"
    return Registration(coordinator.project.top / ".mcp.json", memory)
