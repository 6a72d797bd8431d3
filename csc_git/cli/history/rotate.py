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
    help="Don't ask for confirmation.",
)
@common
def rotate_command(yes: bool, **options: Any) -> None:  # noqa: ANN401
    """Start a new history of the branch with the same data, and keep the old history.

    The old history gets another name. Use this command when new clones take too long to fetch the
    branch. Running clones change to the new history by themselves. The branch on the remote is
    replaced, so the remote must allow one forced push.
    """
    with opened(options) as coordinator:
        if not yes and not wants_json():
            _ask(coordinator)
        with progress() as report:
            done = coordinator.syncing.rotate(report)
        name = coordinator.store.branch.name
    root = done.root[:12]
    show(done, f"{name} starts again with {root}. Old history: {done.archive}")


def _ask(coordinator: Coordinator) -> None:
    """Ask the user whether to continue. If the remote never had the branch, ask nothing."""
    branch = coordinator.store.branch
    base = branch.base
    if base is None:
        return
    commits = count(coordinator.store.count_commits(base), "commit")
    archive = archive_of(branch.name, base)
    click.echo(
        f"{branch.name} has {commits}. They stay on the remote, in the branch"
    )
    click.echo(f"{archive}, or in a branch named after a later commit.")
    click.confirm(f"Start {branch.name} again with the same data?", abort=True)
