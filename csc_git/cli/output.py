"""What commands print: plain text, JSON with `--json`, nothing superfluous in a pipe."""

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn, TextIO

import click

from csc_git.coordinator.results import Result, SyncSummary
from csc_git.doctor.finding import Finding
from csc_git.errors import CscError
from csc_git.text import count, printable, span

_NARROWEST: Final = 20
_CHECK: Final = 12
"""Columns for what was looked at."""

_MARKS: Final = {
    "ok": ("ok", "green"),
    "warning": ("??", "yellow"),
    "error": ("!!", "red"),
}


def wants_json() -> bool:
    """Whether the running command was called with `--json`."""
    context = click.get_current_context(silent=True)
    return (
        bool(context and context.params.get("as_json")) or "--json" in sys.argv
    )


def show(result: Result, text: str) -> None:
    """Print an answer: as JSON if asked for, else `text`."""
    if wants_json():
        click.echo(json.dumps(result.model_dump(mode="json"), indent=2))
    elif text:
        click.echo(text)


def fail(error: CscError, code: int = 1) -> NoReturn:
    """Print what happened, what is safe and what to do next; exit with `code`."""
    if wants_json():
        content = {
            "error": type(error).__name__,
            "what": error.what,
            "safe": error.safe,
        }
        click.echo(json.dumps(content | {"next": error.then}, indent=2))
    else:
        warn(str(error))
    sys.exit(code)


def misused(error: click.UsageError) -> NoReturn:
    """Say what is wrong with the command line, as JSON if asked for; exit code 2."""
    if not wants_json():
        raise error
    content = {
        "error": "UsageError",
        "what": error.format_message(),
        "safe": CscError.safe,
    }
    then = f"See {error.ctx.command_path} --help" if error.ctx else ""
    click.echo(json.dumps(content | {"next": then}, indent=2))
    sys.exit(error.exit_code)


def warn(text: str) -> None:
    """Tell of trouble, apart from the answer."""
    click.echo(
        hanging("csc-git: ", printable(text), stream=sys.stderr), err=True
    )


def hanging(
    head: str, text: str, indent: int = 0, stream: TextIO | None = None
) -> str:
    """`head` and a text, broken for the terminal so that it hangs under its own beginning.

    Args:
        head: What stands before it.
        text: The text.
        indent: Columns that are taken before the head.
        stream: Where it is printed; None: standard output.
    """
    if not (stream or sys.stdout).isatty():
        return head + text
    width = max(
        shutil.get_terminal_size().columns - indent - len(head), _NARROWEST
    )
    lines = textwrap.wrap(
        text, width, break_long_words=False, break_on_hyphens=False
    )
    return head + f"\n{' ' * (indent + len(head))}".join(lines)


def described(finding: Finding) -> str:
    """What was found, in a line or more that begin with a mark; and below it what to do."""
    mark, colour = _MARKS[finding.level]
    head = f"{finding.check:<{_CHECK}}"
    lines = [
        f"{click.style(mark, fg=colour)}  {hanging(head, printable(finding.message), 4)}"
    ]
    if finding.fix:
        indent = " " * (4 + _CHECK)
        lines.append(
            indent + hanging("fix: ", printable(finding.fix), len(indent))
        )
    return "\n".join(lines)


def note(text: str) -> None:
    """Tell a person something that is no part of the answer; nothing in a pipe."""
    if sys.stderr.isatty() and not wants_json():
        click.echo(text, err=True)


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Shows what is being done, on a line that changes; nothing in a pipe or with `--json`."""
    if wants_json() or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415  only for people

    with Console(stderr=True).status("syncing") as shown:
        yield shown.update


def sync_line(sync: SyncSummary) -> str:
    """How things stand with the remote, in a sentence or two."""
    parts = [sync.message]
    if sync.queued:
        parts.append(f"{count(sync.queued, 'edit')} queued here, safe.")
    if sync.parked:
        parts.append(f"{sync.parked} parked: the remote declined them.")
    return " ".join([*parts, sync.next]).strip()


def ago(seconds: float | None) -> str:
    """A duration as people say it."""
    return "never" if seconds is None else f"{span(seconds)} ago"
