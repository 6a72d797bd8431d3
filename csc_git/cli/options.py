"""Options that commands share: where, and the settings."""

import getpass
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn, TypeVar

import click

from csc_git.cli.output import warn
from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.factory import open_coordinator
from csc_git.core.remote_state import RemoteState
from csc_git.core.session import machine_from_host
from csc_git.text import span

_LONG: Final = 600.0
"""Seconds since the last contact from which on a read warns."""

F = TypeVar("F", bound=Callable[..., Any])


class Command(click.Command):
    """A command whose help lists its own options apart from the settings that all of them take."""

    def format_options(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """List both, each under its own title."""
        options = [
            one for one in self.get_params(ctx) if isinstance(one, click.Option)
        ]
        own = [one for one in options if one.name not in _SETTINGS]
        settings = [one for one in options if one.name in _SETTINGS]
        for title, listed in ("Options", own), ("Settings", settings):
            if records := [
                record for one in listed if (record := one.get_help_record(ctx))
            ]:
                with formatter.section(title):
                    formatter.write_dl(records)


command = partial(click.command, cls=Command)


def common(command: F) -> F:
    """Add `-C`, `--json` and the settings to a command, as `directory`, `as_json`, `flags`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS: list[Callable[[Any], Any]] = [
    click.option(
        "-C",
        "--directory",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=Path(),
        help="A directory of the repository; default: this one.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    click.option(
        "--branch", metavar="NAME", help="The branch; default csc/state."
    ),
    click.option(
        "--remote", metavar="NAME-OR-URL", help="The remote; default origin."
    ),
    click.option(
        "--machine",
        metavar="NAME",
        help="This machine's name; default the host's.",
    ),
    click.option(
        "--sync/--no-sync",
        default=None,
        help="Talk to the remote; default yes.",
    ),
    click.option(
        "--poll",
        metavar="SECONDS",
        help="Most between looks at the remote; default 30.",
    ),
    click.option(
        "--timeout",
        metavar="SECONDS",
        help="For one call to the remote; default 60.",
    ),
    click.option(
        "--lease",
        metavar="SECONDS",
        help="Until a silent session is gone; 5400.",
    ),
    click.option(
        "--limit",
        metavar="SIZE",
        help="Longest value, as in 1MiB (the default).",
    ),
]
_SETTINGS = (
    "branch",
    "remote",
    "machine",
    "sync",
    "poll",
    "timeout",
    "lease",
    "limit",
)


def flags(options: dict[str, Any]) -> dict[str, Any]:
    """The settings among a command's options."""
    return {name: options.get(name) for name in _SETTINGS}


@contextmanager
def opened(options: dict[str, Any]) -> Iterator[Coordinator]:
    """A coordinator for the command's directory, closed afterwards."""
    signal.signal(
        signal.SIGTERM, _interrupt
    )  # as Ctrl-C: what is true of an edit is reported
    coordinator = open_coordinator(options["directory"], flags(options))
    coordinator.writer.fetches_first = True
    try:
        yield coordinator
    finally:
        coordinator.close()


@contextmanager
def opened_for_reading(options: dict[str, Any]) -> Iterator[Coordinator]:
    """As `opened`, for a command that shows what others stored.

    It waits briefly for the remote if the last contact is a while ago, and warns if that was in
    vain: what is not here yet must not look as if it were nowhere.
    """
    with opened(options) as coordinator:
        coordinator.writer.hear_first()
        if warning := _age(coordinator):
            warn(warning)
        yield coordinator


def _age(coordinator: Coordinator) -> str:
    """What to know of the last contact; empty if it was lately, or there is no remote."""
    status = coordinator.store.status
    age = status.age(clock.instant())
    if not coordinator.store.syncs or status.state is RemoteState.NO_REMOTE:
        return ""
    if age is None:
        return "This clone has never reached the remote: what others stored is not here yet."
    if age > _LONG:
        return (
            f"The last contact with the remote was {span(age)} ago: what others stored since is "
            "not here yet."
        )
    return ""


def _interrupt(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def user() -> str:
    """The person at the keyboard, as part of a session name."""
    try:
        return machine_from_host(getpass.getuser())
    except (OSError, KeyError):
        return "user"
