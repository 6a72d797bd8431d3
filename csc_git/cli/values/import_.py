"""`csc-git import`: store values from JSON Lines, as one edit."""

import sys
from pathlib import Path
from typing import Any, Final

import click

from csc_git.cli.options import command, common, opened, user
from csc_git.cli.output import at_most, progress, show
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.reading.transfer import (
    compare,
    read_directory,
    read_lines,
)
from csc_git.coordinator.results.data import Imported
from csc_git.core.key import Key
from csc_git.core.value import Json
from csc_git.text import count, printable

_MOST: Final = 20
"""At most this many keys are listed."""


@command("import")
@click.option(
    "--dry-run", is_flag=True, help="Only list what would be changed."
)
@click.option(
    "--allow-secret",
    metavar="WHY",
    help="Why values that look like credentials are safe.",
)
@click.argument(
    "source", type=click.Path(exists=True, allow_dash=True, path_type=Path)
)
@common
def import_command(
    source: Path,
    dry_run: bool,
    allow_secret: str | None,
    **options: Any,  # noqa: ANN401
) -> None:
    """Store values from SOURCE, all as one edit.

    SOURCE is a file of JSON Lines in the format of csc-git export, or - for standard input, or the
    directory in which claude_session_coordinator keeps its state (.claude/session-state). Keys that
    are not in SOURCE stay unchanged.
    """
    with progress() as report, opened(options, report) as coordinator:
        values = _read(source, coordinator.clone.machine)
        # Either all keys are stored or none, so the edits of other sessions are fetched first.
        coordinator.syncing.sync()
        snapshot = coordinator.store.snapshot()
        new, other = compare(snapshot, values)
        changes = {key: values[key] for key in (*new, *other)}
        done = Imported(
            added=list(map(str, new)),
            changed=list(map(str, other)),
            unchanged=len(values) - len(changes),
        )
        if dry_run:
            coordinator.edits.check(changes, allow_secret)
        elif changes:
            done = _stored(
                coordinator,
                changes,
                allow_secret,
                done,
            )
    show(done, *_lines(done, dry_run=dry_run))


def _read(source: Path, machine: str) -> dict[Key, Json]:
    if str(source) == "-":
        return read_lines(iter(sys.stdin), machine)
    if source.is_dir():
        return read_directory(source)
    with source.open(encoding="utf-8") as file:
        return read_lines(file, machine)


def _stored(
    coordinator: Coordinator,
    changes: dict[Key, Json],
    allow_secret: str | None,
    done: Imported,
) -> Imported:
    """Store the changes; return `done` with the op and the status of the edit."""
    author = coordinator.authors.person(user())
    edit = coordinator.edits.load(
        author, changes, confirm=True, allow_secret=allow_secret
    )
    update = {
        "op": edit.op,
        "status": edit.status,
    }
    return done.model_copy(update=update)


def _lines(done: Imported, *, dry_run: bool) -> list[str]:
    changes = [f"+ {printable(name)}" for name in done.added]
    changes += [f"~ {printable(name)}" for name in done.changed]
    lines = at_most(changes, _MOST)
    added = count(len(done.added), "key")
    changed = len(done.changed)
    unchanged = done.unchanged
    summary = f"{added} new, {changed} changed, {unchanged} unchanged"
    if dry_run:
        summary += ": a dry run, so nothing was stored"
    elif done.op:
        summary += f": {done.status}"
    lines.append(f"{summary}.")
    return lines
