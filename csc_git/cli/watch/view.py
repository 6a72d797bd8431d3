"""The view that `watch` shows: looked up when something changed, drawn as large as the terminal."""

import time
from textwrap import wrap
from typing import TYPE_CHECKING, Final

from csc_git.cli import tables
from csc_git.cli.output import ago, sync_line
from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.text import count, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_SHARE: Final = 4
_FIXED: Final = 12
"""Lines of the screen that are not rows of a table."""

_FEWEST: Final = 5
"""Those without heads and empty lines, for which there is no room in fewer lines than `_TIGHT`."""

_TIGHT: Final = 17

_LINES: Final = 8
"""Of the screen, for each one that the state of sync may take."""

_EDITS: Final = 100
_AGED: Final = 5.0
"""Seconds after which the sessions and claims that may have ended by time are looked up again."""


class View:
    """Who is here, what is claimed, what changed, and how it stands with the remote.

    Args:
        coordinator: Whom to ask.
    """

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._drawn_of: tuple[object, ...] = ()
        self.refresh()

    def refresh(self) -> bool:
        """Look again if something has changed, or time may have; whether something has."""
        before, self._drawn_of = self._drawn_of, self._stamp()
        if self._drawn_of != before or time.monotonic() - self._looked > _AGED:
            self._look()
        return self._drawn_of != before

    def _look(self) -> None:
        coordinator, self._looked = self._coordinator, time.monotonic()
        self._context = coordinator.summary.context()
        self._claims = coordinator.claims.active(coordinator.store.snapshot())
        self._edits = coordinator.past.history(limit=_EDITS).edits

    def drawn(self, console: "Console") -> "RenderableType":
        """All of it, in as many lines as there are; the changes take what the rest leaves."""
        from rich.console import Group  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        now, (width, height) = clock.now(), console.size
        head = height >= _TIGHT
        parts: list[RenderableType] = []
        for part in self._parts(width, height, head=head):
            parts += [part, Text()] if head else [part]
        used = sum(len(console.render_lines(part)) for part in parts)
        rest = max(1, height - used - head)
        edits = tables.edits(self._edits[:rest], now)
        return Group(*parts, edits.drawn(width, most=rest, head=head))

    def _parts(
        self, width: int, height: int, *, head: bool
    ) -> "list[RenderableType]":
        """How things stand."""
        from rich.text import Text  # noqa: PLC0415

        now, fixed = clock.now(), _FIXED if head else _FEWEST
        most = max(1, (height - fixed) // _SHARE)
        parts: list[RenderableType] = [self._title(width, height)]
        if active := self._context.active:
            parts.append(
                tables.sessions(active, now).drawn(width, most=most, head=head)
            )
        else:
            parts.append(Text("nobody is signed on", "dim"))
        if self._claims:
            parts.append(
                tables.claims(self._claims, now).drawn(
                    width, most=most, head=head
                )
            )
        if conflicts := self._context.conflicts:
            words = f"{count(len(conflicts), 'open conflict')}: {', '.join(conflicts[:3])}"
            parts.append(
                Text(printable(words), "red", no_wrap=True, overflow="ellipsis")
            )
        return parts

    def _title(self, width: int, height: int) -> "RenderableType":
        from rich.console import Group  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        context, branch = self._context, self._coordinator.store.branch.name
        title = f"{context.project} on {context.machine}, {branch}"
        title += f"   {clock.now().astimezone():%H:%M:%S}   q quits"
        queued = f"{queue:,} queued. " if (queue := context.sync.queued) else ""
        sync = f"{queued}{printable(sync_line(context.sync))} ({ago(context.sync.contact_age)})"
        lines = wrap(
            sync, width, max_lines=max(1, height // _LINES), placeholder=" …"
        )
        return Group(
            Text(printable(title), "bold", no_wrap=True), *map(Text, lines)
        )

    def _stamp(self) -> tuple[object, ...]:
        """What changes when there is something else to see, but for what time alone changes."""
        store = self._coordinator.store
        return store.branch.tip, store.branch.base, store.status.state
