"""`csc-git log`: git log of the branch, with all its options and three of ours."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from csc_git.cli.options import common, opened
from csc_git.cli.output import wants_json
from csc_git.core.clock import format_time
from csc_git.core.edit import Record
from csc_git.core.key import encode, parse_key, parse_scope
from csc_git.core.session import resolve_scope
from csc_git.errors import InputError, StoreError
from csc_git.git.child import run_git
from csc_git.git.objects import CommitInfo, Objects
from csc_git.git.words import printable
from csc_git.store.layout import spellings
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
        arguments += _paths(scope, key, machine)
        if not wants_json():
            _run(repository.path, arguments)
        for commit in _ids(repository.path, arguments):
            click.echo(json.dumps(_edit(repository.objects, repository.objects.commit(commit))))


def _author(session: str | None, machine: str) -> list[str]:
    if session is None:
        return []
    name = session if "@" in session else f"{session}@{machine}"
    return ["--fixed-strings", f"--author={name} <"]


def _paths(scope: str | None, key: str | None, machine: str) -> list[str]:
    if scope is None:
        return []
    full = resolve_scope(scope, machine)
    path = tuple(encode(segment, directory=True) for segment in parse_scope(full))
    if key is not None:
        path = parse_key(full, key).path
    return ["--", *(f":(literal)data/{found.decode()}" for found in spellings(path))]


def _run(git_dir: Path, arguments: list[str]) -> None:
    """Become git: its pager, colours and exit code are those the user is used to."""
    git = shutil.which("git")
    if git is None:
        raise StoreError("There is no git on PATH", then="Use csc-git log --json")
    os.execv(git, [git, f"--git-dir={git_dir}", "log", *arguments])  # noqa: S606  no shell


def _ids(git_dir: Path, arguments: list[str]) -> Iterator[str]:
    done = run_git(["log", "--format=%H", *arguments], cwd=git_dir, git_dir=git_dir, timeout=600)
    if not done.ok:
        raise InputError(f"git log refused: {printable(done.err.strip())}")
    yield from done.out.decode().split()


def _edit(objects: Objects, commit: CommitInfo) -> dict[str, Any]:
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
