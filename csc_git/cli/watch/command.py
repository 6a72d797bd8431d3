"""`csc-git watch`: sessions, claims, changes and the state of sync, live."""

import signal
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from csc_git.cli.options import command, common, opened
from csc_git.cli.output import to_the_second
from csc_git.cli.watch.view import View
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.reading.past import MOST_EDITS

if TYPE_CHECKING:
    from rich.console import Console

_LOOK: Final = 0.2
"""Seconds to wait for a key press before the next check for changes."""

_REDRAW: Final = 1.0
"""The view is drawn again after this many seconds, so that the clock in it stays correct."""

_EDITS: Final = 50
"""At the start, this many of the newest edits are remembered. A replay of them is not printed."""

_QUIT: Final = frozenset("qQ\x03")


@command("watch")
@common
def watch_command(**options: Any) -> None:  # noqa: ANN401
    """Show who is here, what is claimed and what changes, live. The key q quits.

    Meanwhile this command syncs like a server. In a pipe, it prints one line for each new edit, the
    oldest edit first. Its fields are separated by tabs: time, session, change.
    """
    with opened(options) as coordinator:
        coordinator.start()
        try:
            console = _console()
            if console is None:
                _print_edits(coordinator)
            else:
                _draw(coordinator, console)
        except KeyboardInterrupt:
            return


def _console() -> "Console | None":
    """The terminal; None if the terminal can't draw the view or if keys can't be read."""
    if not sys.stdout.isatty() or not sys.stdin.isatty():
        return None
    from rich.console import Console  # noqa: PLC0415

    console = Console()
    if console.is_dumb_terminal:
        return None
    return console


class _Tip:
    """Remembers the tip of the branch, to find out later whether the tip has changed."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._branch = coordinator.store.branch
        self.seen: str | None = None

    def moved(self) -> bool:
        """Read the tip again; return whether it changed."""
        before = self.seen
        self.seen = self._branch.tip
        return self.seen != before


def _draw(coordinator: Coordinator, console: "Console") -> None:
    from rich.live import Live  # noqa: PLC0415

    from csc_git.cli.watch.keys import keys  # noqa: PLC0415

    # Ctrl-Z is ignored, since a stopped process would leave the terminal unusable.
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    for ending in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(ending, lambda *_: sys.exit(0))
    live = Live(console=console, screen=True, auto_refresh=False)
    with keys() as key, live:
        view = View(coordinator)
        drawn_size = None
        drawn_at = 0.0
        while not _quits(key(_LOOK)):
            now = time.monotonic()
            is_old = now - drawn_at > _REDRAW
            is_resized = console.size != drawn_size
            if view.refresh() or is_old or is_resized:
                live.update(view.drawn(console), refresh=True)
                drawn_at = now
                drawn_size = console.size


def _quits(pressed: str) -> bool:
    """Whether one of the pressed keys ends the command: q, Ctrl-C or Escape.

    An arrow key does not end the command, although the key sends Escape and more characters.
    """
    if pressed.startswith("\x1b"):
        return pressed == "\x1b"
    return not _QUIT.isdisjoint(pressed)


def _print_edits(coordinator: Coordinator) -> None:
    """Print a line for each edit that arrives from now on."""
    tip = _Tip(coordinator)
    tip.moved()
    edits = coordinator.past.history(limit=_EDITS).edits
    known = {edit.op for edit in edits}
    with coordinator.watch.listening() as wait:
        while True:
            before = tip.seen
            if tip.moved():
                for line in _new_edits(coordinator, known, before):
                    click.echo(line)
                    sys.stdout.flush()
            wait(_REDRAW)


def _new_edits(
    coordinator: Coordinator,
    known: set[str],
    before: str | None,
) -> Iterator[str]:
    """Yield a line for each edit after the tip `before`, and add the op of the edit to `known`."""
    found = coordinator.past.history(since=before, limit=MOST_EDITS)
    if found.more:
        yield f"(more than {MOST_EDITS} edits at once; csc-git log lists the others)"
    for edit in reversed(found.edits):
        if edit.op in known:  # the edit is known, and was replayed
            continue
        known.add(edit.op)
        time = to_the_second(edit.time)
        yield f"{time}\t{edit.session}\t{edit.subject}"
