"""`csc-git team`: what the team has agreed on, and which settings hold here."""

from typing import Any

import click

from csc_git.cli.options import common, flags, opened, user
from csc_git.cli.output import hanging, progress, show, sync_line
from csc_git.config.settings import load
from csc_git.config.sources import given
from csc_git.config.team_names import TEAM_NAMES
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.results import EffectiveSetting, TeamAgreed
from csc_git.coordinator.team_settings import change, read_team
from csc_git.core.edit import Outcome
from csc_git.errors import ConditionFailed


@click.group("team", invoke_without_command=True)
@click.pass_context
@common
def team_command(ctx: click.Context, /, **options: Any) -> None:  # noqa: ANN401
    """What the team has agreed on, for all its clones; and which settings hold here.

    The settings stand on the branch, with their author and history. What is set here (by flag,
    CSC_… or git config csc.…) wins. A running server goes by them from its next start on.
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
    """Agree on VALUE for the setting NAME, such as: lease 3600, limit 256KiB, guard block."""
    _change(name, value, options)


@team_command.command("unset")
@click.argument("name", type=click.Choice(TEAM_NAMES))
@common
def unset_command(name: str, **options: Any) -> None:  # noqa: ANN401
    """Agree on nothing for the setting NAME."""
    _change(name, None, options)


def _change(name: str, value: str | None, options: dict[str, Any]) -> None:
    with opened(options) as coordinator:
        with progress() as coordinator.progress:
            author = coordinator.person(user())
            made = change(coordinator.writer, author, name, value).receipt.op
            coordinator.sync()
        _check_fate(coordinator, name, made)
        _show(
            coordinator,
            options,
            hanging("", sync_line(coordinator.summary.sync())),
        )


def _check_fate(coordinator: Coordinator, name: str, op: str | None) -> None:
    """Was it agreed on, or did somebody agree on something else at the same time?"""
    if op is not None and coordinator.store.fate(op).outcome is Outcome.LOST:
        now = read_team(coordinator.store.snapshot()).settings.get(
            name, "not set"
        )
        raise ConditionFailed(
            f"Somebody else changed {name} at the same time: it is {now} now",
            safe="Yours is kept in full as an open conflict: csc-git conflicts",
            then="Talk with them, then set it again",
        )


def _show(
    coordinator: Coordinator, options: dict[str, Any], said: str = ""
) -> None:
    team, unusable = read_team(coordinator.store.snapshot())
    settings = load(coordinator.project, flags(options), team)
    here = given(
        coordinator.project, type(settings).model_fields, flags(options)
    )
    rows = []
    for name, value in settings.model_dump().items():
        source = (
            here[name].source
            if name in here
            else "team"
            if name in team
            else "default"
        )
        rows.append(
            EffectiveSetting(
                name=name, value=value, source=source, agreed=team.get(name)
            )
        )
    lines = [_line(one) for one in rows]
    found = TeamAgreed(settings=rows, unusable=[*map(str, unusable)])
    show(found, "\n".join([*lines, *([said] if said else [])]))


def _line(one: EffectiveSetting) -> str:
    """A setting; and what the team has agreed on, where something else holds here."""
    passed_over = one.agreed is not None and one.source != "team"
    team = f" (the team: {_shown(one.agreed)})" if passed_over else ""
    return f"{one.name:<10}{_shown(one.value):<24}{one.source}{team}"


def _shown(value: Any) -> str:  # noqa: ANN401  a setting's
    return (
        "-"
        if value is None
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
