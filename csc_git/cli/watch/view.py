"""The view that `watch` shows. The view is updated after changes, and fits the terminal."""

import time
from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING, Final

from csc_git.cli.activity import tables
from csc_git.cli.output import ago, sync_line
from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.text import count, printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_SHARE: Final = 4
"""Of the lines for rows, sessions get at most a quarter, and claims get at most a quarter."""

_FIXED: Final = 12
"""The number of lines on the screen that are not rows of a table."""

_FEWEST: Final = 5
"""The number of lines in a small terminal that are not rows of a table.

In a small terminal, the heads of tables and empty lines are left out.
"""

_TIGHT: Final = 17
"""A terminal with fewer lines than this is small."""

_LINES: Final = 8
"""The text about the sync takes at most an eighth of the screen's lines."""

_CONFLICTS: Final = 3
"""At most this many conflicts are named."""

_EDITS: Final = 100
"""This many edits are read. More edits would not fit on a screen."""

_AGED: Final = 5.0
"""Sessions and claims are read again after this many seconds, because some may have ended."""


class View:
    """Who is here, what is claimed, what changed, and the state of sync with the remote.

    Args:
        coordinator: The coordinator from which the data are read.
    """

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._drawn_of: tuple[object, ...] = ()
        self.refresh()

    def refresh(self) -> bool:
        """Read the data again if the data changed or are old. Return whether the data changed."""
        before = self._drawn_of
        self._drawn_of = self._stamp()
        has_changed = self._drawn_of != before
        if has_changed or self._is_aged():
            self._look()
        return has_changed

    def _is_aged(self) -> bool:
        age = time.monotonic() - self._looked
        return age > _AGED

    def _look(self) -> None:
        self._looked = time.monotonic()
        coordinator = self._coordinator
        self._context = coordinator.summary.context()
        snapshot = coordinator.store.snapshot()
        self._claims = coordinator.claims.active(snapshot)
        history = coordinator.past.history(limit=_EDITS)
        self._edits = history.edits

    def drawn(self, console: "Console") -> "RenderableType":
        """Draw all parts so that they fit the terminal. The edits get the lines that remain."""
        from rich.console import Group  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        width, height = console.size
        is_roomy = height >= _TIGHT
        parts: list[RenderableType] = []
        for part in self._parts(
            width,
            height,
            is_roomy=is_roomy,
        ):
            parts.append(part)
            if is_roomy:
                parts.append(Text())
        used = 0
        for part in parts:
            used += len(console.render_lines(part))
        if is_roomy:
            used += 1  # the head of the table of edits
        rest = max(1, height - used)
        edits = tables.edits(self._edits[:rest], clock.now())
        table = edits.drawn(
            width,
            most=rest,
            head=is_roomy,
        )
        return Group(*parts, table)

    def _parts(
        self,
        width: int,
        height: int,
        *,
        is_roomy: bool,
    ) -> "Iterator[RenderableType]":
        """Draw all parts except the edits."""
        from rich.text import Text  # noqa: PLC0415

        yield self._title(width, height)
        fixed = _FEWEST
        if is_roomy:
            fixed = _FIXED
        most = max(1, (height - fixed) // _SHARE)
        now = clock.now()
        active = self._context.active
        if active:
            sessions = tables.sessions(active, now)
            yield sessions.drawn(
                width,
                most=most,
                head=is_roomy,
            )
        else:
            yield Text("nobody is signed on", "dim")
        if self._claims:
            claims = tables.claims(self._claims, now)
            yield claims.drawn(
                width,
                most=most,
                head=is_roomy,
            )
        conflicts = self._context.conflicts
        if conflicts:
            number = count(len(conflicts), "open conflict")
            first = ", ".join(conflicts[:_CONFLICTS])
            yield Text(
                printable(f"{number}: {first}"),
                "red",
                no_wrap=True,
                overflow="ellipsis",
            )

    def _title(self, width: int, height: int) -> "RenderableType":
        """Draw the title: project, machine, branch, time, and the state of sync."""
        from rich.console import Group  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        context = self._context
        place = f"{context.project} on {context.machine}"
        branch = self._coordinator.store.branch.name
        local_time = clock.now().astimezone()
        title = f"{place}, {branch}   {local_time:%H:%M:%S}   q quits"
        heading = Text(
            printable(title),
            "bold",
            no_wrap=True,
        )
        lines = wrap(
            self._sync_text(),
            width,
            max_lines=max(1, height // _LINES),
            placeholder=" …",
        )
        return Group(heading, *map(Text, lines))

    def _sync_text(self) -> str:
        sync = self._context.sync
        state = printable(sync_line(sync))
        contact = ago(sync.contact_age)
        text = f"{state} ({contact})"
        if sync.queued:
            return f"{sync.queued:,} queued. {text}"
        return text

    def _stamp(self) -> tuple[object, ...]:
        """Values that change when the data change, but not when only time passes."""
        store = self._coordinator.store
        return store.branch.tip, store.branch.base, store.sync_status.state
