"""The steps of `csc-git init`, which set up a repository or undo the setup."""

import shlex
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from csc_git.cli.options import Options, flags, opened, user
from csc_git.cli.output import progress
from csc_git.clients.client import NAME
from csc_git.config.settings import SHARING
from csc_git.coordinator.factory import directory_of
from csc_git.coordinator.probe import RoundTrip, round_trip
from csc_git.coordinator.results.base import Result
from csc_git.core.remote_state import RemoteState
from csc_git.doctor.client_settings import check_agreement
from csc_git.doctor.finding import Finding, doubtful, fine, refused, wrong
from csc_git.doctor.project import check_machine
from csc_git.doctor.server_starts import Sharing, sharing_at
from csc_git.errors import CscError, as_csc_error
from csc_git.project.project import Project
from csc_git.project.tracked import tracked_files

_WRONG: Final = frozenset({RemoteState.NO_REMOTE, RemoteState.BAD_URL})
"""States in which the name or the URL of the remote is wrong."""

_COMMITTED: Final = (
    ". The file is tracked by git. Commit this change only if nobody should use csc-git here any "
    "more. Otherwise restore the file with git restore"
)


class Registration(Protocol):
    """An object that can add the entry of csc-git to a client's settings, and remove the entry."""

    file: Path

    def add(self) -> str:
        """Add the entry; return what was done, in a few words."""

    def remove(self) -> str:
        """Remove the entry. Return what was done, or an empty text if there was no entry."""

    def preview(self, *, undo: bool = False) -> str:
        """Return what `add` would change. If `undo` is true, return what `remove` would change."""


@dataclass(frozen=True)
class Target:
    """The settings file of a client or of the hooks, in which an entry is added or removed.

    Attributes:
        key: The word for the target on the command line.
        title: The word for the target in messages.
        registration: The object with which the entry is added or removed.
    """

    key: str
    title: str
    registration: Registration

    @property
    def name(self) -> str:
        """The name of the program that reads the settings."""
        if self.title.startswith("Claude Code"):
            return "Claude Code"
        return self.title

    @property
    def where(self) -> str:
        """The name of the settings file.

        If the directory of the file is hidden, the directory's name precedes the file's name.
        """
        *_, directory, name = self.registration.file.parts
        if directory.startswith("."):
            return f"{directory}/{name}"
        return name


class Setup(Result):
    """What `init` did or found, step by step."""

    steps: list[Finding]

    @property
    def ok(self) -> bool:
        """Whether no step failed."""
        return all(step.level != "error" for step in self.steps)


def set_up(
    project: Project,
    targets: list[Target],
    options: Options,
) -> Setup:
    """Make the branch, test the remote, and add csc-git to the settings of clients.

    If csc-git uses another branch or remote in one of the clients, nothing is changed.

    Args:
        project: The repository.
        targets: The clients and hooks whose settings get an entry.
        options: The command's options.
    """
    directory = options["directory"]
    here = sharing_at(directory, flags(options))
    replaced = []
    if _are_sharing_settings_given(options):
        replaced = [(one.key, one.registration.file) for one in targets]
    disagreements = list(check_agreement(project, here, replaced))
    if disagreements:
        return Setup(steps=disagreements)
    tried, steps = _try_remote(options)
    is_named = options["remote"] is not None
    if is_named and tried.status.state in _WRONG:
        steps += [_left_alone(target) for target in targets]
        return Setup(steps=steps)
    for target in targets:
        steps += _apply(target, target.registration.add)
    steps += _check_commands(options, here)
    return Setup(steps=steps)


def _are_sharing_settings_given(options: Options) -> bool:
    """Whether a flag gives a setting that selects the branch or the remote."""
    return any(options[name] is not None for name in SHARING)


def _left_alone(target: Target) -> Finding:
    why = "was not changed, since its entry would name that remote"
    return wrong(
        target.name,
        f"{target.where} {why}",
        fix="",
    )


def _try_remote(options: Options) -> tuple[RoundTrip, list[Finding]]:
    """Make the branch and test the remote. Return the result, and findings about the result."""
    with progress() as report, opened(options, report) as coordinator:
        tried = round_trip(coordinator, user())
        project = coordinator.project.top
        store = coordinator.store.repository.path
        findings = [
            fine("repository", str(project)),
            fine("store", str(store)),
            _remote_finding(tried),
        ]
        findings += check_machine(coordinator)
    return tried, findings


