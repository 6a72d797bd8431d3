"""`csc-git status`: who is here, and how things stand with the remote."""

from typing import Any

from csc_git.cli.options import command, common, opened_for_reading
from csc_git.cli.output import ago, hanging, show, sync_line
from csc_git.coordinator.results import ClaimSummary, SessionSummary, Status
from csc_git.text import count, readable

_MOST = 20


@command("status")
@common
def status_command(**options: Any) -> None:  # noqa: ANN401
    """Who is here, what is in conflict, and how things stand with the remote."""
    with opened_for_reading(options) as coordinator:
        status = coordinator.status()
    show(status, _text(status))


def _text(status: Status) -> str:
    contact = ago(status.sync.contact_age)
    keys = count(status.keys, "key")
    lines = [
        f"{status.project} on {status.machine}: {keys} on {status.branch}",
        hanging(
            "remote    ", f"{status.remote or 'none'} (last contact: {contact})"
        ),
        hanging("sync      ", sync_line(status.sync)),
        *_looks(status),
        *_section(
            "active", [_session(one) for one in status.active] or ["nobody"]
        ),
        *_section(
            "parked",
            [f"{e.op}  {e.subject}: {e.reason}" for e in status.parked],
        ),
        *_section("claims", [_claim(one) for one in status.claims]),
        *_section("conflicts", status.conflicts),
        *_section("skipped", _skipped(status)),
        *_section("clocks", status.clocks),
    ]
    if status.conflicts:
        lines.append("To see and resolve conflicts: csc-git conflicts")
    if status.parked:
        again = "To push a parked edit again: csc-git sync --retry OP; to drop it: --drop OP"
        lines.append(hanging("", again))
    return "\n".join(lines)


def _looks(status: Status) -> list[str]:
    """What a running server costs the remote."""
    rest, most = status.requests_per_hour
    cost = f"{rest:,} requests an hour by a server at rest, at most {most:,} while others write"
    return [hanging("looks     ", cost)] if rest and status.remote else []


def _section(title: str, entries: list[str]) -> list[str]:
    shown = entries[:_MOST]
    if len(entries) > _MOST:
        shown.append(f"and {len(entries) - _MOST} more (all with --json)")
    return [
        hanging(f"{title if n == 0 else '':<10}", entry)
        for n, entry in enumerate(shown)
    ]


def _skipped(status: Status) -> list[str]:
    if not status.foreign:
        return []
    count, shown = status.foreign_count, status.foreign
    opening = (
        f"{count} on the branch that csc-git did not write, left as they are:"
    )
    return [opening, *shown, *(["…"] if count > len(shown) else [])]


def _claim(one: ClaimSummary) -> str:
    note = f"  {readable(one.note, 40)}" if one.note else ""
    provisional = "  (provisional)" if one.provisional else ""
    return f"{one.resource}  {one.session}{provisional}{note}"


def _session(one: SessionSummary) -> str:
    work = (
        f"  on {readable(str(one.current_issue), 30)}"
        if one.current_issue
        else ""
    )
    todos = f"  {count(one.open_todos, 'todo')}" if one.open_todos else ""
    return f"{one.session}{work}{todos}{'' if one.here else '  (elsewhere)'}"
