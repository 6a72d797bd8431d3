"""`csc-git log`: git log of the branch, with all its options and three of ours."""

import json
import os
import shutil
import sys
from typing import Any

import click

from csc_git.cli.options import common, opened
from csc_git.cli.output import wants_json
from csc_git.core.clock import format_time
from csc_git.core.edit import Record
from csc_git.errors import InputError, StoreError
from csc_git.git.log import log_lines
from csc_git.git.objects import Objects
from csc_git.git.words import printable_lines
from csc_git.store.snapshot import Snapshot, changed_keys


@click.command("log", context_settings={"ignore_unknown_options": True})
@common
@click.option("--scope", help="Only edits of this scope, and of those below it.")
@click.option("--key", help="Only edits of this key of --scope.")
@click.option("--session", help="Only edits by this session.")
@click.argument("git_options", nargs=-1, type=click.UNPROCESSED)
def log_command(
    scope: str | None,
    key: str | None,
    session: str | None,
    git_options: tuple[str, ...],
    **options: Any,  # noqa: ANN401
) -> None:
    """What the sessions did: git log of the branch. Takes every option of git log.

    With --json: one object an edit, newest first.
    """
    if key is not None and scope is None:
        raise InputError("--key needs --scope")
    with opened(options) as coordinator:
        branch, repository = coordinator.store.branch, coordinator.store.repository
        if branch.tip is None:
            return
        machine = coordinator.overview.machine
        arguments = [*git_options, *_author(session, machine), branch.ref]
        paths = coordinator.past.place(scope, key).paths()
        arguments += ["--", *(f":(literal){path}" for path in paths)] if paths else []
        if wants_json():
            for commit in log_lines(repository.path, ["--format=%H", *arguments]):
                click.echo(json.dumps(_edit(repository.objects, commit.strip())))
        elif sys.stdout.isatty():
            lines = log_lines(repository.path, ["--color=always", *arguments])
            click.echo_via_pager(map(printable_lines, lines), color=True)
        else:
            _become(["git", f"--git-dir={repository.path}", "log", *arguments])


def _author(session: str | None, machine: str) -> list[str]:
    if session is None:
        return []
    name = session if "@" in session else f"{session}@{machine}"
    return ["--fixed-strings", f"--author={name} <"]


def _become(command: list[str]) -> None:
    """In a pipe be plain git log, byte for byte, with its exit code."""
    git = shutil.which("git")
    if git is None:
        raise StoreError("There is no git on PATH", then="Install it; the data are safe")
    os.execv(git, command)  # noqa: S606  no shell


def _edit(objects: Objects, commit_id: str) -> dict[str, Any]:
    commit = objects.commit(commit_id)
    record = Record.parse(commit.message)
    before, after = Snapshot(objects, commit.parent), Snapshot(objects, commit.id)
    return {
        "commit": commit.id,
        "time": format_time(commit.author_time),
        "subject": commit.message.partition("\n")[0],
        "op": record.op if record else None,
        "session": record.session if record else commit.author,
        "outcome": record.outcome if record else None,
        "changed": [
            {"key": str(key), "before": old and old.revision, "after": new and new.revision}
            for key, old, new in changed_keys(objects, before, after)
        ],
    }
