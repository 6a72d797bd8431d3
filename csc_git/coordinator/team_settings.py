"""Read the team's settings for a new coordinator, and change the settings for a person.

The pydantic model of the team's settings is imported only if the store has such settings. Most
stores have no such settings, and a server starts faster without the import.
"""

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from csc_git.coordinator.edits import Author
from csc_git.coordinator.writer import Delivered, Writer
from csc_git.core.key import TEAM_KEY, Key
from csc_git.core.value import Json, is_same
from csc_git.errors import CscError, InputError, InvalidSetting
from csc_git.store.store import Store
from csc_git.store.transaction import Draft
from csc_git.store.tree.snapshot import Snapshot

if TYPE_CHECKING:
    from csc_git.config.team_names import Unusable

_log: Final = logging.getLogger(__name__)


class Team(NamedTuple):
    """The settings that a team has stored on the branch.

    Attributes:
        settings: The usable settings, by name.
        unusable: The settings on the branch that can't be used.
    """

    settings: dict[str, Any]
    unusable: "list[Unusable]"


def read_team(snapshot: Snapshot) -> Team:
    """Return the settings that the team has stored on the branch."""
    stored = snapshot.get(TEAM_KEY)
    if stored is None:
        return Team(settings={}, unusable=[])
    from csc_git.config.team_names import TeamSettings  # noqa: PLC0415

    settings, unusable = TeamSettings.of(stored.entry.value)
    return Team(settings.given(), unusable)


def agreed(store: Store) -> dict[str, Any]:
    """Return the team's usable settings. Write a warning to the log for each unusable setting."""
    try:
        team = read_team(store.snapshot())
    except (CscError, OSError):
        # If the store is damaged, the first operation that uses the store reports the damage.
        _log.debug("the team's settings can't be read", exc_info=True)
        return {}
    for why in team.unusable:
        _log.warning("%s", why)
    return team.settings


def change(
    writer: Writer,
    author: Author,
    name: str,
    value: str | None,
) -> Delivered[Draft]:
    """Set or remove one of the team's settings, for all clones.

    If two people change different settings at the same time, both changes are kept. If two people
    change the same setting, the later value is kept.

    Args:
        writer: The writer, which makes the edit.
        author: The author of the change.
        name: The name of the setting.
        value: The value as a person typed it. If None, the setting is removed.

    Raises:
        InputError: there is no team setting of this name.
        InvalidSetting: the value is out of bounds, or a later version of csc-git wrote the team's
            settings.
    """
    from csc_git.config.team_names import (  # noqa: PLC0415
        LATER,
        TEAM_NAMES,
        TeamSettings,
        is_later,
    )

    if name not in TEAM_NAMES:
        names = ", ".join(TEAM_NAMES)
        raise InputError(
            f"A team can't set {name[:80]!a}",
            then=f"The settings that a team can set are {names}",
        )
    given: dict[str, Json] = {}
    subject = f"unset {name}"
    if value is not None:
        given[name] = TeamSettings.check(name, value)
        subject = f"agree on {name}"

    def decide(snapshot: Snapshot) -> Draft:
        old = _members(snapshot)
        if is_later(old):
            raise InvalidSetting(LATER.what, then=LATER.then)
        old["version"] = 1
        new = dict(old)
        new.pop(name, None)
        new.update(given)
        puts: dict[Key, Json] = {}
        if not is_same(new, old):
            puts[TEAM_KEY] = new
        return Draft(
            subject=subject,
            session=author.name,
            puts=puts,
        )

    return writer.make(decide)


def _members(snapshot: Snapshot) -> dict[str, Json]:
    """Return a copy of the stored team settings, without checking the values."""
    stored = snapshot.get(TEAM_KEY)
    if stored is None or not isinstance(stored.entry.value, dict):
        return {}
    return dict(stored.entry.value)
