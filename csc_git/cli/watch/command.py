"""`csc-git watch`: sessions, claims, changes and the state of sync, live."""

import signal
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from csc_git.cli.options import command, common, opened
from csc_git.cli.watch.view import View
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.past import MOST_EDITS

if TYPE_CHECKING:
    from rich.console import Console

_LOOK: Final = 0.2
_REDRAW: Final = 1.0
_EDITS: Final = 50
_QUIT: Final = frozenset("qQ\x03")


@command("watch")
@common
def watch_command(**options: Any) -> None:  # noqa: ANN401
    """Watch the sessions at work: who is here, what is claimed, what changes. q quits.

    Meanwhile it syncs, as a server does. In a pipe: a line for each edit as it comes in, oldest
    first: time, session, what it changed, separated by tabs.
    """
    with opened(options) as coordinator:
        coordinator.start()
        try:
            console = _console()
            if console is None:
                _plain(coordinator)
            else:
                _live(coordinator, console)
        except KeyboardInterrupt:
            return


def _console() -> "Console | None":
    """The terminal, if it is one that can be drawn on, and read keys from."""
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        return None
    from rich.console import Console  # noqa: PLC0415

    console = Console()
    return None if console.is_dumb_terminal else console


class _Tip:
    """Where the branch was when it was last asked for."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._branch = coordinator.store.branch
        self.seen: str | None = None

    def moved(self) -> bool:
        """Whether the branch is elsewhere now."""
        before, self.seen = self.seen, self._branch.tip
        return self.seen != before


def _live(coordinator: Coordinator, console: "Console") -> None:
    from rich.live import Live  # noqa: PLC0415

    from csc_git.cli.watch.keys import keys  # noqa: PLC0415

    signal.signal(
        signal.SIGTSTP, signal.SIG_IGN
    )  # stopped, it would leave the terminal as it is
    for ending in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(ending, lambda *_: sys.exit(0))
    with (
        keys() as key,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        view, size, drawn = View(coordinator), None, 0.0
        while not _quits(key(_LOOK)):
            now = time.monotonic()
            if view.refresh() or now - drawn > _REDRAW or console.size != size:
                live.update(view.drawn(console), refresh=True)
                drawn, size = now, console.size


def _quits(pressed: str) -> bool:
    """Whether one of some keys means that it is enough; an arrow begins with Escape too."""
    return pressed == "\x1b" or (
        not pressed.startswith("\x1b") and bool(_QUIT & {*pressed})
    )


def _plain(coordinator: Coordinator) -> None:
    """A line for each edit that comes in from now on."""
    known, tip = set[str](), _Tip(coordinator)
    tip.moved()
    known.update(one.op for one in coordinator.past.history(limit=_EDITS).edits)
    with coordinator.watch.listening() as wait:
        while True:
            before = tip.seen
            for line in (
                _news(coordinator, known, before) if tip.moved() else ()
            ):
                click.echo(line)
                sys.stdout.flush()
            wait(_REDRAW)


def _news(
    coordinator: Coordinator, known: set[str], before: str | None
) -> Iterator[str]:
    """The edits that the tip from before did not contain."""
    found = coordinator.past.history(since=before, limit=MOST_EDITS)
    if found.more:
        yield f"(more than {MOST_EDITS} at once; the others are in csc-git log)"
    for one in reversed(found.edits):
        if one.op not in known:  # replayed edits are the same ones
            known.add(one.op)
            yield f"{one.time[:19]}Z\t{one.session}\t{one.subject}"
