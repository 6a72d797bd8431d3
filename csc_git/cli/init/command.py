"""`csc-git init`: set up a repository, and check each step."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final, NoReturn

import click

from csc_git.cli.init.setup import Setup, Target, set_up, undo_setup
from csc_git.cli.options import Options, command, common, flags
from csc_git.cli.output import described, hanging, show
from csc_git.clients.client import CLIENTS, NAME
from csc_git.clients.hooks import HookRegistration
from csc_git.clients.launch import is_shareable
from csc_git.clients.registration import ServerRegistration, memory_of
from csc_git.clients.user import UserRegistration
from csc_git.config.settings import Settings, load
from csc_git.coordinator.factory import directory_of
from csc_git.coordinator.results.base import Result
from csc_git.project.discovery import discover
from csc_git.project.project import Project

_OTHER: Final = "other"
_HOOKS: Final = "hooks"
_IN_PROJECTS: Final = tuple(
    client.key for client in CLIENTS.values() if client.file is not None
)
"""Clients that have settings in the project.

If no client is named, `--undo` changes the settings of these clients.
"""

_PRIVATE: Final = (
    "The entry contains a path of this machine, since csc-git is in a virtual environment. For "
    "settings that others can use, install csc-git by pipx or uv tool, then run csc-git init "
    "--undo and csc-git init."
)
_AGAIN: Final = (
    "Next: fix the problem, then run the same command again. The finished "
    "steps are kept."
)


class Preview(Result):
    """What `init` would change on the branch and in the settings of clients."""

    branch: str
    changes: dict[str, str]


@command("init")
@click.option(
    "--client",
    "clients",
    type=click.Choice([*CLIENTS, _OTHER]),
    multiple=True,
    help="A client whose settings get an entry; default claude. May be repeated.",
)
@click.option(
    "--hooks",
    is_flag=True,
    help="Also add hooks to Claude Code.",
)
@click.option(
    "--dry-run", is_flag=True, help="Only show what would be changed."
)
@click.option(
    "--undo",
    is_flag=True,
    help="Remove what init added here.",
)
@click.option(
    "--no-register", is_flag=True, help="Don't change the settings of clients."
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
    """Set up this repository: make the branch, test the remote, register with your client.

    To test the remote, an edit is written, pushed, and read back. An entry is added to the settings
    of the client; comments, order and other servers in the file stay as they are.

    claude is Claude Code in this project (.mcp.json, to be committed), claude-user is Claude Code
    in all your projects, vscode is .vscode/mcp.json, and cursor is .cursor/mcp.json. other prints
    an entry that you can add by hand.
    """
    _check_usage(clients, hooks=hooks, no_register=no_register)
    project = discover(options["directory"])
    wanted = _wanted(clients, hooks=hooks, undo=undo)
    targets: list[Target] = []
    if not no_register:
        targets = _targets(project, wanted, options)
    if dry_run:
        _show_preview(
            project,
            targets,
            options,
            undo=undo,
        )
        return
    if undo:
        leaves = not hooks and not clients
        done = undo_setup(
            project,
            targets,
            options,
            leaves=leaves,
        )
        _end(done, [])
    # Settings that can't be read are refused here, before anything is written.
    added = [target for target in targets if target.registration.preview()]
    done = set_up(project, targets, options)
    _end(done, _next_steps(wanted, added, options))


def _check_usage(
    clients: tuple[str, ...],
    *,
    hooks: bool,
    no_register: bool,
) -> None:
    if no_register and (hooks or clients):
        raise click.UsageError(
            "--no-register changes no settings; don't give it with --client or --hooks"
        )


def _end(done: Setup, next_steps: list[str]) -> NoReturn:
    """Print what was done and what to do next, and end the process."""
    lines = [described(step) for step in done.steps]
    if not done.ok:
        next_steps = [hanging("", _AGAIN)]
    if next_steps:
        lines += ["", *next_steps]
    show(done, *lines)
    sys.exit(0 if done.ok else 1)


def _wanted(clients: tuple[str, ...], *, hooks: bool, undo: bool) -> list[str]:
    """The clients whose settings are to be changed, and `hooks` if the hooks are to be changed."""
    wanted = list(clients)
    if not clients:
        wanted += _default(undo=undo, hooks=hooks)
    if hooks or (undo and not clients):
        wanted.append(_HOOKS)
    return wanted


def _default(*, undo: bool, hooks: bool) -> tuple[str, ...]:
    """The clients whose settings are to be changed if no client is named."""
    if not undo:
        return ("claude",)
    if hooks:
        return ()
    return _IN_PROJECTS


def _targets(
    project: Project,
    wanted: Sequence[str],
    options: Options,
) -> list[Target]:
    """The settings to change.

    Settings inside the project are included only if the project has a work tree.
    """
    found = [_target(project, key, options) for key in wanted]
    return [target for target in found if target is not None]


def _target(
    project: Project,
    key: str,
    options: Options,
) -> Target | None:
    given = flags(options)
    client = CLIENTS.get(key)
    if client is not None and client.file is None:
        return Target(key, client.title, UserRegistration(given))
    if not project.has_work_tree:
        return None
    memory = memory_of(project)
    if key == _HOOKS:
        hooks = HookRegistration(project.top, memory, given)
        return Target(key, key, hooks)
    if client is None:
        return None
    server = ServerRegistration(
        client,
        project.top,
        memory,
        given,
    )
    return Target(key, client.title, server)


def _show_preview(
    project: Project,
    targets: list[Target],
    options: Options,
    *,
    undo: bool,
) -> None:
    changes = {
        target.title: target.registration.preview(undo=undo)
        for target in targets
    }
    if undo:
        branch = _branch_after_undo(project)
    else:
        branch = _branch_after_init(project, load(project, flags(options)))
    settings = "".join(changes.values()).rstrip("\n")
    if not settings:
        settings = "# No settings would be changed."
    result = Preview(branch=branch, changes=changes)
    show(result, hanging("# ", branch), settings)


def _branch_after_init(project: Project, settings: Settings) -> str:
    """What `init` would do about the branch."""
    made = (
        f"The branch {settings.branch} would be made if it does not exist yet"
    )
    has_remote = bool(settings.remote or project.remotes)
    if not settings.sync or not has_remote:
        return f"{made}, in this clone only"
    remote = settings.remote or "the remote"
    return f"{made}, and {remote} would be tested. Nothing was sent to {remote} now"


def _branch_after_undo(project: Project) -> str:
    """What `init --undo` would do about the branch."""
    if directory_of(project).exists():
        return "The branch would stay, since its data belong to everyone who shares it"
    return "This clone has no store, so there is nothing to undo"


def _next_steps(
    clients: Sequence[str],
    added: list[Target],
    options: Options,
) -> list[str]:
    """Lines that explain to a person what to do next."""
    lines = []
    if _OTHER in clients:
        entry = CLIENTS["claude"].entry(flags(options))
        lines.append("Add to your client's settings:")
        lines.append(json.dumps({"mcpServers": {NAME: entry}}))
    start = "Next: start your client here, and ask it to sign on."
    sentences = [start, *_commit_advice(added)]
    lines.append(hanging("", " ".join(sentences)))
    if added and not is_shareable():
        lines.append(hanging("", _PRIVATE))
    return lines


def _commit_advice(added: list[Target]) -> Iterator[str]:
    """Sentences that list which changed files to commit, and which changed files not to commit."""
    shared = [target.where for target in added if _is_shared(target)]
    if shared:
        yield f"Commit {' and '.join(shared)}, so that others can use it."
    for target in added:
        if isinstance(target.registration, HookRegistration):
            yield f"Don't commit {target.where}: it is only for you."


def _is_shared(target: Target) -> bool:
    is_servers = isinstance(target.registration, ServerRegistration)
    return is_servers and is_shareable()
