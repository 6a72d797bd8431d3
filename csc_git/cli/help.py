"""`csc-git help`: the same as `--help`, for people who are used to `git help`."""

import click


@click.command("help")
@click.argument("words", metavar="[COMMAND]", nargs=-1)
@click.pass_context
def help_command(ctx: click.Context, /, words: tuple[str, ...]) -> None:
    """What COMMAND does, and its options; without one, which commands there are."""
    shown = ctx.find_root()
    for word in words:
        group = shown.command
        if not isinstance(group, click.Group):
            break
        name, command, _ = group.resolve_command(shown, [word])
        assert command is not None  # noqa: S101  else it raised
        shown = click.Context(command, info_name=name, parent=shown)
    click.echo(shown.command.get_help(shown))
