"""Options that commands share, and the coordinator that commands open with these options."""

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
from csc_git.store.store import no_progress
from csc_git.store.sync.attempt import Progress
from csc_git.text import span

_LONG: Final = 600.0
"""A warning is printed if the last contact with the remote was more than this many seconds ago."""

Options = dict[str, Any]
"""The values of a command's options by name. The function `common` adds these options."""

F = TypeVar("F", bound=Callable[..., Any])


class Command(click.Command):
    """A command whose help lists the command's own options first, and the settings after them."""

    def format_options(
        self,
        ctx: click.Context,
        formatter: click.HelpFormatter,
    ) -> None:
        """Write both groups of options, each under its own title.

        Args:
            ctx: The command's context.
            formatter: The formatter that the help is written to.
        """
        own = []
        settings = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None or not isinstance(parameter, click.Option):
                continue
            if parameter.name in _SETTINGS:
                settings.append(record)
            else:
                own.append(record)
        for title, records in (("Options", own), ("Settings", settings)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


command = partial(click.command, cls=Command)

local_option = click.option(
    "--local", is_flag=True, help="Don't wait for the remote."
)
if_revision_option = click.option(
    "--if-revision",
    metavar="REVISION",
    help="Edit only if the key has this revision, or is 'absent'.",
)
at_option = click.option(
    "--at", metavar="WHEN", help="Read the past: a time, 2h (ago), or a commit."
)


def common(command: F) -> F:
    """Add `-C` (as `directory`), `--json` (as `as_json`) and the settings to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS: list[Callable[[Any], Any]] = [
    click.option(
        "-C",
        "--directory",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=Path(),
        help="A directory of the repository; default: the current one.",
    ),
    click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print JSON.",
    ),
    click.option(
        "--branch", metavar="NAME", help="The branch; default csc/state."
    ),
    click.option(
        "--remote", metavar="NAME-OR-URL", help="The remote; default origin."
    ),
    click.option(
        "--machine",
        metavar="NAME",
        help="The name of this machine; default: the host's name.",
    ),
    click.option(
        "--sync/--no-sync",
        default=None,
        help="Sync with the remote; default yes.",
    ),
    click.option(
        "--poll",
        metavar="SECONDS",
        help="The longest time between checks of the remote; default 30.",
    ),
    click.option(
        "--timeout",
        metavar="SECONDS",
        help="The time limit of one call to the remote; default 60.",
    ),
    click.option(
        "--lease",
        metavar="SECONDS",
        help="The time until a silent session is gone; default 5400.",
    ),
    click.option(
        "--limit",
        metavar="SIZE",
        help="The size limit of a value; default 1MiB.",
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


def flags(options: Options) -> dict[str, Any]:
    """The settings among a command's options. The value is None if a setting was not given."""
    return {name: options.get(name) for name in _SETTINGS}


@contextmanager
def opened(
    options: Options,
    progress: Progress = no_progress,
) -> Iterator[Coordinator]:
    """Open a coordinator for the command's directory, and close it afterwards.

    Args:
        options: The command's options.
        progress: A function that is called with texts about the sync for which an edit waits.
    """
    # SIGTERM is handled like Ctrl-C, so that the command reports whether its edit was made.
    signal.signal(signal.SIGTERM, _interrupt)
    coordinator = open_coordinator(
        options["directory"], flags(options), progress
    )
    coordinator.writer.fetches_first = True
    try:
        yield coordinator
    finally:
        coordinator.close()


@contextmanager
def opened_for_reading(options: Options) -> Iterator[Coordinator]:
    """Open a coordinator, as `opened` does, for a command that shows stored values.

    If this clone did not try to contact the remote in the last minute, a short sync is tried first.
    If the last contact with the remote is old, a warning is printed. Without the warning, the user
    could believe that a value does not exist. In fact, this clone may not have fetched the value.
    """
    with opened(options) as coordinator:
        coordinator.writer.wait_for_first_contact()
        warning = _age_warning(coordinator)
        if warning:
            warn(warning)
        yield coordinator


def _age_warning(coordinator: Coordinator) -> str:
    """The warning about an old contact; empty if the contact is recent or there is no remote."""
    status = coordinator.store.sync_status
    if not coordinator.store.syncs or status.state is RemoteState.NO_REMOTE:
        return ""
    age = status.age(clock.instant())
    if age is None:
        return "This clone has never reached the remote, so it lacks what others stored."
    if age > _LONG:
        return (
            f"The last contact with the remote was {span(age)} ago. What others stored "
            "since then is not here yet."
        )
    return ""


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def user() -> str:
    """The name of the person who runs the command, in a form that fits into a session's name."""
    try:
        return machine_from_host(getpass.getuser())
    except (OSError, KeyError):
        return "user"
