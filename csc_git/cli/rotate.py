"""`csc-git rotate`: go on with a new, short history."""

from typing import Any

import click

from csc_git.cli.options import command, common, opened
from csc_git.cli.output import progress, show, wants_json
from csc_git.git.log import count_commits
from csc_git.store.rotation import archive_of
from csc_git.text import count


@command("rotate")
@click.option("--yes", is_flag=True, help="Don't ask.")
@common
def rotate_command(yes: bool, **options: Any) -> None:  # noqa: ANN401
    """Start the branch again with the same data, and keep its history under another name.

    For a branch that has grown too long for new clones to fetch. Running clones go on by
    themselves. The remote's branch is replaced, so its rules must allow a forced push this once.
    """
    with opened(options) as coordinator:
        branch, base = coordinator.store.branch, coordinator.store.branch.base
        if not yes and not wants_json() and base is not None:
            edits = count(
                count_commits(coordinator.store.repository.path, base), "commit"
            )
            click.echo(
                f"{branch.name} has {edits}. They stay on the remote, as the branch"
            )
            click.echo(
                f"{archive_of(branch.name, base)}, or one named after a later commit."
            )
            click.confirm(
                f"Start {branch.name} again with the same data?", abort=True
            )
        with progress() as coordinator.progress:
            done = coordinator.rotate()
    show(
        done,
        f"{branch.name} starts again with {done.root[:12]}. Its history: {done.archive}",
    )
