"""Tables of sessions, claims and edits: fitted to a terminal, or with tabs in a pipe."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from csc_git.coordinator.results.activity import ClaimSummary, SessionSummary
from csc_git.coordinator.results.changes import PastChange
from csc_git.text import count, printable, readable, span

if TYPE_CHECKING:
    from rich.table import Table

_LONG: Final = 200
"""At most this many characters of a session's issue or status are shown."""

_ROOM: Final = 16
"""The least width of a table's elastic column, in characters."""


class Rows(NamedTuple):
    """A table.

    Attributes:
        head: The names of the columns.
        rows: The cells of each row.
        elastic: The number of the column that may be cut short, counted from 0.
        spare: The numbers of the columns that a narrow terminal does not show, the least important
            column first.
    """

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    elastic: int
    spare: tuple[int, ...] = ()

    def drawn(
        self,
        width: int,
        *,
        most: int | None = None,
        head: bool = True,
    ) -> "Table":
        """Make a table that rich can draw.

        Args:
            width: The width of the terminal, in columns.
            most: At most this many rows are shown. If None, all rows are shown.
            head: Whether the names of the columns are shown.
        """
        from rich.table import Table  # noqa: PLC0415  only for a terminal

        table = Table(
            box=None,
            pad_edge=False,
            expand=True,
            header_style="dim",
            show_header=head,
        )
        columns = self._fitting(width)
        for number in columns:
            table.add_column(
                self.head[number],
                no_wrap=True,
                overflow="ellipsis",
                ratio=self._ratio(number),
            )
        for row in self.rows[:most]:
            cells = [_plain(row[number]) for number in columns]
            table.add_row(*cells)
        if most is not None and len(self.rows) > most:
            table.add_row(f"and {len(self.rows) - most} more")
        return table

    def _ratio(self, number: int) -> int | None:
        """Give the elastic column all width that the other columns do not need."""
        if number == self.elastic:
            return 1
        return None

    def _fitting(self, width: int) -> list[int]:
        """The numbers of the columns that are shown in a terminal of this width."""
        widths = []
        for cells in zip(self.head, *self.rows, strict=True):
            longest = max(map(len, cells))
            widths.append(longest + 1)
        widths[self.elastic] = min(_ROOM, widths[self.elastic])
        shown = list(range(len(widths)))
        for column in self.spare:
            needed = sum(widths[number] for number in shown)
            if needed > width:
                shown.remove(column)
        return shown

    def show(self) -> None:
        """Print the table. In a pipe, each row is one line with tabs between the cells."""
        if sys.stdout.isatty():
            from rich.console import Console  # noqa: PLC0415

            console = Console()
            console.print(self.drawn(console.width))
        else:
            for row in self.rows:
                click.echo("\t".join(row))


def sessions(found: Sequence[SessionSummary], now: datetime) -> Rows:
    """Make a table of sessions, with the place, age and work of each.

    Args:
        found: The sessions.
        now: The present time, from which ages are calculated.
    """
    head = (
        "session",
        "where",
        "for",
        "works on",
        "to do",
        "reported",
    )
    rows = [_session_row(one, now) for one in found]
    return Rows(
        head,
        rows,
        elastic=3,
        spare=(5, 4, 1, 2),
    )


def claims(found: Sequence[ClaimSummary], now: datetime) -> Rows:
    """Make a table of claims, with the session, age, end and note of each.

    Args:
        found: The claims.
        now: The present time, from which ages are calculated.
    """
    head = (
        "claimed",
        "by",
        "for",
        "until",
        "what for",
    )
    rows = [_claim_row(one, now) for one in found]
    return Rows(
        head,
        rows,
        elastic=4,
        spare=(2, 3),
    )


def edits(found: Sequence[PastChange], now: datetime) -> Rows:
    """Make a table of edits.

    Args:
        found: The edits, newest first.
        now: The present time, from which ages are calculated.
    """
    head = ("ago", "by", "changed")
    rows = [_edit_row(one, now) for one in found]
    return Rows(head, rows, elastic=2)


def _session_row(session: SessionSummary, now: datetime) -> tuple[str, ...]:
    where = "elsewhere"
    if session.here:
        where = "here"
    age = "gone"
    if session.active:
        age = _age(session.since, now)
    todos = ""
    if session.open_todos:
        todos = count(session.open_todos, "todo")
    reported = _age(session.stored_at, now)
    return (
        session.session,
        where,
        age,
        _work(session),
        todos,
        reported,
    )


def _work(session: SessionSummary) -> str:
    """Return the issue that a session reports, or the session's status if there is no issue."""
    work = session.current_issue
    if work is None:
        work = session.status
    if work is None:
        return ""
    return readable(str(work), _LONG)


def _claim_row(claim: ClaimSummary, now: datetime) -> tuple[str, ...]:
    return (
        claim.resource,
        claim.session,
        _age(claim.since, now),
        _until(claim, now),
        claim.note,
    )


def _until(claim: ClaimSummary, now: datetime) -> str:
    """Describe when a claim ends: after some time, or when its session ends."""
    if claim.provisional:
        return "provisional"
    moment = _moment(claim.until)
    if moment is None:
        return "session ends"
    left = moment - now
    return span(left.total_seconds())


def _edit_row(edit: PastChange, now: datetime) -> tuple[str, ...]:
    changed = edit.subject
    if edit.outcome not in {None, "applied"}:
        changed += f" ({edit.outcome})"
    return (_age(edit.time, now), edit.session, changed)


def _age(time: str | None, now: datetime) -> str:
    moment = _moment(time)
    if moment is None:
        return ""
    age = now - moment
    return span(age.total_seconds())


def _moment(text: str | None) -> datetime | None:
    """Parse a time. A time without a zone is in UTC. Return None if the text is not a time."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    if found.tzinfo is None:
        return found.replace(tzinfo=UTC)
    return found


def _plain(text: str) -> str:
    """Escape text that rich would read as markup, and characters that control a terminal."""
    from rich.markup import escape  # noqa: PLC0415

    return escape(printable(text))
