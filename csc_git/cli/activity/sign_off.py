"""`csc-git sign-off`: sign off sessions on any machine."""

from typing import Any, Final

import click

from csc_git.cli.completion import complete_session
from csc_git.cli.options import command, common, opened, user
from csc_git.cli.output import hanging, progress, show, sync_line
from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.results.activity import SignedOffAll
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
    help="Sign off all sessions that gave no sign of life for the length of a lease.",
)
@click.option(
    "--holder",
    multiple=True,
    hidden=True,
    help="Only end a sign-on whose holder id is given here.",
)
@common
def sign_off_command(
    sessions: tuple[str, ...],
    stale: bool,
    holder: tuple[str, ...],
    **options: Any,  # noqa: ANN401
) -> None:
    """Sign off sessions that can't do so themselves, for instance because a laptop broke.

    SESSION is a name, or a pattern such as 'claude_*@ci-*'. The claims of the sessions end. The
    values that the sessions stored are kept. If a session is in fact alive, its edits are refused
    as soon as its server has fetched the sign-off. The session may then sign on again.
    """
    _check_usage(sessions, stale=stale)
    with progress() as report, opened(options, report) as coordinator:
        coordinator.syncing.sync()
        chosen = _chosen(coordinator, sessions, stale=stale)
        machine = coordinator.clone.machine
        ended = coordinator.sessions.endings.end_all(
            chosen,
            f"{user()}@{machine}",
            clock.now(),
            holder,
        )
        coordinator.syncing.sync()
        sync = coordinator.summary.sync_state()
    others = [name for name in chosen if name not in ended]
    result = SignedOffAll(signed_off=ended, were_not_on=others, sync=sync)
    show(result, *_lines(result))


def _check_usage(sessions: tuple[str, ...], *, stale: bool) -> None:
    if not sessions and not stale:
        raise click.UsageError("Name a session or a pattern, or give --stale")


def _chosen(
    coordinator: Coordinator,
    sessions: tuple[str, ...],
    *,
    stale: bool,
) -> list[str]:
    """The sessions that are named, that match a pattern, or that are stale, each once."""
    snapshot = coordinator.store.snapshot()
    patterns = [one for one in sessions if not _GLOB.isdisjoint(one)]
    chosen = [one for one in sessions if one not in patterns]
    signed_on: list[str] = []
    if patterns or stale:
        signed_on = coordinator.sessions.presence.signed_on(snapshot)
    for pattern in patterns:
        matches = compile_pattern(pattern).match
        chosen += filter(matches, signed_on)
    if stale:
        endings = coordinator.sessions.endings
        for session in signed_on:
            if endings.is_stale(session, snapshot):
                chosen.append(session)
    return list(dict.fromkeys(chosen))


def _lines(result: SignedOffAll) -> list[str]:
    lines = [f"{printable(name)}: signed off" for name in result.signed_off]
    lines += [
        f"{printable(name)}: was not signed on" for name in result.were_not_on
    ]
    if not lines:
        lines.append("No chosen session is signed on. Nothing was changed.")
    sync = sync_line(result.sync)
    lines.append(hanging("", sync))
    return lines
