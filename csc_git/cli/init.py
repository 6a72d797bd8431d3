"""`csc-git init`: set a repository up, checking every step for real."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import click

from csc_git.cli.options import command, common, flags, opened, user
from csc_git.cli.output import hanging, progress, show
from csc_git.clients.client import CLIENTS, NAME, is_shareable
from csc_git.clients.registration import HookRegistration, ServerRegistration
from csc_git.clients.user import UserRegistration
from csc_git.config.settings import Settings, load
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.opening import directory_of
from csc_git.coordinator.results import Result
from csc_git.coordinator.roundtrip import namesakes, round_trip, scope_of
from csc_git.errors import CscError, as_told
from csc_git.git.failure import RemoteState
from csc_git.git.project import Project, discover
from csc_git.git.words import count

_OTHER: Final = "other"
_IN_PROJECTS: Final = tuple(client.key for client in CLIENTS.values() if client.file is not None)
"""What is undone unless a client is named: not what holds for other projects too."""

_PRIVATE: Final = (
    "What was added names a Python of this machine, since csc-git is in a virtual environment. "
    "For settings to share, install it by pipx or uv tool, then: csc-git init --undo, and init."
)
_NOTHING: Final = ("is not there", "was not registered")


class Registers(Protocol):
    """Puts something of ours into somebody's settings, and takes it out."""

    file: Path

    def add(self) -> str:
        """Put it in."""

    def remove(self) -> str:
        """Take it out."""

    def preview(self, *, undo: bool = False) -> str:
        """What `add` (or `remove`) would do."""


@dataclass(frozen=True)
class Target:
    """One of the places where we register."""

    title: str
    registration: Registers


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


class Preview(Result):
    """What `init` would change: of the branch, and in which settings of clients."""

    branch: str
    changes: dict[str, str]


