"""`csc-git sync`: sync this clone with the remote now."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import click

from csc_git.cli.options import command, common, opened
from csc_git.cli.output import (
    hanging,
    progress,
    show,
    sync_line,
    to_the_second,
    wants_json,
)
from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.results.sync import Decision, Synced, SyncSummary
from csc_git.core.remote_state import CHOICES, RemoteState
from csc_git.errors import InputError
from csc_git.store.sync.recovery import Permit
from csc_git.store.sync.status import SyncStatus
from csc_git.text import count, printable

_MOST: Final = 10
"""Edits and keys that a preview lists of each kind."""


class _Choice(NamedTuple):
    """A decision about a remote branch that does not continue what it had confirmed.

    Attributes:
        permit: What it allows the next sync to do.
        flag: The option that chooses it.
        question: What a person is asked.
        done: What is true afterwards.
        fits: The states in which it can be chosen.
        replaces: Whether this clone's history is replaced; the old one is kept for a while.
    """

    permit: Permit
    flag: str
    question: str
    done: str
    fits: frozenset[RemoteState]
    replaces: bool = False


class _Synced(NamedTuple):
    """What a sync did.

    Attributes:
        status: The state afterwards.
        message: What became of the decision; empty without one.
        kept: The tip of the history that was replaced; None if none was.
    """

    status: SyncStatus
    message: str = ""
    kept: str | None = None


_LACKING: Final = frozenset({RemoteState.BEHIND, RemoteState.REWRITTEN})
_RESTORE: Final = _Choice(
    Permit(restore=True),
    "--restore",
    "Push the edits that the remote lacks again?",
    "the edits that the remote lacked were pushed again.",
    _LACKING,
)
_REWRITE: Final = _Choice(
    Permit(rewrite=True),
    "--accept-rewrite",
    "Drop these edits here, and take what the remote has?",
    "this clone has what the remote has.",
    _LACKING,
    replaces=True,
)
_RECREATE: Final = _Choice(
    Permit(recreate=True),
    "--recreate",
    "Publish this clone's copy of the branch on the remote?",
    "the branch is on the remote again.",
    frozenset({RemoteState.DELETED}),
)
_JOIN: Final = _Choice(
    Permit(join=True),
    "--join",
    "Bring the values of both stores together on the remote?",
    "the remote has the values of both stores.",
    frozenset({RemoteState.OTHER_STORE}),
    replaces=True,
)


@command("sync")
@click.option(
    "--restore", is_flag=True, help="Push edits again that the remote has lost."
)
@click.option(
    "--accept-rewrite",
    is_flag=True,
    help="Go on from a rewritten remote branch.",
)
@click.option(
    "--recreate", is_flag=True, help="Put back a branch the remote has lost."
)
@click.option(
    "--join",
    is_flag=True,
    help="Join this clone's store with the remote's other one.",
)
@click.option(
    "--yes",
    is_flag=True,
    help="Don't ask before one of these.",
)
@click.option(
    "--until-pushed", type=float, hidden=True, help="Seconds to go on trying."
)
@click.option(
    "--retry",
    metavar="OP",
    help="Push a parked edit again.",
)
@click.option(
    "--drop",
    metavar="OP",
    help="Drop a parked edit.",
)
@common
def sync_command(  # noqa: PLR0913, PLR0917  click passes each option by name
    restore: bool,
    accept_rewrite: bool,
    recreate: bool,
    join: bool,
    yes: bool,
    until_pushed: float | None,
    retry: str | None,
    drop: str | None,
    **options: Any,  # noqa: ANN401
) -> None:
    """Fetch, replay and push once. Exits 1 if the remote could not be synced.

    Where the remote's branch was rewound, rewritten, deleted or replaced, nothing is done until
    you choose one of --restore, --accept-rewrite, --recreate and --join. Each first shows what it
    would change, and asks. None of them drops an edit of yours that waits to be pushed.
    """
    choice = _choice(
        [
            (restore, _RESTORE),
            (accept_rewrite, _REWRITE),
            (recreate, _RECREATE),
            (join, _JOIN),
        ]
    )
    with opened(options) as coordinator:
        _unpark(coordinator, retry, drop)
        done = _Synced(_sync(coordinator, until_pushed))
        if choice is not None:
            done = _decide(
                coordinator,
                done.status,
                choice,
                yes=yes,
            )
        summary = coordinator.summary.sync_state()
    show(Synced(**summary.model_dump(), kept=done.kept), *_lines(done, summary))
    if done.status.state not in {RemoteState.OK, RemoteState.OFF}:
        sys.exit(1)


def _choice(flags: list[tuple[bool, _Choice]]) -> _Choice | None:
    """The choice whose flag was given, if one was."""
    given = [choice for is_given, choice in flags if is_given]
    if len(given) > 1:
        raise InputError(
            "Several decisions were given", then="Choose one of them"
        )
    if not given:
        return None
    (choice,) = given
    return choice


def _lines(done: _Synced, summary: SyncSummary) -> list[str]:
    lines = []
    if done.message:
        lines.append(done.message)
    state = sync_line(summary)
    lines.append(hanging("", state))
    if done.kept:
        export = f"csc-git export --at {done.kept[:12]}"
        where = f"What this clone had is kept here for 30 days: {export}"
        lines.append(hanging("", where))
    return lines


def _unpark(
    coordinator: Coordinator,
    retry: str | None,
    drop: str | None,
) -> None:
    """Drop one parked edit, or queue one again."""
    if drop is not None and not coordinator.store.drop(drop, clock.now()):
        raise InputError(f"No edit {drop} is parked", then="See csc-git status")
    if retry is not None and coordinator.syncing.requeue(retry) is None:
        raise InputError(
            f"No edit {retry} is parked", then="See csc-git status"
        )


def _sync(coordinator: Coordinator, seconds: float | None) -> SyncStatus:
    """Sync once; or, if a number of seconds is given, until the queue is empty."""
    if seconds is not None:
        return coordinator.syncing.sync_until_pushed(seconds)
    with progress() as report:
        return coordinator.syncing.sync(progress=report)


def _decide(
    coordinator: Coordinator,
    status: SyncStatus,
    choice: _Choice,
    *,
    yes: bool,
) -> _Synced:
    """Show what a choice would change, ask, and carry it out."""
    if status.state not in CHOICES:
        return _Synced(status, "There was nothing to decide.")
    if status.state not in choice.fits:
        what, _ = status.describe()
        raise InputError(
            f"{choice.flag} does not fit: {what}", then=status.choices()
        )
    divergence = coordinator.store.divergence()
    decision = coordinator.summary.decision(divergence)
    if not wants_json():
        _show_preview(decision)
    if not yes:
        _ask(choice.question)
    tip = coordinator.store.branch.tip
    with progress() as report:
        status = coordinator.syncing.sync(permit=choice.permit, progress=report)
    if status.state is not RemoteState.OK:
        return _Synced(status)
    message = f"Done: {choice.done}"
    if not choice.replaces:
        return _Synced(status, message)
    return _Synced(status, message, kept=tip)


def _ask(question: str) -> None:
    """Ask a person whether to go on."""
    if wants_json() or not sys.stdin.isatty():
        raise InputError(
            "This changes what every clone has, so it asks first, and nobody can answer here",
            then="A person runs this in a terminal. For scripts see csc-git sync --help",
        )
    if not click.confirm(question):
        raise InputError(
            "The question was answered with no",
            then="Queued edits stay queued here",
        )


def _show_preview(found: Decision) -> None:
    for line in _preview(found):
        text = hanging(
            "",
            printable(line),
            stream=sys.stderr,
        )
        click.echo(text, err=True)


def _preview(found: Decision) -> Iterator[str]:
    """Describe how the histories of both sides differ, in lines for a person."""
    yield found.message
    lost = count(found.lost_count, "confirmed edit")
    yield f"The remote lacks {lost}:"
    for edit in found.lost[:_MOST]:
        time = to_the_second(edit.time)
        yield f"  {time}  {edit.session}  {edit.subject}"
    others = found.lost_count - _MOST
    if others > 0:
        yield f"  and {others} more"
    if found.unknown_count:
        unknown = count(found.unknown_count, "edit")
        yield f"It has {unknown} that this clone has not seen."
    yield from _key_lines("Only here", found.only_here)
    yield from _key_lines("Only on the remote", found.only_there)
    yield from _key_lines("With another value there", found.differing)
    if found.queued:
        queued = count(found.queued, "edit")
        yield f"Of your own, never confirmed and still queued: {queued}."


def _key_lines(title: str, names: Sequence[str]) -> Iterator[str]:
    """A line with the keys that are not records of conflicts; none if there are none."""
    keys = [name for name in names if not name.startswith("conflicts/")]
    if not keys:
        return
    listed = ", ".join(keys[:_MOST])
    others = len(keys) - _MOST
    if others > 0:
        listed += f" and {others} more"
    yield f"{title}: {listed}."
