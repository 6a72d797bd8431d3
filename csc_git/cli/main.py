"""The command `csc-git`, also reached as `git csc`."""

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from csc_git.cli.output import fail, misused
from csc_git.errors import CscError, Interrupted, as_csc_error

_COMMANDS: Final = {
    "blame": ("csc_git.cli.past", "Who last changed each key of a scope."),
    "claims": ("csc_git.cli.people", "What is claimed, and by whom."),
    "completion": (
        "csc_git.cli.completion",
        "Make your shell complete what you type.",
    ),
    "conflicts": ("csc_git.cli.conflicts", "List the open conflicts."),
    "demo": (
        "csc_git.cli.demo.command",
        "Watch two machines coordinate. It touches nothing of yours.",
    ),
    "diff": ("csc_git.cli.past", "What changed between two moments."),
    "doctor": (
        "csc_git.cli.doctor",
        "Try the whole chain; what is wrong, and how to mend it.",
    ),
    "export": ("csc_git.cli.transfer", "Print values as JSON Lines."),
    "get": ("csc_git.cli.data", "Print a value."),
    "help": ("csc_git.cli.help", "What a command does."),
    "import": (
        "csc_git.cli.transfer",
        "Store values from JSON Lines, as one edit.",
    ),
    "init": ("csc_git.cli.init.command", "Set a repository up, or undo that."),
    "log": ("csc_git.cli.log", "What the sessions did: git log of the branch."),
    "ls": ("csc_git.cli.data", "List scopes, or the keys of one."),
    "resolve": ("csc_git.cli.conflicts", "Resolve a conflict."),
    "rm": ("csc_git.cli.data", "Remove a key, or all of a scope."),
    "rotate": (
        "csc_git.cli.rotate",
        "Begin a new, short history; the old one is kept.",
    ),
    "serve": (
        "csc_git.cli.serve",
        "Run the MCP server on standard input and output.",
    ),
    "sessions": (
        "csc_git.cli.people",
        "Who is signed on, and what they work on.",
    ),
    "set": ("csc_git.cli.data", "Store a value."),
    "sign-off": (
        "csc_git.cli.sign_off",
        "End sessions that can't do so themselves.",
    ),
    "status": (
        "csc_git.cli.status",
        "Who is here, and how things stand with the remote.",
    ),
    "sync": (
        "csc_git.cli.sync",
        "Bring this clone and the remote together now.",
    ),
    "team": (
        "csc_git.cli.team",
        "What the team has agreed on, and what holds here.",
    ),
    "watch": ("csc_git.cli.watch.command", "Watch the sessions at work, live."),
}


_INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells have it: 128 and the signal's number."""


class _Lazy(click.Group):
    """Imports a command when it is called, so that `serve` starts as fast as it can."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], _COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"{error.message}{hint}", ctx) from None

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(_COMMANDS[cmd_name][0])
        command: click.Command = getattr(
            module, f"{cmd_name.replace('-', '_')}_command"
        )
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, about)
                    for name, (_, about) in sorted(_COMMANDS.items())
                ]
            )

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  click's own signature
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # click handles it: the reader of our output has gone
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
    help="A directory of the repository; default: this one.",
)
@click.pass_context
def main(ctx: click.Context, /, directory: Path | None) -> None:
    """Shared state for coding agents, on one branch of your Git repository.

    Sessions that work on one project (windows, worktrees, laptops, teammates) see who is here,
    who works on what, and what was handed on. The data live on the branch csc/state of the
    repository's own remote; nothing else in it is touched.

    Begin with: csc-git demo
    """
    if (
        directory is not None
    ):  # where all commands, and those of team, look for their own -C
        here = {"directory": directory}
        ctx.default_map = {
            name: {**here, "set": here, "unset": here} for name in _COMMANDS
        }
