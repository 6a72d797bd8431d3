"""The output of commands: plain text, or JSON with `--json`.

If standard output is a pipe, the pipe gets only the answer.
"""

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NoReturn, TextIO

import click

from csc_git.coordinator.results.base import Result, Version
from csc_git.coordinator.results.data import Delivered
from csc_git.coordinator.results.sync import SyncSummary
from csc_git.doctor.finding import Finding
from csc_git.errors import CscError
from csc_git.text import count, printable, span

_NARROWEST: Final = 20
"""A text is never wrapped at fewer columns than this, even if the terminal is narrower."""

_CHECK: Final = 12
"""The number of columns for the name of a check."""

_MARKS: Final = {
    "ok": ("ok", "green"),
    "warning": ("??", "yellow"),
    "error": ("!!", "red"),
}


def wants_json() -> bool:
    """Whether the running command was called with `--json`."""
    context = click.get_current_context(silent=True)
    if context and context.params.get("as_json"):
        return True
    return "--json" in sys.argv


def show(result: Result, *lines: str) -> None:
    """Print a result.

    Args:
        result: What is printed with `--json`.
        lines: What is printed without `--json`; nothing is printed if all lines are empty.
    """
    if wants_json():
        _print_json(result.model_dump(mode="json"))
        return
    text = "\n".join(lines)
    if text:
        click.echo(text)


def show_edit(edit: Delivered, line: str) -> None:
    """Print the result of an edit.

    If the edit should be on the remote and is not there, print a warning too.

    Args:
        edit: What is printed with `--json`.
        line: What is printed without `--json`.
    """
    show(edit, line)
    if edit.reason:
        warn(edit.reason)


def fail(error: CscError, code: int = 1) -> NoReturn:
    """Print what happened, what is safe and what to do next, and end the process.

    Args:
        error: The error to report.
        code: The exit code.
    """
    if wants_json():
        _print_json(
            {
                "error": type(error).__name__,
                "what": error.what,
                "safe": error.safe,
                "next": error.then,
            }
        )
    else:
        warn(str(error))
    sys.exit(code)


def misused(error: click.UsageError) -> NoReturn:
    """With `--json`, print what is wrong with the command line, and exit with code 2.

    Raises:
        click.UsageError: The command was called without `--json`. click then prints the error.
    """
    if not wants_json():
        raise error
    then = ""
    if error.ctx:
        then = f"See {error.ctx.command_path} --help"
    _print_json(
        {
            "error": "UsageError",
            "what": error.format_message(),
            "safe": CscError.safe,
            "next": then,
        }
    )
    sys.exit(error.exit_code)


def _print_json(content: object) -> None:
    click.echo(json.dumps(content, indent=2))


def warn(text: str) -> None:
    """Print a warning or an error to standard error. Standard output contains only the answer."""
    message = hanging(
        "csc-git: ",
        printable(text),
        stream=sys.stderr,
    )
    click.echo(message, err=True)


def hanging(
    head: str,
    text: str,
    indent: int = 0,
    stream: TextIO | None = None,
) -> str:
    """Put a head, such as `fix: `, before a text.

    In a terminal, wrap the text, and indent all lines after the first line by the head's width.

    Args:
        head: The words before the text on the first line.
        text: The text to wrap.
        indent: The number of columns that precede the head on the first line.
        stream: The stream to which the text will be printed; None means standard output.
    """
    out = stream or sys.stdout
    if not out.isatty():
        return head + text
    margin = indent + len(head)
    columns = shutil.get_terminal_size().columns
    lines = textwrap.wrap(
        text,
        max(columns - margin, _NARROWEST),
        break_long_words=False,
        break_on_hyphens=False,
    )
    line_end = "\n" + " " * margin
    return head + line_end.join(lines)


def described(finding: Finding) -> str:
    """Format a finding as a mark, the check's name and the message. The fix is on the next line."""
    mark, colour = _MARKS[finding.level]
    styled = click.style(mark, fg=colour)
    indent = len(mark) + 2
    head = finding.check.ljust(_CHECK)
    message = hanging(
        head,
        printable(finding.message),
        indent,
    )
    text = f"{styled}  {message}"
    if not finding.fix:
        return text
    below = indent + _CHECK
    margin = " " * below
    fix = hanging(
        "fix: ",
        printable(finding.fix),
        below,
    )
    return f"{text}\n{margin}{fix}"


def note(text: str) -> None:
    """Print a remark if standard error is a terminal and `--json` is not given."""
    if sys.stderr.isatty() and not wants_json():
        click.echo(text, err=True)


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show the current step of a sync on a separate line.

    Show nothing with `--json`, or if standard error is not a terminal.
    """
    if wants_json() or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415  only for people

    console = Console(stderr=True)
    with console.status("syncing") as status:
        yield status.update


def sync_line(sync: SyncSummary) -> str:
    """Describe the state of sync with the remote, in a sentence or two."""
    parts = [sync.message]
    if sync.queued:
        queued = count(sync.queued, "edit")
        parts.append(f"{queued} queued here, safe.")
    if sync.parked:
        parts.append(f"{sync.parked} parked: the remote declined them.")
    parts.append(sync.next)
    return " ".join(parts).strip()


def ago(seconds: float | None) -> str:
    """Describe how long ago something happened. None means that it never happened."""
    if seconds is None:
        return "never"
    return f"{span(seconds)} ago"


def to_the_second(time: str) -> str:
    """Shorten a stored time to whole seconds, for instance to `2026-11-22T18:05:00Z`."""
    return f"{time[:19]}Z"


def with_author(text: str, version: Version) -> str:
    """Append the author and the time of a version to a text.

    Args:
        text: The part of the version's value that is shown.
        version: The version.
    """
    author = version.session
    time = to_the_second(version.time)
    return f"{text}  ({author}, {time})"


def key_name(scope: str, key: str) -> str:
    """Write a key's scope and name in the form `issue:15/status`.

    Args:
        scope: The scope of the key.
        key: The name of the key in its scope.
    """
    return printable(f"{scope}/{key}")


def at_most(lines: Sequence[str], most: int, where: str = "") -> list[str]:
    """Shorten a list of lines.

    Args:
        lines: All lines.
        most: At most this many lines are kept. One more line reports how many lines are left out.
        where: The text at the end of the last line, which explains how a user can see all lines.
    """
    shown = list(lines[:most])
    others = len(lines) - most
    if others > 0:
        shown.append(f"and {others} more{where}")
    return shown
