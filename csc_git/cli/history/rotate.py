"""`csc-git rotate`: start a new, short history of the branch."""

from typing import Any

import click

from csc_git.cli.options import command, common, opened
from csc_git.cli.output import progress, show, wants_json
from csc_git.coordinator.coordinator import Coordinator
from csc_git.store.sync.rotation import archive_of
from csc_git.text import count


@command("rotate")
@click.option(
    "--yes",
    is_flag=True,
    help="Don't ask.",
)
@common
def rotate_command(yes: bool, **options: Any) -> None:  # noqa: ANN401
    """Start the branch again with the same data, and keep its history under another name.

    For a branch that has grown too long for new clones to fetch. Running clones go on by
    themselves. The remote's branch is replaced, so its rules must allow a forced push this once.
    """
    with opened(options) as coordinator:
        if not yes and not wants_json():
            _ask(coordinator)
        with progress() as report:
            done = coordinator.syncing.rotate(report)
        name = coordinator.store.branch.name
    root = done.root[:12]
    show(done, f"{name} starts again with {root}. Its history: {done.archive}")


def _ask(coordinator: Coordinator) -> None:
    """Ask whether to go on; a branch that the remote never had needs no question."""
    branch = coordinator.store.branch
    base = branch.base
    if base is None:
        return
    commits = count(coordinator.store.count_commits(base), "commit")
    archive = archive_of(branch.name, base)
    click.echo(
        f"{branch.name} has {commits}. They stay on the remote, as the branch"
    )
    click.echo(f"{archive}, or one named after a later commit.")
    click.confirm(f"Start {branch.name} again with the same data?", abort=True)
