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
"""A preview lists at most this many edits, and at most this many keys of each kind."""


class _Choice(NamedTuple):
    """A person's decision about a remote branch that was rewound, rewritten, deleted or replaced.

    Attributes:
        permit: What the next sync is allowed to do.
        flag: The option that chooses this decision.
        question: The question that a person is asked.
        done: The text that is printed after the decision was carried out.
        fits: The states of the sync in which this decision can be chosen.
        replaces: Whether this clone's history is replaced. A replaced history is kept for 30 days.
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
        status: The state of the sync with the remote, after this sync.
        message: What was done to carry out the decision; empty if there was no decision.
        kept: The tip of the history that was replaced; None if no history was replaced.
    """

    status: SyncStatus
    message: str = ""
    kept: str | None = None


_LACKING: Final = frozenset({RemoteState.BEHIND, RemoteState.REWRITTEN})
_RESTORE: Final = _Choice(
    Permit(restore=True),
    "--restore",
    "Push again the edits that the remote lacks?",
    "the edits that the remote lacked were pushed again.",
    _LACKING,
)
_REWRITE: Final = _Choice(
    Permit(rewrite=True),
    "--accept-rewrite",
    "Drop these edits in this clone, and take the remote's data?",
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
    "Merge the values of both stores on the remote?",
    "the remote has the values of both stores.",
    frozenset({RemoteState.OTHER_STORE}),
    replaces=True,
)


@command("sync")
@click.option(
    "--restore",
    is_flag=True,
    help="Push again the edits that the remote has lost.",
)
@click.option(
    "--accept-rewrite",
    is_flag=True,
    help="Accept a branch that was rewritten on the remote.",
)
@click.option(
    "--recreate",
    is_flag=True,
    help="Publish again a branch that was deleted on the remote.",
)
@click.option(
    "--join",
    is_flag=True,
    help="Join this clone's store with another store on the remote.",
)
@click.option(
    "--yes",
    is_flag=True,
    help="Carry out the chosen option without asking.",
)
@click.option(
    "--until-pushed",
    type=float,
    hidden=True,
    help="Sync until all is pushed; seconds at most.",
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
    """Fetch, replay and push once. The exit code is 1 if the remote could not be synced.

    If the branch on the remote was rewound, rewritten, deleted or replaced, nothing is synced until
    you choose --restore, --accept-rewrite, --recreate or --join. Each of these options first shows
    what it would change, and asks. Your edits that wait to be pushed are never dropped.
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
    """The choice whose flag was given; None if no flag was given."""
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
        where = f"The earlier data of this clone are kept here for 30 days: {export}"
        lines.append(hanging("", where))
    return lines


def _unpark(
    coordinator: Coordinator,
    retry: str | None,
    drop: str | None,
) -> None:
    """Drop a parked edit, or queue a parked edit again."""
    if drop is not None and not coordinator.store.drop(drop, clock.now()):
        raise InputError(f"No edit {drop} is parked", then="See csc-git status")
    if retry is not None and coordinator.syncing.requeue(retry) is None:
        raise InputError(
            f"No edit {retry} is parked", then="See csc-git status"
        )


def _sync(coordinator: Coordinator, seconds: float | None) -> SyncStatus:
    """Sync once.

    If `seconds` is given, sync until the queue is empty or this number of seconds has passed.
    """
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
    """Show what a choice would change, ask for confirmation, and carry out the choice."""
    if status.state not in CHOICES:
        return _Synced(status, "There was nothing to decide.")
    if status.state not in choice.fits:
        what, _ = status.describe()
        raise InputError(
            f"{choice.flag} can't be used now: {what}", then=status.choices()
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
    """Ask a person whether to continue."""
    if wants_json() or not sys.stdin.isatty():
        raise InputError(
            "This changes the data of every clone, so a person must confirm it, but nobody can "
            "answer here",
            then="A person must run this in a terminal. For scripts see csc-git sync --help",
        )
    if not click.confirm(question):
        raise InputError(
            'The answer to the question was "no"',
            then="Queued edits stay in this clone's queue",
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
    """Describe how the history of this clone and the history of the remote differ."""
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
        yield f"The remote has {unknown} that this clone has not seen."
    yield from _key_lines("Keys that only this clone has", found.only_here)
    yield from _key_lines("Keys that only the remote has", found.only_there)
    yield from _key_lines(
        "Keys that have another value on the remote", found.differing
    )
    if found.queued:
        queued = count(found.queued, "edit")
        yield f"The queue keeps {queued} that the remote never confirmed."


def _key_lines(title: str, names: Sequence[str]) -> Iterator[str]:
    """Yield a line that lists the keys that are not records of conflicts.

    If there are no such keys, yield no line.
    """
    keys = [name for name in names if not name.startswith("conflicts/")]
    if not keys:
        return
    listed = ", ".join(keys[:_MOST])
    others = len(keys) - _MOST
    if others > 0:
        listed += f" and {others} more"
    yield f"{title}: {listed}."
