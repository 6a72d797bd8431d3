"""`export`, `import`: values as JSON Lines, out of the store and into it."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from csc_git.cli.completion import complete_scope
from csc_git.cli.options import (
    command,
    common,
    opened,
    opened_for_reading,
    user,
)
from csc_git.cli.output import progress, show, warn
from csc_git.coordinator.results import Imported
from csc_git.coordinator.transfer import (
    compare,
    export,
    read_directory,
    read_lines,
    unreadable,
)
from csc_git.core.key import Key
from csc_git.core.pattern import compile_pattern
from csc_git.core.value import Json
from csc_git.text import count, printable

_MOST = 20


@command("export")
@click.option(
    "--at", metavar="WHEN", help="As of a time, 2h (ago), or a commit."
)
@click.argument("scope", required=False, shell_complete=complete_scope)
@common
def export_command(scope: str | None, at: str | None, **options: Any) -> None:  # noqa: ANN401
    """Print values as JSON Lines: scope, key, value, session, time.

    All of them, or those of the scopes that SCOPE, a glob such as issue:*, matches. Sessions,
    claims and conflicts stay behind.
    """
    with opened_for_reading(options) as coordinator:
        snapshot = (
            coordinator.past.at(at) if at else coordinator.store.snapshot()
        )
        matches = (
            compile_pattern(scope).match
            if scope is not None
            else lambda _: True
        )
        for one in export(snapshot, matches):
            click.echo(json.dumps(one.model_dump(mode="json")))
        if left_out := unreadable(snapshot, matches):
            names = ", ".join(left_out[:_MOST])
            warn(
                f"{count(len(left_out), 'key')} can't be read and are not in this export: {names}"
            )
            sys.exit(1)


@command("import")
@click.option("--dry-run", is_flag=True, help="Only say what would be changed.")
@click.option(
    "--allow-secret", metavar="WHY", help="Store what looks like credentials."
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

    SOURCE is a file of JSON Lines as csc-git export prints them, - for standard input, or the
    directory in which claude_session_coordinator keeps its state (.claude/session-state). Keys
    that are not in it stay as they are.
    """
    with opened(options) as coordinator, progress() as coordinator.progress:
        values = _read(source, coordinator.clone.machine)
        coordinator.sync()  # all keys are stored or none, so learn first what others stored
        new, other = compare(coordinator.store.snapshot(), values)
        unchanged = len(values) - len(new) - len(other)
        done = Imported(
            added=[*map(str, new)],
            changed=[*map(str, other)],
            unchanged=unchanged,
        )
        changes = {key: values[key] for key in (*new, *other)}
        if dry_run:
            coordinator.edits.check(changes, allow_secret)
        elif changes:
            author = coordinator.person(user())
            made = coordinator.edits.load(
                author, changes, confirm=True, allow_secret=allow_secret
            )
            done = done.model_copy(
                update={"op": made.op, "status": made.status}
            )
    show(done, "\n".join(_lines(done, dry_run=dry_run)))


def _read(source: Path, machine: str) -> dict[Key, Json]:
    if str(source) == "-":
        return read_lines(iter(sys.stdin), machine)
    if source.is_dir():
        return read_directory(source)
    with source.open(encoding="utf-8") as file:
        return read_lines(file, machine)


def _lines(done: Imported, *, dry_run: bool) -> list[str]:
    changes = [f"+ {name}" for name in done.added] + [
        f"~ {name}" for name in done.changed
    ]
    lines = [printable(line) for line in changes[:_MOST]]
    lines += (
        [f"and {len(changes) - _MOST} more"] if len(changes) > _MOST else []
    )
    said = f"{count(len(done.added), 'key')} new, {len(done.changed)} changed"
    how = (
        ": not stored, only looked at"
        if dry_run
        else f": {done.status}"
        if done.op
        else ""
    )
    return [*lines, f"{said}, {done.unchanged} as they were{how}."]
