"""`csc-git completion`, and the functions that complete scopes, keys and sessions."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ShellComplete,
    get_completion_class,
)

from csc_git.errors import CscError

if TYPE_CHECKING:
    from csc_git.coordinator.coordinator import Coordinator

_HOW: Final = {
    "bash": 'eval "$(csc-git completion bash)"   in ~/.bashrc',
    "zsh": 'eval "$(csc-git completion zsh)"    in ~/.zshrc, after compinit',
    "fish": "csc-git completion fish | source    in ~/.config/fish/config.fish",
}
_VARIABLE: Final = "_CSC_GIT_COMPLETE"
_FLAGS: Final = ("branch", "remote", "machine")
"""Settings on the command line that determine which names can be completed."""

_WORD: Final = re.compile(r"(?!-)[\w:@.,/+=%-]+")


class _Bash(BashComplete):
    """Completion for bash. When a user completes a word, bash splits `issue:15` into three words.

    The script completes `issue:15` as one word. Then the script removes `issue:` from each result,
    because bash keeps `issue:` on the command line.
    """

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
        """Return the script. click's own method would run bash, which may not be installed."""
        return self.source_template % self.source_vars()


@click.command("completion", epilog="\b\n" + "\n".join(_HOW.values()))
@click.argument("shell", type=click.Choice([*_HOW]))
@click.pass_context
def completion_command(ctx: click.Context, /, shell: str) -> None:
    """Print a script that makes a shell complete commands, options, scopes, keys and sessions.

    To load the script in every new shell, add the line for your shell to the file named beside it:
    """
    complete: type[ShellComplete] | None = _Bash
    if shell != "bash":
        complete = get_completion_class(shell)
    assert complete is not None  # noqa: S101  click supports the other shells
    command = ctx.find_root().command
    click.echo(complete(command, {}, "csc-git", _VARIABLE).source())


def complete_scope(
    ctx: click.Context,
    _: click.Parameter,
    typed: str,
) -> list[CompletionItem]:
    """Complete a scope.

    A shell that breaks words at colons completes only the part after the last colon.

    Args:
        ctx: The context of the command, with the arguments that were typed before.
        typed: The beginning of the scope, as typed so far.
    """
    with _looking(ctx) as coordinator:
        if coordinator is None:
            return []
        return _items(coordinator.values.list_scopes().scopes, typed)


def complete_key(
    ctx: click.Context,
    _: click.Parameter,
    typed: str,
) -> list[CompletionItem]:
    """Complete a key of the scope that was typed before.

    Args:
        ctx: The context of the command, which contains the scope that was typed.
        typed: The beginning of the key, as typed so far.
    """
    scope = ctx.params.get("scope")
    with _looking(ctx) as coordinator:
        if coordinator is None or not scope:
            return []
        return _items(coordinator.values.list_keys(scope).keys, typed)


def complete_session(
    ctx: click.Context,
    _: click.Parameter,
    typed: str,
) -> list[CompletionItem]:
    """Complete the name of a session that is signed on.

    Args:
        ctx: The context of the command, with the arguments that were typed before.
        typed: The beginning of the name, as typed so far.
    """
    with _looking(ctx) as coordinator:
        if coordinator is None:
            return []
        active = coordinator.summary.active(coordinator.store.snapshot())
        return _items([one.session for one in active], typed)


@contextmanager
def _looking(ctx: click.Context) -> "Iterator[Coordinator | None]":
    """Open a coordinator for reading. Yield None if the store is missing or can't be opened."""
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
    from csc_git.project.discovery import discover  # noqa: PLC0415
    from csc_git.store.clone_id import recall  # noqa: PLC0415

    start = ctx.params.get("directory") or Path()
    directory = directory_of(discover(start))
    if recall(directory) is None:  # opening the coordinator would make a store
        return None
    flags = {name: ctx.params.get(name) for name in _FLAGS}
    return open_coordinator(start, flags)


def _items(names: list[str], typed: str) -> list[CompletionItem]:
    """The names that begin with the typed text, except names that a shell would split."""
    matching = [name for name in names if name.startswith(typed)]
    return [CompletionItem(name) for name in matching if _WORD.fullmatch(name)]
