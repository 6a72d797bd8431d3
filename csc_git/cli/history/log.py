"""`csc-git log`: run git log on the branch, with all options of git log and three more."""

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
from csc_git.coordinator.coordinator import Coordinator
from csc_git.core.clock import format_time
from csc_git.core.commit import CommitInfo
from csc_git.core.edit import PROBE
from csc_git.core.value import Json
from csc_git.errors import StoreError
from csc_git.store.commit_walk import record_of
from csc_git.store.store import Store
from csc_git.store.tree.difference import changed_keys
from csc_git.store.tree.snapshot import Snapshot
from csc_git.text import printable_lines

_ID: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_WITHOUT_TRIALS: Final = ("--invert-grep", f"--grep=^{PROBE}: ")
"""Options of git log that leave out the edits with which `init` and `doctor` test the remote."""


class _GitOptions(Command):
    """A command that takes its own options and passes all other words to git.

    click itself would read git's `-SCat` as if it contained our `-C`, and would drop a `--`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = self._own_options(ctx)
        own: list[str] = []
        theirs: list[str] = []
        rest = list(args)
        while rest:
            word = rest.pop(0)
            if word == "--":
                theirs += [word, *rest]
                break
            name, equals, _ = word.partition("=")
            option = options.get(name)
            if option is None or _is_gits(word, rest):
                theirs.append(word)
                continue
            own.append(word)
            takes_value = not getattr(option, "is_flag", False)
            if takes_value and not equals and rest:
                own.append(rest.pop(0))
        left = super().parse_args(ctx, own)
        ctx.params["git_options"] = tuple(theirs)
        return left

    def _own_options(self, ctx: click.Context) -> dict[str, click.Parameter]:
        """The options of csc-git by name, including the options for help."""
        options: dict[str, click.Parameter] = {}
        for option in self.params:
            for name in (*option.opts, *option.secondary_opts):
                options[name] = option
        help_option = click.Option(["--help"], is_flag=True)
        for name in self.get_help_option_names(ctx):
            options[name] = help_option
        return options


def _is_gits(word: str, rest: list[str]) -> bool:
    """Whether a word is the option `-C` of git log. Our own `-C` is followed by a directory."""
    if word != "-C":
        return False
    if not rest:
        return True
    return not Path(rest[0]).is_dir()


@click.command("log", cls=_GitOptions, add_help_option=True)
@click.option(
    "--scope", help="Only edits of this scope and of the scopes below it."
)
@click.option("--key", help="Only edits of this key; needs --scope.")
@click.option("--session", help="Only edits by this session.")
@common
def log_command(
    scope: str | None,
    key: str | None,
    session: str | None,
    git_options: tuple[str, ...],
    **options: Any,  # noqa: ANN401
) -> None:
    """Show what the sessions did: run git log on the branch, with any option of git log.

    With --json, one object is printed for each edit, the newest edit first.
    """
    _check_usage(scope, key)
    with opened_for_reading(options) as coordinator:
        store = coordinator.store
        if store.branch.tip is None:
            return
        chosen, paths = _divided(git_options)
        chosen += _author(session, coordinator.summary.machine)
        if not _has_grep(chosen):
            chosen = [*_WITHOUT_TRIALS, *chosen]
        place = coordinator.past.place(scope, key)
        paths += [f":(literal){path}" for path in place.paths()]
        where = [store.branch.ref, "--", *paths]
        if wants_json():
            _print_json(store, chosen, where)
        elif sys.stdout.isatty():
            _page(coordinator, [*chosen, *where])
        else:
            git_dir = store.repository.path
            command = ["git", f"--git-dir={git_dir}", "log"]
            _become([*command, *chosen, *where])


def _check_usage(scope: str | None, key: str | None) -> None:
    if key is not None and scope is None:
        raise click.UsageError("--key needs --scope")


def _divided(git_options: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Divide the words for git into options and the paths after `--`."""
    words = list(git_options)
    if "--" not in words:
        return words, []
    place = words.index("--")
    options = words[:place]
    paths = words[place + 1 :]
    return options, paths


def _has_grep(chosen: list[str]) -> bool:
    """Whether the options choose commits by message, so that `_WITHOUT_TRIALS` can't be added."""
    greps = ("--grep", "--invert-grep")
    return any(word.startswith(greps) for word in chosen)


def _author(session: str | None, machine: str) -> list[str]:
    if session is None:
        return []
    name = session
    if "@" not in name:
        name = f"{session}@{machine}"
    return ["--fixed-strings", f"--author={name} <"]


def _print_json(store: Store, chosen: list[str], where: list[str]) -> None:
    """Print an object for each edit."""
    # If two options contradict each other, git uses the last one. So ours follow the user's.
    plain = ["--no-patch", "--no-graph", "--format=%H"]
    for line in store.log([*chosen, *plain, *where]):
        commit_id = line.strip()
        if _ID.fullmatch(commit_id):
            edit = _edit(store, commit_id)
            click.echo(json.dumps(edit))


def _page(coordinator: Coordinator, arguments: list[str]) -> None:
    """Show the log in a pager, as git does in a terminal."""
    lines = coordinator.store.log(["--color=always", *arguments])
    configured = coordinator.project.get("core.pager")
    pager = os.environ.get("GIT_PAGER") or configured
    if pager:
        os.environ["PAGER"] = pager
    os.environ.setdefault("LESS", "FRX")  # git's own default
    click.echo_via_pager(map(printable_lines, lines), color=True)


def _become(command: list[str]) -> None:
    """Replace this process by git, so that a pipe gets git's exact output and exit code."""
    git = shutil.which("git")
    if git is None:
        raise StoreError(
            "There is no git on PATH", then="Install git; the data are safe"
        )
    os.execv(git, command)  # noqa: S606  no shell


def _edit(store: Store, commit_id: str) -> Json:
    objects = store.repository.objects
    commit = objects.commit(commit_id)
    record = record_of(commit)
    subject, _, _ = commit.message.partition("\n")
    return {
        "commit": commit.id,
        "time": format_time(commit.author_time),
        "subject": subject,
        "op": record.op,
        "session": record.session,
        "outcome": record.outcome,
        "changed": _changes(store, commit),
    }


def _changes(store: Store, commit: CommitInfo) -> list[Json]:
    """The keys that a commit changed, and each key's revision before and after the commit."""
    objects = store.repository.objects
    before = Snapshot(objects, commit.parent)
    after = Snapshot(objects, commit.id)
    changes: list[Json] = []
    for key, old, new in changed_keys(objects, before, after):
        changes.append(
            {
                "key": str(key),
                "before": old and old.revision,
                "after": new and new.revision,
            }
        )
    return changes
