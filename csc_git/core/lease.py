"""Leases: a name held until it lapses.

A lease is a record on the branch. Its holder renews it by changing the record. Another clone
decides by *elapsed* time on its own machine whether it has lapsed, since wall clocks of different
machines are never compared:

    a lease has lapsed when a fetch that began at least its length after this clone first saw this
    revision of it still shows it unchanged.

Each takeover raises the fence, a number that the holder's edits carry, so that a holder who was
away too long is recognised when its edits arrive.

Leases are advisory: they tell well-meaning sessions apart and stop nobody who writes anyway.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

from csc_git.core.key import Key, Scope
from csc_git.core.value import Json

SESSIONS: Final[Scope] = ("sessions",)
DEFAULT_SECONDS: Final = 90 * 60
MOST_SECONDS: Final = 366 * 24 * 3600
MOST_FENCE: Final = 1 << 53
"""A record with larger numbers is not one of ours; the latter is JSON's largest safe integer."""

State = Literal["active", "signed_off"]


@dataclass(frozen=True)
class Instant:
    """A moment on one machine: seconds since boot, and wall time for moments before a reboot."""

    boot: str
    seconds: float
    wall: float

    def since(self, earlier: "Instant") -> float:
        """Seconds from `earlier` to here, never negative.

        Wall clock changes don't move it unless the machine was restarted in between.
        """
        if self.boot == earlier.boot:
            return max(0.0, self.seconds - earlier.seconds)
        return max(0.0, self.wall - earlier.wall)

    def is_after(self, earlier: "Instant") -> bool:
        """Whether this is certainly later: across a reboot nothing is, since wall clocks err."""
        return self.boot == earlier.boot and self.seconds > earlier.seconds

    def to_json(self) -> Json:
        """For the clone's own files."""
        return {"boot": self.boot, "seconds": self.seconds, "wall": self.wall}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Instant":
        """The inverse of `to_json`; raises KeyError, TypeError or ValueError."""
        return cls(
            str(value["boot"]), float(value["seconds"]), float(value["wall"])
        )


@dataclass(frozen=True)
class Sighting:
    """When this clone first saw a revision of a lease record."""

    revision: str
    first: Instant


@dataclass(frozen=True)
class Lease:
    """A session's record.

    Attributes:
        holder: Random id of this one sign-on.
        clone: Random id of the clone that it was made in.
        fence: Raised by every sign-on under this name.
        seconds: Length, from each change of the record.
        state: `active` or `signed_off`.
        since: When the session signed on (its clock's word; for people).
        renewed: How often it was renewed; changing it is what renews.
        extra: Members that only a later csc-git knows; kept as they are.
    """

    holder: str
    clone: str
    fence: int
    seconds: int
    state: State
    since: str
    renewed: int = 0
    extra: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> Json:
        """The record's value."""
        return joined_members(self)

    @classmethod
    def from_json(cls, value: Json) -> "Lease | None":
        """Read a record; None where it isn't one, whatever it is."""
        try:
            return cls(
                holder=str(value["holder"]),
                clone=str(value["clone"]),
                fence=bounded(value["fence"], MOST_FENCE),
                seconds=max(1, bounded(value["seconds"], MOST_SECONDS)),
                state="active" if value["state"] == "active" else "signed_off",
                since=str(value["since"]),
                renewed=bounded(value.get("renewed", 0), MOST_FENCE),
                extra=unknown_members(cls, value),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return None


def unknown_members(
    record: type[Any], value: Mapping[str, Json]
) -> dict[str, Json]:
    """The members of a record's value that its class does not know."""
    known = {member.name for member in fields(record)}
    return {name: item for name, item in value.items() if name not in known}


def joined_members(record: Any) -> Json:  # noqa: ANN401  a dataclass with `extra`
    """The members of a record, and those that only a later csc-git knows."""
    members = dict(vars(record))
    extra = members.pop("extra")
    return {**extra, **members}


def bounded(value: Any, most: int) -> int:  # noqa: ANN401  any JSON
    """A number that somebody wrote; raises ValueError if it is larger than csc-git writes."""
    number = int(value)
    if abs(number) > most:
        raise ValueError(number)
    return number


def has_lapsed(
    seconds: int, revision: str, seen: Sighting | None, contact: Instant | None
) -> bool:
    """Whether a record is over, seen from another clone, by elapsed time here.

    Args:
        seconds: How long it lasts from each change of it.
        revision: Its revision now.
        seen: When this clone first saw a revision of it.
        contact: When the last successful contact with the remote *began*.
    """
    if seen is None or contact is None or seen.revision != revision:
        return False
    return contact.since(seen.first) >= seconds


def lease_key(session: str) -> Key:
    """Where a session's record lives."""
    return Key(SESSIONS, session)
