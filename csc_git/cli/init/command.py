"""`csc-git init`: set a repository up, checking every step for real."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final, NoReturn

import click

from csc_git.cli.init.setup import Setup, Target, set_up, take_back
from csc_git.cli.options import command, common, flags
from csc_git.cli.output import described, hanging, show
from csc_git.clients.client import CLIENTS, NAME
from csc_git.clients.hooks import HookRegistration
from csc_git.clients.launch import is_shareable
from csc_git.clients.registration import ServerRegistration, memory_of
from csc_git.clients.user import UserRegistration
from csc_git.config.settings import Settings, load
from csc_git.coordinator.factory import directory_of
from csc_git.coordinator.results import Result
from csc_git.git.project import Project, discover

_OTHER: Final = "other"
_HOOKS: Final = "hooks"
_IN_PROJECTS: Final = tuple(
    client.key for client in CLIENTS.values() if client.file is not None
)
"""What is undone unless a client is named: not what holds for other projects too."""

_PRIVATE: Final = (
    "What was added names a Python of this machine, since csc-git is in a virtual environment. "
    "For settings to share, install it by pipx or uv tool, then: csc-git init --undo, and init."
)
_AGAIN: Final = (
    "Next: mend that, then the same again; what is done already stays as it is."
)


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
@click.option(
    "--dry-run", is_flag=True, help="Only show what would be changed."
)
@click.option("--undo", is_flag=True, help="Take back what init did here.")
@click.option(
    "--no-register", is_flag=True, help="Leave the clients' settings alone."
)
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
    wanted = [*(clients or _default(undo=undo, hooks=hooks))]
    wanted += [_HOOKS] if hooks or (undo and not clients) else []
    targets = _targets(project, () if no_register else wanted, options)
    if dry_run:
        _show_preview(project, targets, options, undo=undo)
        return
    if undo:
        _end(
            take_back(
                project, targets, options, wholly=not hooks and not clients
            ),
            [],
        )
    # Refused before anything is written.
    added = [target for target in targets if target.registration.preview()]
    _end(set_up(project, targets, options), _next(wanted, added, options))


def _end(done: Setup, then: list[str]) -> NoReturn:
    """Say what was done, and what is next."""
    lines = [described(step) for step in done.steps]
    then = then if done.ok else [hanging("", _AGAIN)]
    show(done, "\n".join([*lines, *(["", *then] if then else [])]))
    sys.exit(0 if done.ok else 1)


def _default(*, undo: bool, hooks: bool) -> tuple[str, ...]:
    """The clients whose settings are meant if none is given."""
    if not undo:
        return ("claude",)
    return () if hooks else _IN_PROJECTS


def _targets(
    project: Project, wanted: Sequence[str], options: dict[str, Any]
) -> list[Target]:
    """The places to register in; those in a project only where there is a work tree."""
    found = [_target(project, key, options) for key in wanted]
    return [target for target in found if target is not None]


def _target(
    project: Project, key: str, options: dict[str, Any]
) -> Target | None:
    client, memory, given = CLIENTS.get(key), memory_of(project), flags(options)
    if client is not None and client.file is None:
        return Target(key, client.title, UserRegistration(given))
    if not project.has_work_tree:
        return None
    if key == _HOOKS:
        return Target(key, key, HookRegistration(project.top, memory, given))
    if client is None:
        return None
    return Target(
        key,
        client.title,
        ServerRegistration(client, project.top, memory, given),
    )


def _show_preview(
    project: Project,
    targets: list[Target],
    options: dict[str, Any],
    *,
    undo: bool,
) -> None:
    changes = {
        target.title: target.registration.preview(undo=undo)
        for target in targets
    }
    branch = (
        _kept(project)
        if undo
        else _made(project, load(project, flags(options)))
    )
    settings = (
        "".join(changes.values()).rstrip("\n")
        or "# No settings would be changed."
    )
    show(
        Preview(branch=branch, changes=changes),
        hanging("# ", branch) + "\n" + settings,
    )


def _made(project: Project, settings: Settings) -> str:
    """What would become of the branch."""
    made = f"The branch {settings.branch} would be made if it isn't there yet"
    if not settings.sync or not (settings.remote or project.remotes):
        return f"{made}, in this clone only"
    return f"{made}, and tried at {settings.remote or 'the remote'}, which was not asked now"


def _kept(project: Project) -> str:
    if directory_of(project).exists():
        return "The branch would stay: the data belong to all who share it"
    return (
        "This clone has no store; there is nothing to take back from the branch"
    )


def _next(
    clients: Sequence[str], added: list[Target], options: dict[str, Any]
) -> list[str]:
    """What a person does next."""
    lines = []
    if _OTHER in clients:
        entry = CLIENTS["claude"].entry(flags(options))
        lines += [
            "Add to your client's settings:",
            json.dumps({"mcpServers": {NAME: entry}}),
        ]
    start = "Next: start your client here; ask it to sign on."
    lines.append(hanging("", " ".join([start, *_commit(added)])))
    if added and not is_shareable():
        lines.append(hanging("", _PRIVATE))
    return lines


def _commit(added: list[Target]) -> Iterator[str]:
    """Which of the settings that were added to are for others too."""
    if shared := [target.where for target in added if _is_shared(target)]:
        yield f"Commit {' and '.join(shared)} for others."
    if own := [
        one for one in added if isinstance(one.registration, HookRegistration)
    ]:
        yield f"Don't commit {own[0].where}: it is yours alone."


def _is_shared(target: Target) -> bool:
    return (
        isinstance(target.registration, ServerRegistration) and is_shareable()
    )
