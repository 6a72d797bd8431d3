"""The command `csc-git`, which can also be called as `git csc`."""

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from csc_git.cli.output import fail, misused
from csc_git.errors import CscError, Interrupted, as_csc_error

_COMMANDS: Final = {
    "blame": (
        "csc_git.cli.history.blame",
        "Show who last changed each key of a scope.",
    ),
    "claims": (
        "csc_git.cli.activity.claims",
        "Show what is claimed, and by whom.",
    ),
    "completion": (
        "csc_git.cli.completion",
        "Make your shell complete what you type.",
    ),
    "conflicts": (
        "csc_git.cli.values.conflicts",
        "List the open conflicts.",
    ),
    "demo": (
        "csc_git.cli.demo.command",
        "Watch two machines coordinate in a temporary directory.",
    ),
    "diff": (
        "csc_git.cli.history.diff",
        "Show what changed between two moments.",
    ),
    "doctor": (
        "csc_git.cli.doctor",
        "Check the whole setup: what is wrong, and how to fix it.",
    ),
    "export": (
        "csc_git.cli.values.export",
        "Print values as JSON Lines.",
    ),
    "get": (
        "csc_git.cli.values.get",
        "Print a value.",
    ),
    "help": (
        "csc_git.cli.help",
        "Explain what a command does.",
    ),
    "import": (
        "csc_git.cli.values.import_",
        "Store values from JSON Lines, as one edit.",
    ),
    "init": (
        "csc_git.cli.init.command",
        "Set up a repository, or undo the setup.",
    ),
    "log": (
        "csc_git.cli.history.log",
        "Show what the sessions did, by git log of the branch.",
    ),
    "ls": (
        "csc_git.cli.values.ls",
        "List all scopes, or the keys of one scope.",
    ),
    "resolve": (
        "csc_git.cli.values.resolve",
        "Resolve a conflict.",
    ),
    "rm": (
        "csc_git.cli.values.rm",
        "Remove a key, or all keys of a scope.",
    ),
    "rotate": (
        "csc_git.cli.history.rotate",
        "Start a new, short history, and keep the old history.",
    ),
    "serve": (
        "csc_git.cli.serve",
        "Run the MCP server on standard input and output.",
    ),
    "sessions": (
        "csc_git.cli.activity.sessions",
        "Show who is signed on, and what each session works on.",
    ),
    "set": (
        "csc_git.cli.values.set",
        "Store a value.",
    ),
    "sign-off": (
        "csc_git.cli.activity.sign_off",
        "End sessions that can't sign off themselves.",
    ),
    "status": (
        "csc_git.cli.activity.status",
        "Show the active sessions, and the state of the sync.",
    ),
    "sync": (
        "csc_git.cli.sync",
        "Sync this clone with the remote now.",
    ),
    "team": (
        "csc_git.cli.team",
        "Show or change the settings that the team agreed on.",
    ),
    "watch": (
        "csc_git.cli.watch.command",
        "Watch the sessions at work, live.",
    ),
}
"""The module and the summary of each command. The manual page repeats the summaries."""

_INTERRUPTED: Final = 130
"""The exit code after Ctrl-C: 128 plus the number of the signal, as in a shell."""


class _Lazy(click.Group):
    """Imports a command's module only when the command is called, so that csc-git starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_COMMANDS)

    def resolve_command(
        self,
        ctx: click.Context,
        args: list[str],
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            message = error.message
            for similar in get_close_matches(args[0], _COMMANDS, n=1):
                message += f" Did you mean {similar}?"
            raise click.UsageError(message, ctx) from None

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module_name, _ = _COMMANDS[cmd_name]
        module = import_module(module_name)
        function_name = cmd_name.replace("-", "_") + "_command"
        command: click.Command = getattr(module, function_name)
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        commands = [(name, about) for name, (_, about) in _COMMANDS.items()]
        with formatter.section("Commands"):
            formatter.write_dl(sorted(commands))

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  click's own signature
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # click handles it: the reader of the output is gone
        except click.UsageError as error:
            misused(error)
        except Interrupted as error:
            fail(error, code=_INTERRUPTED)
        except (CscError, OSError) as error:
            fail(as_csc_error(error))


@click.group(
    cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="csc-git")
@click.option(
    "-C",
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A directory of the repository; default: the current one.",
)
@click.pass_context
def main(ctx: click.Context, /, directory: Path | None) -> None:
    """Shared state for coding agents, on one branch of your Git repository.

    Sessions that work on one project (windows, worktrees, laptops, teammates) see who is here, who
    works on what, and what was handed over. The data are on the branch csc/state of the
    repository's own remote. Nothing else in the repository is changed.

    To see how it works: csc-git demo
    """
    if directory is not None:
        ctx.default_map = _defaults(directory)


def _defaults(directory: Path) -> dict[str, Any]:
    """Use the directory as the default of `-C` in each command, also in the commands of `team`."""
    own = {"directory": directory}
    own_and_nested = {**own, "set": own, "unset": own}
    return dict.fromkeys(_COMMANDS, own_and_nested)
