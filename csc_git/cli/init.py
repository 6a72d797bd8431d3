"""`csc-git init`: set a repository up, checking every step for real."""

import sys
import time
from collections.abc import Callable
from typing import Any

import click

from csc_git.cli.options import common, flags, opened, user
from csc_git.cli.output import progress, show
from csc_git.cli.registration import NAME, Registration, is_shareable
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.results import Result
from csc_git.errors import CscError, as_told
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
        registration = None if no_register else _registration(coordinator, options)
        done = _undo(coordinator, registration) if undo else _set_up(coordinator, registration)
    marks = {True: "ok", False: "!!"}
    lines = [f"{marks[step.ok]}  {step.name:<12}{step.text}" for step in done.steps]
    if done.ok and not undo:
        share = " Commit .mcp.json for others." if registration and is_shareable() else ""
        lines += ["", f"Next: start Claude Code here; ask it to sign on.{share}"]
    show(done, "\n".join(lines))
    sys.exit(0 if done.ok else 1)


def _set_up(coordinator: Coordinator, registration: Registration | None) -> Setup:
    if registration is not None:
        registration.check()  # before anything is written
    steps = [
        Step(name="repository", ok=True, text=str(coordinator.project.top)),
        Step(name="store", ok=True, text=str(coordinator.store.repository.path)),
        _round_trip(coordinator),
    ]
    if registration is not None:
        steps.append(_registered(registration.add))
    return Setup(steps=steps)


def _registered(change: Callable[[], str]) -> Step:
    try:
        return Step(name="Claude Code", ok=True, text=f".mcp.json: {NAME} {change()}")
    except (CscError, OSError) as error:
        return Step(name="Claude Code", ok=False, text=str(as_told(error)))


def _round_trip(coordinator: Coordinator) -> Step:
    """Write, push, and read back."""
    began = time.monotonic()
    says = {"clone": coordinator.clone.id, "by": user()}
    author = coordinator.person(user())
    coordinator.edits.put(author, f"clones:{coordinator.clone.machine}", _KEY, says)
    status = coordinator.sync()
    if status.state is RemoteState.OK:
        status = coordinator.sync()
    unnamed = not status.detail and not coordinator.project.remotes
    alone = status.state is RemoteState.NO_REMOTE and unnamed
    if alone or status.state is RemoteState.OFF:
        what, then = status.describe()
        return Step(name="remote", ok=True, text=f"{what}: this clone only. {then}.")
    if status.state is not RemoteState.OK or coordinator.store.branch.queue():
        what, then = status.describe()
        return Step(name="remote", ok=False, text=f"{what}. Local work goes on. {then}.")
    took = time.monotonic() - began
    where = coordinator.overview.status().remote
    return Step(name="remote", ok=True, text=f"{where}: written, pushed, read back in {took:.1f} s")


def _undo(coordinator: Coordinator, registration: Registration | None) -> Setup:
    steps = [] if registration is None else [_registered(registration.remove)]
    author = coordinator.person(user())
    coordinator.edits.delete(author, f"clones:{coordinator.clone.machine}", _KEY)
    status = coordinator.sync()
    left = "left as it is: the data belong to all who share it"
    if coordinator.store.branch.queue():
        left += f". {status.describe()[0]}; the next sync tells the remote"
    return Setup(steps=[*steps, Step(name="store", ok=True, text=left)])


def _registration(coordinator: Coordinator, options: dict[str, Any]) -> Registration | None:
    if not coordinator.project.has_work_tree:
        return None
    memory = coordinator.store.directory / "registration.json"
    return Registration(coordinator.project.top / ".mcp.json", memory, flags(options))
