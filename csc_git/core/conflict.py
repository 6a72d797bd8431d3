"""Conflicts: each record keeps a version of a key that lost in a replay.

A version that lost is kept in full until somebody resolves the conflict.

A conflict record is an ordinary entry of the scope `conflicts`. The name of this entry is
`<op>.<n>`. `<op>` is the op of the first queued edit that changed the key in conflict. `<n>` is the
key's position among the keys of that edit. So several queued edits of one key make only one record,
even if the edits are replayed several times.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from csc_git.core.clock import format_time, parse_time
from csc_git.core.edit import ABSENT, Outcome
from csc_git.core.key import Key, Scope, format_scope, parse_key
from csc_git.core.merge import Version
from csc_git.core.value import Entry, Json
from csc_git.errors import InvalidName

CONFLICTS: Final[Scope] = ("conflicts",)


@dataclass(frozen=True)
class Conflict:
    """A version of a key that was set aside, and the version that was current at that time.

    Attributes:
        key: The key of both versions.
        why: `lost` if the other version won by its later time. `refused` if a condition of the edit
            did not hold, or if the edit changed several keys and somebody else had changed one of
            them.
        lost: The version that was set aside, in full.
        current: Revision of the version that was current when the conflict was decided. `ABSENT` if
            the key had no value then.
        current_session: Author of the current version.
        current_time: Time of the current version.
    """

    key: Key
    why: Outcome
    lost: Version
    current: str
    current_session: str
    current_time: datetime

    def to_json(self) -> Json:
        """Return the record as a JSON value."""
        entry = self.lost.entry
        lost: dict[str, Json] = {
            "deleted": entry is None,
            "session": self.lost.session,
            "time": format_time(self.lost.time),
        }
        if entry is not None:
            lost["value"] = entry.value
            if entry.extra:
                lost["extra"] = dict(entry.extra)
        return {
            "scope": format_scope(self.key.scope),
            "key": self.key.name,
            "why": str(self.why),
            "lost": lost,
            "stands": {
                "revision": self.current,
                "session": self.current_session,
                "time": format_time(self.current_time),
            },
        }

    @classmethod
    def from_json(cls, value: Json) -> "Conflict | None":
        """Read a record from a JSON value; return None if the value is not a conflict's record."""
        try:
            return cls._from_members(value)
        except (KeyError, TypeError, ValueError, AttributeError, InvalidName):
            return None

    @classmethod
    def _from_members(cls, value: Json) -> "Conflict":
        scope = str(value["scope"])
        name = str(value["key"])
        current = value["stands"]
        return cls(
            key=parse_key(scope, name),
            why=Outcome(value["why"]),
            lost=_version(value["lost"]),
            current=str(current["revision"]),
            current_session=str(current["session"]),
            current_time=parse_time(str(current["time"])),
        )

    def summary(self) -> str:
        """Describe the conflict in one line, for people.

        The line contains names that other people chose. So the line must be escaped before it is
        shown.
        """
        what = "value"
        if self.lost.entry is None:
            what = "deletion"
        author = self.lost.session
        time = format_time(self.lost.time)
        to_the_second = time[:19]
        return (
            f"{self.key}: {author}'s {what} of {to_the_second} was {self.why}"
        )


def as_current(
    revision: str | None,
    theirs: Version,
) -> tuple[str, str, datetime]:
    """Return the three fields of a `Conflict` that describe the current version.

    Args:
        revision: The current version's revision; None if the key is absent.
        theirs: The current version.
    """
    return (
        revision or ABSENT,
        theirs.session,
        theirs.time,
    )


def _version(lost: Json) -> Version:
    """Return the version that was set aside, from the `lost` member of a conflict record."""
    session = str(lost["session"])
    time = parse_time(str(lost["time"]))
    if lost.get("deleted"):
        return Version(None, session, time)
    kept = lost.get("extra")
    extra: dict[str, Json] = {}
    if isinstance(kept, dict):
        extra = dict(kept)
    entry = Entry(
        value=lost["value"],
        session=session,
        time=time,
        extra=extra,
    )
    return Version.of(entry)