def _remote_finding(tried: RoundTrip) -> Finding:
    status = tried.status
    if tried.works:
        seconds = f"{tried.seconds:.1f} s"
        return fine(
            "remote",
            f"{status.remote}: written, pushed, read back in {seconds}",
        )
    what, then = status.describe()
    has_none = status.state is RemoteState.NO_REMOTE and not status.detail
    if has_none or status.state is RemoteState.OFF:
        return fine("remote", f"{what}: this clone only. {then}.")
    return wrong("remote", f"{what}. Local work goes on", then)


def _apply(
    target: Target,
    change: Callable[[], str],
    more: str = "",
) -> list[Finding]:
    """Change the settings of a target. Return no finding if nothing was changed.

    Args:
        target: The target.
        change: A function that changes the settings and returns a short text about the change.
        more: A text to append to the finding.
    """
    try:
        done = change()
    except (CscError, OSError) as error:
        return [refused(target.name, as_csc_error(error))]
    if not done:
        return []
    finding = fine(
        target.name,
        f"{target.where}: {NAME} {done}{more}",
    )
    return [finding]


def _check_commands(
    options: Options,
    here: Sharing,
) -> Iterator[Finding]:
    """Yield a warning if commands and hooks would not use the branch and remote of the clients.

    The flags of `init` become part of the clients' entries, but do not apply to later commands.
    """
    if here == sharing_at(options["directory"], {}):
        return
    settings = []
    for name in sorted(SHARING):
        if options[name] is not None:
            value = _as_git_config(options[name])
            settings.append(f"git config csc.{name} {value}")
    yield doubtful(
        "settings",
        "Commands and hooks here do not use these settings yet",
        " && ".join(settings),
    )


def _as_git_config(value: Any) -> str:  # noqa: ANN401  a setting's
    """Quote a value as one word of a shell command."""
    if isinstance(value, bool):
        return str(value).lower()
    return shlex.quote(str(value))


def undo_setup(
    project: Project,
    targets: list[Target],
    options: Options,
    *,
    leaves: bool,
) -> Setup:
    """Remove csc-git from the settings of clients.

    Args:
        project: The repository.
        targets: The clients and hooks whose entries are removed.
        options: The command's options.
        leaves: Whether this clone stops using csc-git, so that queued edits must be pushed too.
    """
    tracked: Collection[str] = ()
    if project.has_work_tree:
        tracked = tracked_files(project)
    agree = _clients_agree(project, options)
    steps: list[Finding] = []
    for target in targets:
        more = ""
        if _path_in_project(project, target) in tracked:
            more = _COMMITTED
        steps += _apply(target, target.registration.remove, more)
    if not steps:
        steps.append(fine("settings", f"no settings here contain {NAME}"))
    if leaves:
        steps.append(_store_finding(project, options, may_sync=agree))
    return Setup(steps=steps)


def _clients_agree(project: Project, options: Options) -> bool:
    """Whether all known clients use the branch and remote that commands here use."""
    try:
        here = sharing_at(options["directory"], flags(options))
        disagreements = list(check_agreement(project, here))
    except CscError:
        return False
    return not disagreements


def _path_in_project(project: Project, target: Target) -> str:
    """The path of the target's file in the project; empty if the file is outside the project."""
    file = target.registration.file
    if not file.is_relative_to(project.top):
        return ""
    return file.relative_to(project.top).as_posix()


def _store_finding(
    project: Project,
    options: Options,
    *,
    may_sync: bool,
) -> Finding:
    """Push the queued edits, and report that the data stay on the branch."""
    if not directory_of(project).exists():
        return fine("store", "this clone has no store")
    if not may_sync:
        # A sync here might push to a remote that the clients have not used.
        options = options | {"sync": False}
    with progress() as report, opened(options, report) as coordinator:
        status = coordinator.syncing.sync()
        kept = "the data stay, since they belong to everybody who shares them"
        is_queued = bool(coordinator.store.branch.queue())
        if is_queued and status.state is not RemoteState.NO_REMOTE:
            what, _ = status.describe()
            kept += f". {what}; the next sync pushes the queued edits"
    return fine("store", kept)
