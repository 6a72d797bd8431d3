"""Tables of sessions, claims and edits: for a terminal as wide as it is, for a pipe by tabs."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import click

from csc_git.coordinator.results import ClaimSummary, PastChange, SessionSummary
from csc_git.text import count, printable, readable, span

if TYPE_CHECKING:
    from rich.table import Table

_LONG = 200
_ROOM = 16


class Rows(NamedTuple):
    """A table.

    Attributes:
        head: The names of its columns.
        rows: Their cells.
        elastic: Which column may be cut short, from 0.
        spare: Which are left out where that column would have no room, the least needed first.
    """

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    elastic: int
    spare: tuple[int, ...] = ()

    def drawn(
        self, width: int, *, most: int | None = None, head: bool = True
    ) -> "Table":
        """For rich to draw in so many columns; no more than so many rows."""
        from rich.table import Table  # noqa: PLC0415  only for a terminal

        columns = self._fitting(width)
        table = Table(
            box=None,
            pad_edge=False,
            expand=True,
            header_style="dim",
            show_header=head,
        )
        for number in columns:
            ratio = 1 if number == self.elastic else None
            table.add_column(
                self.head[number],
                no_wrap=True,
                overflow="ellipsis",
                ratio=ratio,
            )
        for row in self.rows[:most]:
            table.add_row(*(_plain(row[number]) for number in columns))
        if most is not None and len(self.rows) > most:
            table.add_row(
                f"and {len(self.rows) - most} more", *[""] * (len(columns) - 1)
            )
        return table

    def _fitting(self, width: int) -> list[int]:
        """The columns that are shown."""
        widths = [
            max(map(len, cells)) + 1
            for cells in zip(self.head, *self.rows, strict=True)
        ]
        widths[self.elastic] = min(_ROOM, widths[self.elastic])
        shown = list(range(len(widths)))
        for column in self.spare:
            if sum(widths[number] for number in shown) > width:
                shown.remove(column)
        return shown

    def show(self) -> None:
        """Print it: drawn in a terminal, else a line a row, its cells separated by tabs."""
        if sys.stdout.isatty():
            from rich.console import Console  # noqa: PLC0415

            console = Console()
            console.print(self.drawn(console.width))
        else:
            for row in self.rows:
                click.echo("\t".join(row))


def sessions(found: Sequence[SessionSummary], now: datetime) -> Rows:
    """Sessions: who, since when, on what."""
    rows = [
        (
            one.session,
            "here" if one.here else "elsewhere",
            _age(one.since, now) if one.active else "gone",
            _work(one),
            count(one.open_todos, "todo") if one.open_todos else "",
            _age(one.stored_at, now),
        )
        for one in found
    ]
    return Rows(
        ("session", "where", "for", "works on", "to do", "said so"),
        rows,
        3,
        (5, 4, 1, 2),
    )


def claims(found: Sequence[ClaimSummary], now: datetime) -> Rows:
    """Claims: what, whose, since when, until when, what for."""
    rows = [
        (
            one.resource,
            one.session,
            _age(one.since, now),
            _until(one, now),
            one.note,
        )
        for one in found
    ]
    return Rows(("claimed", "by", "for", "until", "what for"), rows, 4, (2, 3))


def edits(found: Sequence[PastChange], now: datetime) -> Rows:
    """Edits, the newest first."""
    rows = [
        (_age(one.time, now), one.session, f"{one.subject}{_fate(one)}")
        for one in found
    ]
    return Rows(("ago", "by", "changed"), rows, 2)


def _work(one: SessionSummary) -> str:
    """The issue that a session reports, or else its status."""
    said = one.status if one.current_issue is None else one.current_issue
    return "" if said is None else readable(str(said), _LONG)


def _fate(edit: PastChange) -> str:
    return f" ({edit.outcome})" if edit.outcome not in {None, "applied"} else ""


def _until(claim: ClaimSummary, now: datetime) -> str:
    if claim.provisional:
        return "provisional"
    moment = _moment(claim.until)
    return (
        "session ends"
        if moment is None
        else span((moment - now).total_seconds())
    )


def _age(time: str | None, now: datetime) -> str:
    moment = _moment(time)
    return "" if moment is None else span((now - moment).total_seconds())


def _moment(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _plain(text: str) -> str:
    """For rich: nothing in it is markup."""
    from rich.markup import escape  # noqa: PLC0415

    return escape(printable(text))
