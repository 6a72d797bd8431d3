"""`csc-git status`: show who is here, and the state of sync with the remote."""

from collections.abc import Sequence
from typing import Any, Final

from csc_git.cli.options import command, common, opened_for_reading
from csc_git.cli.output import ago, at_most, hanging, show, sync_line
from csc_git.coordinator.results.activity import (
    ClaimSummary,
    SessionSummary,
    Status,
)
from csc_git.coordinator.results.sync import ParkedEdit
from csc_git.text import count, readable

_MOST: Final = 20
"""A section shows at most this many entries."""

_LABEL: Final = 10
"""The width of the label of a line, in columns."""

_ISSUE: Final = 30
"""At most this many characters of a session's issue are shown."""

_NOTE: Final = 40
"""At most this many characters of a claim's note are shown."""


@command("status")
@common
def status_command(**options: Any) -> None:  # noqa: ANN401
    """Show who is here, what is in conflict, and the state of sync with the remote."""
    with opened_for_reading(options) as coordinator:
        status = coordinator.summary.status()
    show(status, *_lines(status))


def _lines(status: Status) -> list[str]:
    sections: dict[str, list[str]] = {
        "active": list(map(_session, status.active)) or ["nobody"],
        "parked": list(map(_parked, status.parked)),
        "claims": list(map(_claim, status.claims)),
        "conflicts": status.conflicts,
        "skipped": _skipped(status),
        "clocks": status.clocks,
    }
    lines = _summary(status)
    for title, entries in sections.items():
        lines += _section(title, entries)
    if status.conflicts:
        lines.append("To see and resolve conflicts: csc-git conflicts")
    if status.parked:
        again = "To push a parked edit again: csc-git sync --retry OP; to drop it, use --drop"
        lines.append(hanging("", again))
    return lines


def _summary(status: Status) -> list[str]:
    place = f"{status.project} on {status.machine}"
    keys = count(status.keys, "key")
    remote = status.remote or "none"
    contact = ago(status.sync.contact_age)
    sync = sync_line(status.sync)
    lines = [
        f"{place}: {keys} on {status.branch}",
        _labelled("remote", f"{remote} (last contact: {contact})"),
        _labelled("sync", sync),
    ]
    at_rest, at_most = status.requests_per_hour
    if at_rest and status.remote:
        requests = (
            f"an idle server makes {at_rest:,} requests an hour, "
            f"and at most {at_most:,} while others write"
        )
        lines.append(_labelled("looks", requests))
    return lines


def _section(title: str, entries: Sequence[str]) -> list[str]:
    """Make one line for each item of a list. Only the first line begins with the title."""
    lines = []
    label = title
    for entry in at_most(entries, _MOST, where=" (all with --json)"):
        lines.append(_labelled(label, entry))
        label = ""
    return lines


def _labelled(label: str, text: str) -> str:
    return hanging(label.ljust(_LABEL), text)


def _skipped(status: Status) -> list[str]:
    """Lines about the foreign entries of the branch, which csc-git skips."""
    if not status.foreign:
        return []
    number = status.foreign_count
    entries = [
        f"files that csc-git did not write, left unchanged: {number}",
        *status.foreign,
    ]
    if number > len(status.foreign):
        entries.append("…")
    return entries


def _session(session: SessionSummary) -> str:
    parts = [session.session]
    if session.current_issue:
        issue = readable(str(session.current_issue), _ISSUE)
        parts.append(f"on {issue}")
    if session.open_todos:
        parts.append(count(session.open_todos, "todo"))
    if not session.here:
        parts.append("(elsewhere)")
    return "  ".join(parts)


def _parked(edit: ParkedEdit) -> str:
    return f"{edit.op}  {edit.subject}: {edit.reason}"


def _claim(claim: ClaimSummary) -> str:
    parts = [claim.resource, claim.session]
    if claim.provisional:
        parts.append("(provisional)")
    if claim.note:
        parts.append(readable(claim.note, _NOTE))
    return "  ".join(parts)
