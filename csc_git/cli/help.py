"""`csc-git help`: the same help as `--help`, for people who are used to `git help`."""

import click


@click.command("help")
@click.argument("words", metavar="[COMMAND]", nargs=-1)
@click.pass_context
def help_command(ctx: click.Context, /, words: tuple[str, ...]) -> None:
    """Show what COMMAND does and which options it has. Without COMMAND, list all commands."""
    context = ctx.find_root()
    for word in words:
        group = context.command
        if not isinstance(group, click.Group):
            break
        name, command, _ = group.resolve_command(context, [word])
        assert command is not None  # noqa: S101  resolve_command found it
        context = click.Context(
            command,
            info_name=name,
            parent=context,
        )
    text = context.command.get_help(context)
    click.echo(text)
