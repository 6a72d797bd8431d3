"""`csc-git watch`: sessions, claims, changes and the state of sync, live."""

import signal
import sys
from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

import click

from csc_git.cli import tables
from csc_git.cli.options import command, common, opened
from csc_git.cli.output import ago, sync_line
from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.past import MOST_EDITS
from csc_git.git.words import count, printable

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console, RenderableType

_LOOK: Final = 0.2
_REDRAW: Final = 1.0
_SHARE: Final = 4
_FIXED: Final = 12
_LINES: Final = 8
"""Of the screen, for each one that the state of sync may take."""
_EDITS: Final = 50
_QUIT: Final = frozenset({"q", "Q", "\x03", "\x1b"})


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
            if sys.stdout.isatty() and sys.stdin.isatty():
                _live(coordinator)
            else:
                _plain(coordinator)
        except KeyboardInterrupt:
            return


class _Tip:
    """Where the branch was when it was last asked for."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._branch = coordinator.store.branch
        self.seen: str | None = None

    def moved(self) -> bool:
        """Whether the branch is elsewhere now."""
        before, self.seen = self.seen, self._branch.tip
        return self.seen != before


def _live(coordinator: Coordinator) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    from csc_git.cli.keys import keys  # noqa: PLC0415

    console = Console()
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)  # stopped, it would leave the terminal as it is
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda *_: sys.exit(0))
    with (
        keys() as key,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        tip, size, left = _Tip(coordinator), console.size, 0.0
        while key(_LOOK) not in _QUIT:
            left -= _LOOK
            if tip.moved() or left <= 0 or console.size != size:
                left, size = _REDRAW, console.size
                live.update(_screen(coordinator, console), refresh=True)


def _screen(coordinator: Coordinator, console: "Console") -> "RenderableType":
    """All of it, in as many lines as there are."""
    from rich.console import Group  # noqa: PLC0415

    now, (width, height) = clock.now(), console.size
    parts = _standing(coordinator, now, width, height)
    used = sum(len(console.render_lines(part)) for part in parts)
    rest = max(1, height - used - 1)
    found = coordinator.past.history(limit=rest).edits
    return Group(*parts, tables.edits(found, now).drawn(width, most=rest))


def _standing(
    coordinator: Coordinator, now: "datetime", width: int, height: int
) -> "list[RenderableType]":
    """How things stand; below it there is room for what changes."""
    from rich.text import Text  # noqa: PLC0415

    context = coordinator.overview.context()
    most = max(2, (height - _FIXED) // _SHARE)
    title = f"{context.project} on {context.machine}, {coordinator.store.branch.name}"
    queued = f"{queue:,} queued. " if (queue := context.sync.queued) else ""
    sync = f"{queued}{printable(sync_line(context.sync))} ({ago(context.sync.contact_age)})"
    title += f"   {now.astimezone():%H:%M:%S}   q quits"
    parts: list[RenderableType] = [
        Text(printable(title), "bold", no_wrap=True),
        *map(Text, wrap(sync, width, max_lines=max(1, height // _LINES), placeholder=" …")),
        Text(),
        tables.sessions(context.active, now).drawn(width, most=most)
        if context.active
        else Text("nobody is signed on", "dim"),
        Text(),
    ]
    if context.claims:
        parts += [tables.claims(context.claims, now).drawn(width, most=most), Text()]
    if conflicts := len(context.conflicts):
        words = f"{count(conflicts, 'open conflict')}: {', '.join(context.conflicts[:3])}"
        parts += [Text(printable(words), "red", no_wrap=True, overflow="ellipsis"), Text()]
    return parts


def _plain(coordinator: Coordinator) -> None:
    """A line for each edit that comes in from now on."""
    known, tip = set[str](), _Tip(coordinator)
    tip.moved()
    known.update(one.op for one in coordinator.past.history(limit=_EDITS).edits)
    with coordinator.watch.listening() as wait:
        while True:
            before = tip.seen
            for line in _news(coordinator, known, before) if tip.moved() else ():
                click.echo(line)
                sys.stdout.flush()
            wait(_REDRAW)


def _news(coordinator: Coordinator, known: set[str], before: str | None) -> Iterator[str]:
    """The edits that the tip from before did not contain."""
    found = coordinator.past.history(since=before, limit=MOST_EDITS)
    if found.more:
        yield f"(more than {MOST_EDITS} at once; the others are in csc-git log)"
    for one in reversed(found.edits):
        if one.op not in known:  # replayed edits are the same ones
            known.add(one.op)
            yield f"{one.time[:19]}Z\t{one.session}\t{one.subject}"
