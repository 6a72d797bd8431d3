"""Conflicts: what a replay set aside, kept in full until someone resolves it.

A record is an ordinary entry of the scope `conflicts`. Its key is `<op>.<n>`: the op of the first
edit in the chain of queued edits that touched the key, and the key's place in that edit. So a
chain leaves one record for a key, however often it is replayed.
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
    """One version of a key that does not stand there, and the version that does.

    Attributes:
        key: The place both were meant for.
        why: `lost` (the later time won) or `refused` (a condition did not hold, or an edit of
            several keys met another's change).
        lost: The version set aside, in full.
        stands: Revision of the version that stood when this was decided, or `ABSENT`.
        stands_session: Its author.
        stands_time: Its time.
    """

    key: Key
    why: Outcome
    lost: Version
    stands: str
    stands_session: str
    stands_time: datetime

    def to_json(self) -> Json:
        """The record's value."""
        lost: dict[str, Json] = {
            "deleted": self.lost.entry is None,
            "session": self.lost.session,
            "time": format_time(self.lost.time),
        }
        if self.lost.entry is not None:
            lost["value"] = self.lost.entry.value
            if self.lost.entry.extra:
                lost["extra"] = dict(self.lost.entry.extra)
        return {
            "scope": format_scope(self.key.scope),
            "key": self.key.name,
            "why": str(self.why),
            "lost": lost,
            "stands": {
                "revision": self.stands,
                "session": self.stands_session,
                "time": format_time(self.stands_time),
            },
        }

    @classmethod
    def from_json(cls, value: Json) -> "Conflict | None":
        """Read a record; None where it isn't one, whatever it is."""
        try:
            lost, stands = value["lost"], value["stands"]
            session, time = str(lost["session"]), parse_time(str(lost["time"]))
            entry = None
            if not lost.get("deleted"):
                extra = lost.get("extra")
                kept = dict(extra) if isinstance(extra, dict) else {}
                entry = Entry(lost["value"], session, time, extra=kept)
            return cls(
                key=parse_key(str(value["scope"]), str(value["key"])),
                why=Outcome(value["why"]),
                lost=Version(entry, session, time),
                stands=str(stands["revision"]),
                stands_session=str(stands["session"]),
                stands_time=parse_time(str(stands["time"])),
            )
        except (KeyError, TypeError, ValueError, AttributeError, InvalidName):
            return None

    def summary(self) -> str:
        """One line for people; it holds names that others chose."""
        what = "deletion" if self.lost.entry is None else "value"
        when = format_time(self.lost.time)[:19]
        return (
            f"{self.key}: {self.lost.session}'s {what} of {when} was {self.why}"
        )


def stands(revision: str | None, theirs: Version) -> tuple[str, str, datetime]:
    """The last three fields of a `Conflict` for the version that stands."""
    return revision or ABSENT, theirs.session, theirs.time
