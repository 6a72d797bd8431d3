"""`csc-git sign-off`: end sessions from outside, wherever they are."""

from typing import Any, Final

import click

from csc_git.cli.completion import complete_session
from csc_git.cli.options import command, common, opened, user
from csc_git.cli.output import hanging, progress, show, sync_line
from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.results import SignedOffAll
from csc_git.core.pattern import compile_pattern
from csc_git.text import printable

_GLOB: Final = frozenset("*?[")


@command("sign-off")
@click.argument(
    "sessions",
    nargs=-1,
    metavar="[SESSION]...",
    shell_complete=complete_session,
)
@click.option(
    "--stale",
    is_flag=True,
    help="All that gave no sign of life for a lease's length.",
)
@click.option(
    "--holder",
    multiple=True,
    hidden=True,
    help="Only these sign-ons of theirs.",
)
@common
def sign_off_command(
    sessions: tuple[str, ...],
    stale: bool,
    holder: tuple[str, ...],
    **options: Any,  # noqa: ANN401
) -> None:
    """Sign sessions off that can't do so themselves: a laptop that broke, a client that is gone.

    SESSION is a name, or a pattern such as 'claude_*@ci-*'. Their claims end with them, their state
    stays. A session that is alive after all is refused as soon as its server fetches the sign-off.
    It may sign on again, and what it wrote until then is kept.
    """
    if not sessions and not stale:
        raise click.UsageError("Name a session or a pattern, or give --stale")
    with opened(options) as coordinator, progress() as coordinator.progress:
        coordinator.sync()
        named = _named(coordinator, sessions, stale=stale)
        by = f"{user()}@{coordinator.clone.machine}"
        ended = coordinator.sessions.endings.end_all(
            named, by, clock.now(), holder
        )
        coordinator.sync()
        sync = coordinator.summary.sync()
    gone = [one for one in named if one not in ended]
    lines = [f"{printable(one)}: signed off" for one in ended]
    lines += [f"{printable(one)}: was not signed on" for one in gone]
    if not named:
        lines.append(
            "No session that is signed on is meant. Nothing was changed."
        )
    result = SignedOffAll(signed_off=ended, were_not_on=gone, sync=sync)
    show(result, "\n".join([*lines, hanging("", sync_line(sync))]))


def _named(
    coordinator: Coordinator, sessions: tuple[str, ...], *, stale: bool
) -> list[str]:
    """The sessions that are meant, by name, by pattern, or because they are stale."""
    snapshot = coordinator.store.snapshot()
    found = [one for one in sessions if not _GLOB & set(one)]
    patterns = [compile_pattern(one) for one in sessions if _GLOB & set(one)]
    signed_on = (
        coordinator.sessions.presence.signed_on(snapshot)
        if patterns or stale
        else []
    )
    for pattern in patterns:
        found += filter(pattern.match, signed_on)
    if stale:
        found += [
            one
            for one in signed_on
            if coordinator.sessions.endings.is_stale(one, snapshot)
        ]
    return list(dict.fromkeys(found))
