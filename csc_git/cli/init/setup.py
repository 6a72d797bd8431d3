"""The steps of `init`: a repository is set up, or what was set up is taken back."""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from csc_git.cli.options import flags, opened, user
from csc_git.cli.output import progress
from csc_git.clients.client import NAME
from csc_git.config.settings import SHARING
from csc_git.coordinator.factory import directory_of
from csc_git.coordinator.probe import RoundTrip, round_trip
from csc_git.coordinator.results import Result
from csc_git.core.remote_state import RemoteState
from csc_git.doctor.client_settings import check_agreement
from csc_git.doctor.finding import Finding, doubtful, fine, refused, wrong
from csc_git.doctor.project import check_machine
from csc_git.doctor.server_starts import Sharing, sharing_at
from csc_git.errors import CscError, as_csc_error
from csc_git.git.project import Project
from csc_git.git.tracked import tracked_files

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

    @property
    def name(self) -> str:
        """The program whose settings they are."""
        return (
            "Claude Code"
            if self.title.startswith("Claude Code")
            else self.title
        )

    @property
    def where(self) -> str:
        """The file, as it is called from the project's top."""
        *_, directory, name = self.registration.file.parts
        return f"{directory}/{name}" if directory.startswith(".") else name


class Setup(Result):
    """What `init` did or found, step by step."""

    steps: list[Finding]

    @property
    def ok(self) -> bool:
        """Whether everything went well."""
        return all(step.level != "error" for step in self.steps)


def set_up(
    project: Project, targets: list[Target], options: dict[str, Any]
) -> Setup:
    """Make the branch, try the remote, and register; nothing where a client shares elsewhere."""
    here = sharing_at(options["directory"], flags(options))
    replaced = [
        (one.key, one.registration.file)
        for one in targets
        if _names_place(options)
    ]
    if apart := [*check_agreement(project, here, replaced)]:
        return Setup(steps=apart)
    tried, steps = _trial(options)
    if options["remote"] is not None and tried.status.state in _WRONG:
        alone = "was left alone, since it would name that remote"
        return Setup(
            steps=[
                *steps,
                *(wrong(t.name, f"{t.where} {alone}", "") for t in targets),
            ]
        )
    added = (_step(target, target.registration.add) for target in targets)
    return Setup(
        steps=[*steps, *filter(None, added), *_unlike_commands(options, here)]
    )


def _trial(options: dict[str, Any]) -> tuple[RoundTrip, list[Finding]]:
    """Make the branch and try the remote: how that went, and what there is to say."""
    with opened(options) as coordinator, progress() as coordinator.progress:
        tried = round_trip(coordinator, user())
        return tried, [
            fine("repository", str(coordinator.project.top)),
            fine("store", str(coordinator.store.repository.path)),
            _tried(tried),
            *check_machine(coordinator),
        ]


def _agree(project: Project, options: dict[str, Any]) -> bool:
    """Whether all clients share branch and remote with the commands here, as far as is known."""
    try:
        here = sharing_at(options["directory"], flags(options))
        return not [*check_agreement(project, here)]
    except CscError:
        return False


def _names_place(options: dict[str, Any]) -> bool:
    return any(options[name] is not None for name in SHARING)


def _unlike_commands(
    options: dict[str, Any], here: Sharing
) -> Iterator[Finding]:
    """What was asked for holds for what was registered; do commands that are run here agree?"""
    if here != sharing_at(options["directory"], {}):
        given = {
            name: options[name]
            for name in sorted(SHARING)
            if options[name] is not None
        }
        settings = [
            f"git config csc.{name} {_shown(value)}"
            for name, value in given.items()
        ]
        message = "Commands and hooks here know nothing of that yet, and share as is set here"
        yield doubtful("settings", message, " && ".join(settings))


def _shown(value: Any) -> str:  # noqa: ANN401  a setting's
    return (
        str(value).lower()
        if isinstance(value, bool)
        else shlex.quote(str(value))
    )


def _step(
    target: Target, change: Callable[[], str], more: str = ""
) -> Finding | None:
    """What became of an entry; None if there was nothing to do."""
    try:
        done = change()
    except (CscError, OSError) as error:
        return refused(target.name, as_csc_error(error))
    return (
        fine(target.name, f"{target.where}: {NAME} {done}{more}")
        if done
        else None
    )


def _tried(tried: RoundTrip) -> Finding:
    what, then = tried.status.describe()
    if tried.works:
        return fine(
            "remote",
            f"{tried.status.remote}: written, pushed, read back in {tried.seconds:.1f} s",
        )
    alone = (
        tried.status.state is RemoteState.NO_REMOTE and not tried.status.detail
    )
    if alone or tried.status.state is RemoteState.OFF:
        return fine("remote", f"{what}: this clone only. {then}.")
    return wrong("remote", f"{what}. Local work goes on", then)


def take_back(
    project: Project,
    targets: list[Target],
    options: dict[str, Any],
    *,
    wholly: bool,
) -> Setup:
    """Take our entries out; `wholly`: what tried the remote too."""
    shared = tracked_files(project) if project.has_work_tree else []
    agree = _agree(project, options)
    steps = [
        _step(
            one,
            one.registration.remove,
            _COMMITTED if _file(project, one) in shared else "",
        )
        for one in targets
    ]
    found = [*filter(None, steps)] or [
        fine("settings", f"none here name {NAME}")
    ]
    if not wholly:
        return Setup(steps=found)
    flags = (
        options if agree else options | {"sync": False}
    )  # else others would be notified
    kept = (
        _withdrawn(flags)
        if directory_of(project).exists()
        else "there is none here"
    )
    return Setup(steps=[*found, fine("store", kept)])


_COMMITTED: Final = (
    ". It was committed: commit its removal only if nobody is to use it any more, else put it back "
    "with git restore"
)


def _file(project: Project, target: Target) -> str:
    """A file of settings as git names it; empty if it is not in the project."""
    file = target.registration.file
    return (
        file.relative_to(project.top).as_posix()
        if file.is_relative_to(project.top)
        else ""
    )


def _withdrawn(options: dict[str, Any]) -> str:
    """Push what is queued before the clone leaves; what stays on the branch."""
    with opened(options) as coordinator, progress() as coordinator.progress:
        status = coordinator.sync()
        kept = "the data stay, since they belong to everybody who shares them"
        if (
            coordinator.store.branch.queue()
            and status.state is not RemoteState.NO_REMOTE
        ):
            kept += f". {status.describe()[0]}; the next sync reports it to the remote"
    return kept
