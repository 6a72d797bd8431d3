"""`csc-git init`: set a repository up, checking every step for real."""

import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import click

from csc_git.cli.options import command, common, flags, opened, user
from csc_git.cli.output import hanging, progress, show, told
from csc_git.clients.client import CLIENTS, NAME
from csc_git.clients.hooks import HookRegistration
from csc_git.clients.launch import is_shareable
from csc_git.clients.registration import ServerRegistration
from csc_git.clients.user import UserRegistration
from csc_git.config.settings import SHARING, Settings, load
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.opening import directory_of
from csc_git.coordinator.results import Result
from csc_git.coordinator.roundtrip import RoundTrip, round_trip, scope_of
from csc_git.doctor.client import check_agreement
from csc_git.doctor.finding import Finding, doubtful, fine, refused, wrong
from csc_git.doctor.project import check_machine
from csc_git.doctor.start import Sharing, sharing_at
from csc_git.errors import CscError, as_told
from csc_git.git.failure import RemoteState
from csc_git.git.project import Project, discover
from csc_git.git.tracked import tracked_files

_OTHER: Final = "other"
_IN_PROJECTS: Final = tuple(client.key for client in CLIENTS.values() if client.file is not None)
"""What is undone unless a client is named: not what holds for other projects too."""

_PRIVATE: Final = (
    "What was added names a Python of this machine, since csc-git is in a virtual environment. "
    "For settings to share, install it by pipx or uv tool, then: csc-git init --undo, and init."
)
_AGAIN: Final = "Next: mend that, then the same again; what is done already stays as it is."
_WRONG: Final = frozenset({RemoteState.NO_REMOTE, RemoteState.BAD_URL})
"""States of a remote that was named wrong."""


class Registers(Protocol):
    """Puts something of ours into somebody's settings, and takes it out."""

    file: Path

    def add(self) -> str:
        """Put it in; what was done."""

    def remove(self) -> str:
        """Take it out; what was done, empty if nothing."""

    def preview(self, *, undo: bool = False) -> str:
        """What `add` (or `remove`) would do."""


@dataclass(frozen=True)
class Target:
    """One of the places where we register."""

    key: str
    title: str
    registration: Registers


class Setup(Result):
    """What `init` did or found, step by step."""

    steps: list[Finding]

    @property
    def ok(self) -> bool:
        """Whether everything went well."""
        return all(step.level != "error" for step in self.steps)


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
    wanted = () if no_register else clients or _default(undo=undo, hooks=hooks)
    targets = _targets(project, wanted, options)
    if (hooks or (undo and not clients)) and project.has_work_tree and not no_register:
        targets.append(
            Target(
                "hooks", "hooks", HookRegistration(project.top, _memory(project), flags(options))
            )
        )
    if dry_run:
        _show_preview(project, targets, options, undo=undo)
        return
    # Refused before anything is written.
    added = [] if undo else [target for target in targets if target.registration.preview()]
    if undo:
        done = _undo(project, targets, options, wholly=not hooks and not clients)
    else:
        done = _set_up(project, targets, options)
    lines = [told(step) for step in done.steps]
    if not done.ok:
        lines += ["", hanging("", _AGAIN)]
    elif not undo:
        lines += ["", *_next(clients or ("claude",), added, options)]
    show(done, "\n".join(lines))
    sys.exit(0 if done.ok else 1)


def _default(*, undo: bool, hooks: bool) -> tuple[str, ...]:
    """Whose settings are meant where none are named."""
    if not undo:
        return ("claude",)
    return () if hooks else _IN_PROJECTS


def _targets(project: Project, wanted: Sequence[str], options: dict[str, Any]) -> list[Target]:
    """The places to register in; those in a project only where there is a work tree."""
    found = []
    for key in wanted:
        client = CLIENTS.get(key)
        if client is not None and client.file is None:
            found.append(Target(key, client.title, UserRegistration(flags(options))))
        elif client is not None and project.has_work_tree:
            memory = _memory(project)
            place = ServerRegistration(client, project.top, memory, flags(options))
            found.append(Target(key, client.title, place))
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
    made = f"The branch {settings.branch} would be made if it isn't there yet"
    if not settings.sync or not (settings.remote or project.remotes):
        return f"{made}, in this clone only"
    return f"{made}, and tried at {settings.remote or 'the remote'}, which was not asked now"


def _kept(project: Project) -> str:
    if directory_of(project).exists():
        return "The branch would stay: the data belong to all who share it"
    return "This clone has no store; there is nothing to take back from the branch"


