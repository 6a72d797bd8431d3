"""`csc-git sync`: bring this clone and the remote together now."""

import sys
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import click

from csc_git.cli.options import command, common, opened
from csc_git.cli.output import hanging, progress, show, sync_line, wants_json
from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.results import Decision, Synced
from csc_git.core.remote_state import CHOICES, RemoteState
from csc_git.errors import InputError
from csc_git.store.recovery import Permit
from csc_git.store.status import SyncStatus
from csc_git.text import count, printable

_MOST: Final = 10


class _Choice(NamedTuple):
    """How a person can go on where the remote's branch is not what it was.

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
@click.option("--yes", is_flag=True, help="Don't ask before one of these.")
@click.option(
    "--until-pushed", type=float, hidden=True, help="Seconds to go on trying."
)
@click.option("--retry", metavar="OP", help="Push a parked edit again.")
@click.option("--drop", metavar="OP", help="Give a parked edit up.")
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
    given = [
        (restore, _RESTORE),
        (accept_rewrite, _REWRITE),
        (recreate, _RECREATE),
        (join, _JOIN),
    ]
    chosen = [choice for is_given, choice in given if is_given]
    if len(chosen) > 1:
        raise InputError(
            "Several decisions were given", then="Choose one of them"
        )
    with opened(options) as coordinator:
        _unpark(coordinator, retry, drop)
        with progress() as coordinator.progress:
            if until_pushed is None:
                status = coordinator.sync()
            else:
                status = coordinator.sync_until_pushed(until_pushed)
        lines, kept = list[str](), None
        if chosen and status.state not in CHOICES:
            lines.append("There was nothing to decide.")
        elif chosen:
            (choice,) = chosen
            tip = coordinator.store.branch.tip
            status = _decide(coordinator, status, choice, yes=yes)
            if status.state is RemoteState.OK:
                lines.append(f"Done: {choice.done}")
                kept = tip if choice.replaces else None
        summary = coordinator.summary.sync()
    lines.append(hanging("", sync_line(summary)))
    if kept:
        where = f"What this clone had is kept here for 30 days: csc-git export --at {kept[:12]}"
        lines.append(hanging("", where))
    show(Synced(**summary.model_dump(), kept=kept), "\n".join(lines))
    if status.state not in {RemoteState.OK, RemoteState.OFF}:
        sys.exit(1)


def _unpark(
    coordinator: Coordinator, retry: str | None, drop: str | None
) -> None:
    """Give a parked edit up, or queue it again."""
    if drop is not None and not coordinator.store.drop(drop, clock.now()):
        raise InputError(f"No edit {drop} is parked", then="See csc-git status")
    if retry is not None and coordinator.release(retry) is None:
        raise InputError(
            f"No edit {retry} is parked", then="See csc-git status"
        )


def _decide(
    coordinator: Coordinator, status: SyncStatus, choice: _Choice, *, yes: bool
) -> SyncStatus:
    """Show what a choice would change, ask, and carry it out."""
    if status.state not in choice.fits:
        what = f"{choice.flag} does not fit: {status.describe()[0]}"
        raise InputError(what, then=status.choices())
    found = coordinator.summary.decision(coordinator.store.divergence())
    if not wants_json():
        lines = (
            hanging("", printable(line), stream=sys.stderr)
            for line in _preview(found)
        )
        click.echo("\n".join(lines), err=True)
    if not yes:
        if wants_json() or not sys.stdin.isatty():
            raise InputError(
                "This changes what every clone has, so it asks first, and nobody can answer here",
                then="A person runs this in a terminal. For scripts see csc-git sync --help",
            )
        if not click.confirm(choice.question):
            raise InputError(
                "The question was answered with no",
                then="Edits go on waiting here",
            )
    with progress() as coordinator.progress:
        return coordinator.sync(permit=choice.permit)


def _preview(found: Decision) -> Iterator[str]:
    """What is known of both sides, in lines for a person."""
    yield found.message
    yield f"The remote lacks {count(found.lost_count, 'confirmed edit')}:"
    for one in found.lost[:_MOST]:
        yield f"  {one.time[:19]}Z  {one.session}  {one.subject}"
    if found.lost_count > _MOST:
        yield f"  and {found.lost_count - _MOST} more"
    if found.unknown_count:
        yield f"It has {count(found.unknown_count, 'edit')} that this clone has not seen."
    for title, names in (
        ("Only here", found.only_here),
        ("Only on the remote", found.only_there),
        ("With another value there", found.differing),
    ):
        keys = [name for name in names if not name.startswith("conflicts/")]
        if keys:
            more = f" and {len(keys) - _MOST} more" if len(keys) > _MOST else ""
            yield f"{title}: {', '.join(keys[:_MOST])}{more}."
    if found.queued:
        yield f"Of your own, never confirmed and still queued: {count(found.queued, 'edit')}."
