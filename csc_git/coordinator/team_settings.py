"""The team's settings: read when a coordinator is opened, changed by people.

Their model is imported only where there are any: most stores have none, and a server starts
without it.
"""

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from csc_git.coordinator.edits import Author
from csc_git.coordinator.writer import Delivered, Writer
from csc_git.core.key import TEAM_KEY
from csc_git.core.value import is_same
from csc_git.errors import CscError, InputError, InvalidSetting
from csc_git.store.snapshot import Snapshot
from csc_git.store.store import Store
from csc_git.store.transaction import Draft

if TYPE_CHECKING:
    from csc_git.config.team_names import Unusable

_log: Final = logging.getLogger(__name__)


class Team(NamedTuple):
    """What a team has agreed on.

    Attributes:
        settings: That can be used.
        unusable: Others that stand there.
    """

    settings: dict[str, Any]
    unusable: "list[Unusable]"


def read_team(snapshot: Snapshot) -> Team:
    """What the team has agreed on."""
    stored = snapshot.get(TEAM_KEY)
    if stored is None:
        return Team({}, [])
    from csc_git.config.team_names import TeamSettings  # noqa: PLC0415

    settings, unusable = TeamSettings.of(stored.entry.value)
    return Team(settings.given(), unusable)


def agreed(store: Store) -> dict[str, Any]:
    """The settings that can be used. Those that can't are reported in the log."""
    try:
        team = read_team(store.snapshot())
    except (CscError, OSError):  # a damaged store is reported at its first use
        _log.debug("the team's settings can't be read", exc_info=True)
        return {}
    for why in team.unusable:
        _log.warning("%s", why)
    return team.settings


def change(
    writer: Writer, author: Author, name: str, value: str | None
) -> Delivered[Draft]:
    """Agree on a setting, or (None) on none, for all clones.

    What others set at the same time stands beside it; of two values for one setting the later one.

    Raises:
        InputError: there is no such setting.
        InvalidSetting: the value is out of bounds, or a later csc-git wrote the settings.
    """
    from csc_git.config.team_names import (  # noqa: PLC0415
        LATER,
        TEAM_NAMES,
        TeamSettings,
        is_later,
    )

    if name not in TEAM_NAMES:
        raise InputError(
            f"A team can't set {name[:80]!a}",
            then=f"There are: {', '.join(TEAM_NAMES)}",
        )
    given = {} if value is None else {name: TeamSettings.check(name, value)}

    def decide(snapshot: Snapshot) -> Draft:
        stored = snapshot.get(TEAM_KEY)
        old = (
            stored.entry.value
            if stored and isinstance(stored.entry.value, dict)
            else {}
        )
        if is_later(old):
            raise InvalidSetting(LATER.what, then=LATER.then)
        kept = {k: v for k, v in old.items() if k != name}
        new = {**kept, "version": 1, **given}
        return Draft(
            subject=f"agree on {name}" if given else f"agree on no {name}",
            session=author.name,
            puts={} if is_same(new, {**old, "version": 1}) else {TEAM_KEY: new},
        )

    return writer.make(decide)