def _set_up(project: Project, targets: list[Target], options: dict[str, Any]) -> Setup:
    here = sharing_at(options["directory"], flags(options))
    replaced = [(one.key, one.registration.file) for one in targets if _names_place(options)]
    if apart := [*check_agreement(project, _memory(project), here, replaced)]:
        return Setup(steps=apart)
    with opened(options) as coordinator, progress() as coordinator.progress:
        tried = round_trip(coordinator, user())
        steps = [
            fine("repository", str(coordinator.project.top)),
            fine("store", str(coordinator.store.repository.path)),
            _tried(coordinator, tried),
            *check_machine(coordinator),
        ]
    if options["remote"] is not None and tried.status.state in _WRONG:
        for target in targets:
            says = f"{_where(target)} was left alone, since it would name that remote"
            steps.append(wrong(_name(target), says, ""))
        return Setup(steps=steps)
    steps += filter(None, (_step(one, one.registration.add) for one in targets))
    return Setup(steps=[*steps, *_unlike_commands(options, here)])


def _agree(project: Project, options: dict[str, Any]) -> bool:
    """Whether all share with whom commands here do, as far as can be told."""
    try:
        here = sharing_at(options["directory"], flags(options))
        return not [*check_agreement(project, _memory(project), here)]
    except CscError:
        return False


def _names_place(options: dict[str, Any]) -> bool:
    return any(options[name] is not None for name in SHARING)


def _unlike_commands(options: dict[str, Any], here: Sharing) -> Iterator[Finding]:
    """What was asked for holds for what was registered; do commands that are run here agree?"""
    if here[:-1] != sharing_at(options["directory"], {})[:-1]:
        given = {name: options[name] for name in sorted(SHARING) if options[name] is not None}
        settings = [f"git config csc.{name} {_shown(value)}" for name, value in given.items()]
        says = "Commands and hooks here know nothing of that yet, and share as is set here"
        yield doubtful("settings", says, " && ".join(settings))


def _shown(value: Any) -> str:  # noqa: ANN401  a setting's
    return str(value).lower() if isinstance(value, bool) else shlex.quote(str(value))


def _step(target: Target, change: Callable[[], str], more: str = "") -> Finding | None:
    """What became of an entry; None if there was nothing to do."""
    try:
        done = change()
    except (CscError, OSError) as error:
        return refused(_name(target), as_told(error))
    return fine(_name(target), f"{_where(target)}: {NAME} {done}{more}") if done else None


def _name(target: Target) -> str:
    return "Claude Code" if target.title.startswith("Claude Code") else target.title


def _tried(coordinator: Coordinator, tried: RoundTrip) -> Finding:
    what, then = tried.status.describe()
    if tried.works:
        where = tried.status.remote
        return fine("remote", f"{where}: written, pushed, read back in {tried.seconds:.1f} s")
    unnamed = not tried.status.detail and not coordinator.project.remotes
    alone = tried.status.state is RemoteState.NO_REMOTE and unnamed
    if alone or tried.status.state is RemoteState.OFF:
        return fine("remote", f"{what}: this clone only. {then}.")
    return wrong("remote", f"{what}. Local work goes on", then)


def _undo(
    project: Project, targets: list[Target], options: dict[str, Any], *, wholly: bool
) -> Setup:
    shared = tracked_files(project) if project.has_work_tree else []
    agree = _agree(project, options)
    steps = [
        _step(one, one.registration.remove, _COMMITTED if _file(project, one) in shared else "")
        for one in targets
    ]
    found = [*filter(None, steps)] or [fine("settings", f"none here name {NAME}")]
    if not wholly:
        return Setup(steps=found)
    told = options if agree else options | {"sync": False}  # or it would be told to others
    kept = _withdrawn(told) if directory_of(project).exists() else "there is none here"
    return Setup(steps=[*found, fine("store", kept)])


_COMMITTED: Final = (
    ". It was committed: commit its removal only if nobody is to use it any more, else put it back "
    "with git restore"
)


def _file(project: Project, target: Target) -> str:
    """A file of settings as git names it; empty if it is none of the project's."""
    file = target.registration.file
    return file.relative_to(project.top).as_posix() if file.is_relative_to(project.top) else ""


def _withdrawn(options: dict[str, Any]) -> str:
    """Take back what `init` wrote on the branch; what stays there."""
    with opened(options) as coordinator, progress() as coordinator.progress:
        author = coordinator.person(user())
        tried = coordinator.edits.delete_scope(author, scope_of(coordinator.clone))
        status = coordinator.sync()
        kept = "the data stay, since they belong to all who share them"
        if tried.deleted:
            kept += "; what tried the remote was deleted"
        if coordinator.store.branch.queue() and status.state is not RemoteState.NO_REMOTE:
            kept += f". {status.describe()[0]}; the next sync tells the remote"
    return kept


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
