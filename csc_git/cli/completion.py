"""`csc-git completion`: the shell's completion; and what completes scopes, keys and sessions."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    get_completion_class,
)

from csc_git.errors import CscError

if TYPE_CHECKING:
    from csc_git.coordinator.coordinator import Coordinator

_HOW = {
    "bash": 'eval "$(csc-git completion bash)"   in ~/.bashrc',
    "zsh": 'eval "$(csc-git completion zsh)"    in ~/.zshrc, after compinit',
    "fish": "csc-git completion fish | source    in ~/.config/fish/config.fish",
}
_VARIABLE = "_CSC_GIT_COMPLETE"
_WORD = re.compile(r"(?!-)[\w:@.,/+=%-]+")


class _Bash(BashComplete):
    """bash takes `issue:15` for three words; here it is one, and what was typed isn't repeated."""

    source_template = """\
%(complete_func)s() {
    local line="${COMP_LINE:0:COMP_POINT}" words typed kept IFS=$' \\t\\n'
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    typed="${words[-1]}"
    kept="${typed%%"${typed##*["$COMP_WORDBREAKS"]}"}"
    COMPREPLY=()
    while IFS=',' read -r kind value; do
        if [[ $kind == plain ]]; then
            printf -v value %%q "${value#"$kept"}"
            COMPREPLY+=("$value")
        elif [[ -n $kind ]]; then
            compopt -o default
        fi
    done < <(env COMP_WORDS="$line" COMP_CWORD=$((${#words[@]} - 1)) \\
        %(complete_var)s=bash_complete "$1")
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def source(self) -> str:
        """The script; click's own asks bash for its version, which need not be there."""
        return self.source_template % self.source_vars()


@click.command("completion", epilog="\b\n" + "\n".join(_HOW.values()))
@click.argument("shell", type=click.Choice([*_HOW]))
@click.pass_context
def completion_command(ctx: click.Context, /, shell: str) -> None:
    """Print what makes a shell complete commands, options, scopes, keys and sessions.

    To have it in every shell, put one of these there:
    """
    complete = _Bash if shell == "bash" else get_completion_class(shell)
    assert complete is not None  # noqa: S101  click has the others
    click.echo(
        complete(ctx.find_root().command, {}, "csc-git", _VARIABLE).source()
    )


def complete_scope(
    ctx: click.Context, _: click.Parameter, typed: str
) -> list[CompletionItem]:
    """Scopes that begin as typed. A shell that breaks words at colons completes the rest."""
    with _looking(ctx) as coordinator:
        return (
            _items(coordinator.list_scopes().scopes, typed)
            if coordinator
            else []
        )


def complete_key(
    ctx: click.Context, _: click.Parameter, typed: str
) -> list[CompletionItem]:
    """Keys of the scope typed before."""
    scope = ctx.params.get("scope")
    with _looking(ctx) as coordinator:
        return (
            _items(coordinator.list_keys(scope).keys, typed)
            if coordinator and scope
            else []
        )


def complete_session(
    ctx: click.Context, _: click.Parameter, typed: str
) -> list[CompletionItem]:
    """Sessions that are signed on."""
    with _looking(ctx) as coordinator:
        if coordinator is None:
            return []
        active = coordinator.summary.active(coordinator.store.snapshot())
        return _items([one.session for one in active], typed)


@contextmanager
def _looking(ctx: click.Context) -> "Iterator[Coordinator | None]":
    """A coordinator that only looks; None where there is nothing to look at."""
    try:
        coordinator = _coordinator(ctx)
    except (CscError, OSError):
        coordinator = None
    try:
        yield coordinator
    finally:
        if coordinator is not None:
            coordinator.close()


def _coordinator(ctx: click.Context) -> "Coordinator | None":
    from csc_git.coordinator.factory import directory_of, open_coordinator  # noqa: PLC0415
    from csc_git.git.project import discover  # noqa: PLC0415
    from csc_git.store.clone_id import recall  # noqa: PLC0415

    start = ctx.params.get("directory") or Path()
    if (
        recall(directory_of(discover(start))) is None
    ):  # opening would make a store
        return None
    return open_coordinator(
        start,
        {
            name: ctx.params.get(name)
            for name in ("branch", "remote", "machine")
        },
    )


def _items(names: list[str], typed: str) -> list[CompletionItem]:
    """Names that begin as typed, without those that a shell would not read as one word."""
    offered = (
        name
        for name in names
        if name.startswith(typed) and _WORD.fullmatch(name)
    )
    return [CompletionItem(name) for name in offered]
