"""`csc-git log`: git log of the branch, with all its options and three of ours."""

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import click

from csc_git.cli.options import Command, common, opened_for_reading
from csc_git.cli.output import wants_json
from csc_git.core.clock import format_time
from csc_git.core.edit import PROBE
from csc_git.errors import StoreError
from csc_git.git.log import log_lines
from csc_git.git.objects.reader import Objects
from csc_git.store.commit_walk import record_of
from csc_git.store.difference import changed_keys
from csc_git.store.snapshot import Snapshot
from csc_git.text import printable_lines

_ID: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class _GitOptions(Command):
    """Takes out our own options and leaves all others to git, whatever they look like.

    Click would look for our `-C` inside git's `-SCat`, and keep a `--` to itself.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        names = {name: option for option in self.params for name in option.opts}
        names |= {
            name: option
            for option in self.params
            for name in option.secondary_opts
        }
        names |= dict.fromkeys(
            self.get_help_option_names(ctx),
            click.Option(["--help"], is_flag=True),
        )
        own, theirs, rest = list[str](), list[str](), list(args)
        while rest:
            word = rest.pop(0)
            option = names.get(word.partition("=")[0])
            if word == "--":
                theirs += [word, *rest]
                break
            if option is None or (
                word == "-C" and not (rest and Path(rest[0]).is_dir())
            ):
                theirs.append(word)
                continue
            takes_value = (
                not getattr(option, "is_flag", False) and "=" not in word
            )
            own += [word, rest.pop(0)] if takes_value and rest else [word]
        left = super().parse_args(ctx, own)
        ctx.params["git_options"] = tuple(theirs)
        return left


@click.command("log", cls=_GitOptions, add_help_option=True)
@click.option(
    "--scope", help="Only edits of this scope, and of those below it."
)
@click.option("--key", help="Only edits of this key of --scope.")
@click.option("--session", help="Only edits by this session.")
@common
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
        raise click.UsageError("--key needs --scope")
    with opened_for_reading(options) as coordinator:
        branch, repository = (
            coordinator.store.branch,
            coordinator.store.repository,
        )
        if branch.tip is None:
            return
        chosen, paths = _divided(git_options)
        chosen += _author(session, coordinator.summary.machine)
        paths += [
            f":(literal){path}"
            for path in coordinator.past.place(scope, key).paths()
        ]
        if not any(
            word.startswith(("--grep", "--invert-grep")) for word in chosen
        ):
            chosen = ["--invert-grep", f"--grep=^{PROBE}: ", *chosen]
        where = [branch.ref, "--", *paths]
        arguments = [*chosen, *where]
        if wants_json():
            plain = [
                "--no-patch",
                "--no-graph",
                "--format=%H",
            ]  # after theirs, so that they win
            for line in log_lines(repository.path, [*chosen, *plain, *where]):
                if _ID.fullmatch(line.strip()):
                    click.echo(
                        json.dumps(_edit(repository.objects, line.strip()))
                    )
        elif sys.stdout.isatty():
            lines = log_lines(repository.path, ["--color=always", *arguments])
            if pager := os.environ.get("GIT_PAGER") or coordinator.project.get(
                "core.pager"
            ):
                os.environ["PAGER"] = pager
            os.environ.setdefault(
                "LESS", "FRX"
            )  # as git does for its own pager
            click.echo_via_pager(map(printable_lines, lines), color=True)
        else:
            _become(["git", f"--git-dir={repository.path}", "log", *arguments])


def _divided(git_options: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Options, and the paths behind `--`."""
    words = list(git_options)
    place = words.index("--") if "--" in words else len(words)
    return words[:place], words[place + 1 :]


def _author(session: str | None, machine: str) -> list[str]:
    if session is None:
        return []
    name = session if "@" in session else f"{session}@{machine}"
    return ["--fixed-strings", f"--author={name} <"]


def _become(command: list[str]) -> None:
    """In a pipe be plain git log, byte for byte, with its exit code."""
    git = shutil.which("git")
    if git is None:
        raise StoreError(
            "There is no git on PATH", then="Install it; the data are safe"
        )
    os.execv(git, command)  # noqa: S606  no shell


def _edit(objects: Objects, commit_id: str) -> dict[str, Any]:
    commit = objects.commit(commit_id)
    record = record_of(commit)
    before, after = (
        Snapshot(objects, commit.parent),
        Snapshot(objects, commit.id),
    )
    return {
        "commit": commit.id,
        "time": format_time(commit.author_time),
        "subject": commit.message.partition("\n")[0],
        "op": record.op,
        "session": record.session,
        "outcome": record.outcome,
        "changed": [
            {
                "key": str(key),
                "before": old and old.revision,
                "after": new and new.revision,
            }
            for key, old, new in changed_keys(objects, before, after)
        ],
    }
