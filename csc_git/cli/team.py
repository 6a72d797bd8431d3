"""`csc-git team`: show or change the settings that the team agreed on."""

from collections.abc import Mapping
from typing import Any, Final

import click

from csc_git.cli.options import Options, common, flags, opened, user
from csc_git.cli.output import hanging, progress, show, sync_line
from csc_git.config.settings import load
from csc_git.config.sources import Given, given
from csc_git.config.team_names import TEAM_NAMES
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.results.activity import EffectiveSetting, TeamAgreed
from csc_git.coordinator.team_settings import change, read_team
from csc_git.core.edit import Outcome
from csc_git.errors import ConditionFailed

_NAME: Final = 10
"""The width of a setting's name, in columns."""

_VALUE: Final = 24
"""The width of a setting's value, in columns."""


@click.group("team", invoke_without_command=True)
@click.pass_context
@common
def team_command(ctx: click.Context, /, **options: Any) -> None:  # noqa: ANN401
    """Show the settings that the team agreed on, and the settings in effect here.

    The team's settings are stored on the branch, with author and history, and apply to all clones.
    A setting that is given here (by flag, CSC_… or git config csc.…) takes precedence. A running
    server uses a new setting after its next start.
    """
    if ctx.invoked_subcommand is not None:
        return
    with opened(options) as coordinator:
        _show(coordinator, options)


@team_command.command("set")
@click.argument("name", type=click.Choice(TEAM_NAMES))
@click.argument("value")
@common
def set_command(name: str, value: str, **options: Any) -> None:  # noqa: ANN401
    """Set NAME to VALUE for the whole team, for instance: lease 3600, limit 256KiB, guard block."""
    _change(name, value, options)


@team_command.command("unset")
@click.argument("name", type=click.Choice(TEAM_NAMES))
@common
def unset_command(name: str, **options: Any) -> None:  # noqa: ANN401
    """Remove the team's value of the setting NAME."""
    _change(name, None, options)


def _change(name: str, value: str | None, options: Options) -> None:
    with opened(options) as coordinator:
        author = coordinator.authors.person(user())
        done = change(
            coordinator.writer,
            author,
            name,
            value,
        )
        with progress() as report:
            coordinator.syncing.sync(progress=report)
        _check_fate(coordinator, name, done.receipt.op)
        sync = sync_line(coordinator.summary.sync_state())
        _show(coordinator, options, hanging("", sync))


def _check_fate(coordinator: Coordinator, name: str, op: str | None) -> None:
    """Raise an error if somebody set another value at the same time.

    No error is raised if our value is the current value.
    """
    if op is None:
        return
    fate = coordinator.store.fate(op)
    if fate.outcome is not Outcome.LOST:
        return
    team, _ = read_team(coordinator.store.snapshot())
    current = team.get(name, "not set")
    raise ConditionFailed(
        f"Somebody else changed {name} at the same time: it is {current} now",
        safe="Your value is kept in full as an open conflict: csc-git conflicts",
        then="Agree on a value with the other person, then set the value again",
    )


def _show(
    coordinator: Coordinator,
    options: Options,
    sync: str | None = None,
) -> None:
    """Print all settings. If `sync`, a text about the sync, is given, print this text too."""
    team, unusable = read_team(coordinator.store.snapshot())
    settings = load(coordinator.project, flags(options), team)
    here = given(
        coordinator.project, type(settings).model_fields, flags(options)
    )
    rows = []
    for name, value in settings.model_dump().items():
        row = EffectiveSetting(
            name=name,
            value=value,
            source=_source(name, here, team),
            agreed=team.get(name),
        )
        rows.append(row)
    lines = [_line(row) for row in rows]
    if sync is not None:
        lines.append(sync)
    result = TeamAgreed(
        settings=rows,
        unusable=list(map(str, unusable)),
    )
    show(result, *lines)


def _source(
    name: str,
    here: Mapping[str, Given],
    team: Mapping[str, object],
) -> str:
    """Name the source of a setting's value."""
    if name in here:
        return here[name].source
    if name in team:
        return "team"
    return "default"


def _line(setting: EffectiveSetting) -> str:
    """Format a setting. Add the team's value if another value is in effect here."""
    name = setting.name.ljust(_NAME)
    value = _value_text(setting.value).ljust(_VALUE)
    line = f"{name}{value}{setting.source}"
    if setting.agreed is None or setting.source == "team":
        return line
    agreed = _value_text(setting.agreed)
    return f"{line} (the team: {agreed})"


def _value_text(value: Any) -> str:  # noqa: ANN401  a setting's
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