@command("init")
@click.option(
    "--client",
    "clients",
    type=click.Choice([*CLIENTS, _OTHER]),
    multiple=True,
    help="Whose settings to add to; default claude. May be repeated.",
)
@click.option("--hooks", is_flag=True, help="Add the hooks of Claude Code too.")
@click.option("--dry-run", is_flag=True, help="Only show what would be changed.")
@click.option("--undo", is_flag=True, help="Take back what init did here.")
@click.option("--no-register", is_flag=True, help="Leave the clients' settings alone.")
@common
def init_command(
    *,
    clients: tuple[str, ...],
    hooks: bool,
    dry_run: bool,
    undo: bool,
    no_register: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Set this repository up: make the branch, try the remote, register with your client.

    The remote is tried by a round trip: an edit is written, pushed, and read back. Settings of
    clients are added to, never rewritten: comments, order and other servers stay.

    claude is Claude Code in this project (.mcp.json, to be committed), claude-user Claude Code in
    all your projects, vscode .vscode/mcp.json, cursor .cursor/mcp.json; other prints what to add
    by hand.
    """
    project = discover(options["directory"])
    if no_register and (hooks or clients):
        raise click.UsageError(
            "--no-register leaves all settings alone; --client and --hooks add to them"
        )
    wanted = () if no_register else clients or (_IN_PROJECTS if undo else ("claude",))
    targets = _targets(project, wanted, options)
    if (hooks or (undo and not clients)) and project.has_work_tree and not no_register:
        targets.append(
            Target("hooks", HookRegistration(project.top, _memory(project), options["branch"]))
        )
    if dry_run:
        _show_preview(project, targets, options, undo=undo)
        return
    # Refused before anything is written.
    added = [] if undo else [target for target in targets if target.registration.preview()]
    done = _undo(project, targets, options) if undo else _set_up(targets, options)
    lines = [hanging(f"{'ok' if s.ok else '!!'}  {s.name:<12}", s.text) for s in done.steps]
    if done.ok and not undo:
        lines += ["", *_next(clients or ("claude",), added, options)]
    show(done, "\n".join(lines))
    sys.exit(0 if done.ok else 1)


def _targets(project: Project, wanted: Sequence[str], options: dict[str, Any]) -> list[Target]:
    """The places to register in; those in a project only where there is a work tree."""
    found = []
    for key in wanted:
        client = CLIENTS.get(key)
        if client is not None and client.file is None:
            found.append(Target(client.title, UserRegistration(flags(options))))
        elif client is not None and project.has_work_tree:
            memory = _memory(project)
            place = ServerRegistration(client, project.top, memory, flags(options))
            found.append(Target(client.title, place))
    return found


def _memory(project: Project) -> Path:
    return directory_of(project) / "registration.json"


def _show_preview(
    project: Project, targets: list[Target], options: dict[str, Any], *, undo: bool
) -> None:
    changes = {target.title: target.registration.preview(undo=undo) for target in targets}
    branch = _kept(project) if undo else _made(project, load(project, flags(options)))
    settings = "".join(changes.values()).rstrip("\n") or "# No settings would be changed."
    show(Preview(branch=branch, changes=changes), hanging("# ", branch) + "\n" + settings)


def _made(project: Project, settings: Settings) -> str:
    """What would become of the branch."""
    if not settings.sync or not (settings.remote or project.remotes):
        return f"The branch {settings.branch} would be made if it isn't there, in this clone only"
    where = settings.remote or "the remote"
    return f"The branch {settings.branch} would be made if it isn't there, and pushed to {where}"


def _kept(project: Project) -> str:
    if directory_of(project).exists():
        return "The branch would stay: the data belong to all who share it"
    return "This clone has no store; there is nothing to take back from the branch"


def _set_up(targets: list[Target], options: dict[str, Any]) -> Setup:
    with opened(options) as coordinator, progress() as coordinator.progress:
        steps = [
            Step(name="repository", ok=True, text=str(coordinator.project.top)),
            Step(name="store", ok=True, text=str(coordinator.store.repository.path)),
            _tried(coordinator),
            Step(name="machine", ok=True, text=_machine(coordinator)),
        ]
    return Setup(steps=[*steps, *(_step(target, target.registration.add) for target in targets)])


def _step(target: Target, change: Callable[[], str]) -> Step:
    name = "Claude Code" if target.title.startswith("Claude Code") else target.title
    try:
        return Step(name=name, ok=True, text=f"{_where(target)}: {NAME} {change()}")
    except (CscError, OSError) as error:
        return Step(name=name, ok=False, text=str(as_told(error)))


def _machine(coordinator: Coordinator) -> str:
    """The name behind the @ of a session."""
    name = coordinator.clone.machine
    if not (others := namesakes(coordinator)):
        return name
    how = "To tell their sessions apart: git config csc.machine NAME"
    return f"{name}, like {count(others, 'other clone')} of this project. {how}"


def _tried(coordinator: Coordinator) -> Step:
    tried = round_trip(coordinator, user())
    what, then = tried.status.describe()
    if tried.works:
        where = coordinator.overview.status().remote
        took = f"{tried.seconds:.1f} s"
        return Step(name="remote", ok=True, text=f"{where}: written, pushed, read back in {took}")
    unnamed = not tried.status.detail and not coordinator.project.remotes
    alone = tried.status.state is RemoteState.NO_REMOTE and unnamed
    if alone or tried.status.state is RemoteState.OFF:
        return Step(name="remote", ok=True, text=f"{what}: this clone only. {then}.")
    return Step(name="remote", ok=False, text=f"{what}. Local work goes on. {then}.")


def _undo(project: Project, targets: list[Target], options: dict[str, Any]) -> Setup:
    steps = [_step(target, target.registration.remove) for target in targets]
    steps = [step for step in steps if not (step.ok and step.text.endswith(_NOTHING))]
    text = _withdrawn(options) if directory_of(project).exists() else "there is none here"
    return Setup(steps=[*steps, Step(name="store", ok=True, text=text)])


def _withdrawn(options: dict[str, Any]) -> str:
    """Take back what `init` wrote on the branch; what stays there."""
    with opened(options) as coordinator, progress() as coordinator.progress:
        author = coordinator.person(user())
        coordinator.edits.delete_scope(author, scope_of(coordinator.clone))
        status = coordinator.sync()
        left = "left as it is: the data belong to all who share it"
        if coordinator.store.branch.queue():
            left += f". {status.describe()[0]}; the next sync tells the remote"
    return left


def _next(clients: Sequence[str], added: list[Target], options: dict[str, Any]) -> list[str]:
    """What a person does next."""
    lines = []
    if _OTHER in clients:
        entry = CLIENTS["claude"].entry(flags(options))
        lines += ["Add to your client's settings:", json.dumps({"mcpServers": {NAME: entry}})]
    start = "Next: start your client here; ask it to sign on."
    lines.append(hanging("", " ".join([start, *_commit(added)])))
    if added and not is_shareable():
        lines.append(hanging("", _PRIVATE))
    return lines


def _commit(added: list[Target]) -> Iterator[str]:
    """Which of the settings that were added to are for others too."""
    if shared := [_where(target) for target in added if _is_shared(target)]:
        yield f"Commit {' and '.join(shared)} for others."
    if own := [one for one in added if isinstance(one.registration, HookRegistration)]:
        yield f"Don't commit {_where(own[0])}: it is yours alone."


def _where(target: Target) -> str:
    """A file of settings, as it is called from the project's top."""
    *_, directory, name = target.registration.file.parts
    return f"{directory}/{name}" if directory.startswith(".") else name


def _is_shared(target: Target) -> bool:
    return isinstance(target.registration, ServerRegistration) and is_shareable()
