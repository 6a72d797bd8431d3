"""The team's settings: read when a coordinator is opened, changed by people.

Their model is imported by who has any: most stores have none, and a server starts without it.
"""

import logging
from typing import Any, Final

from csc_git.coordinator.author import Author
from csc_git.coordinator.delivery import Delivered, Delivery
from csc_git.core.key import TEAM_KEY
from csc_git.core.value import is_same
from csc_git.errors import CscError, InputError, InvalidSetting
from csc_git.store.snapshot import Snapshot
from csc_git.store.store import Store
from csc_git.store.transaction import Draft

_log: Final = logging.getLogger(__name__)


def read_team(snapshot: Snapshot) -> dict[str, Any]:
    """What the team has agreed on.

    Raises:
        InvalidSetting: what stands there is no such settings.
    """
    stored = snapshot.get(TEAM_KEY)
    if stored is None:
        return {}
    from csc_git.config.team import TeamSettings  # noqa: PLC0415

    return TeamSettings.of(stored.entry.value).given()


def agreed(store: Store) -> dict[str, Any]:
    """As `read_team`; nothing, with a warning in the log, if it can't be read or used."""
    try:
        return read_team(store.snapshot())
    except InvalidSetting as error:
        _log.warning("%s", error)
    except (CscError, OSError):  # a damaged store tells so at its first use
        _log.debug("the team's settings can't be read", exc_info=True)
    return {}


def change(delivery: Delivery, author: Author, name: str, value: str | None) -> Delivered:
    """Agree on a setting, or (None) on none, for all clones.

    Raises:
        InputError: there is no such setting.
        InvalidSetting: the value is out of bounds.
        ConditionFailed: somebody else changed them at the same time.
    """
    from csc_git.config.team import TEAM_NAMES, TeamSettings  # noqa: PLC0415

    if name not in TEAM_NAMES:
        raise InputError(
            f"A team can't set {name[:80]!a}", then=f"There are: {', '.join(TEAM_NAMES)}"
        )

    def decide(snapshot: Snapshot) -> Draft:
        stored = snapshot.get(TEAM_KEY)
        old = stored.entry.value if stored and isinstance(stored.entry.value, dict) else {}
        new = {k: v for k, v in old.items() if k not in {name, "version"}}
        if isinstance(later := old.get("version"), int) and later > 1:
            TeamSettings.of(old)  # raises: a later csc-git wrote it
        if value is not None:
            new[name] = _checked(name, value)
        unchanged = is_same({"version": 1, **new}, {"version": 1, **old})
        return Draft(
            subject=f"agree on {name}" if value is not None else f"agree on no {name}",
            session=author.name,
            puts={} if unchanged else {TEAM_KEY: {"version": 1, **new}},
            requires={} if unchanged else {TEAM_KEY: stored.revision if stored else None},
        )

    return delivery.make(decide)


def _checked(name: str, value: str) -> Any:  # noqa: ANN401  a setting's
    from csc_git.config.team import TeamSettings  # noqa: PLC0415

    try:
        return TeamSettings.of({name: value}).given()[name]
    except InvalidSetting as error:
        raise InvalidSetting(
            error.what, safe="Nothing was agreed on", then="Give another"
        ) from None
