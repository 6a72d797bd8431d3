"""Leases: a name held until it lapses.

A lease is a record on the branch. Its holder renews it by changing the record. Another clone
decides by *elapsed* time on its own machine whether it has lapsed, since wall clocks of different
machines are never compared:

    a lease has lapsed if it has not changed since this clone first saw its revision, and a fetch
    that began at least the lease's length after that still found this revision.

Each takeover raises the fence, a number that the holder's edits contain. So the edits of a holder
that was away too long are recognised when they arrive.

Leases are advisory. They keep cooperating sessions apart, and do not stop a session from writing.
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
"""A record with larger numbers was not made by csc-git. This is the largest integer that is safe
in JSON."""

State = Literal["active", "signed_off"]


@dataclass(frozen=True)
class Instant:
    """A moment on one machine.

    Attributes:
        boot: Id of the machine's boot.
        seconds: Seconds since that boot.
        wall: Seconds of the wall clock, to compare moments of different boots.
    """

    boot: str
    seconds: float
    wall: float

    def since(self, earlier: "Instant") -> float:
        """Compute the seconds from `earlier` to this moment, never negative.

        Changes of the wall clock do not matter unless the machine was restarted in between.
        """
        elapsed = self.wall - earlier.wall
        if self.boot == earlier.boot:
            elapsed = self.seconds - earlier.seconds
        return max(0.0, elapsed)

    def is_after(self, earlier: "Instant") -> bool:
        """Check whether this moment is certainly later than `earlier`.

        After a reboot no moment is, since wall clocks can be wrong.
        """
        is_same_boot = self.boot == earlier.boot
        return is_same_boot and self.seconds > earlier.seconds

    def to_json(self) -> Json:
        """Make JSON of it, for the clone's own files."""
        return {
            "boot": self.boot,
            "seconds": self.seconds,
            "wall": self.wall,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Instant":
        """Read what `to_json` made; raises KeyError, TypeError or ValueError."""
        return cls(
            boot=str(value["boot"]),
            seconds=float(value["seconds"]),
            wall=float(value["wall"]),
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
        seconds: Length in seconds, from each change of the record.
        state: `active` or `signed_off`.
        since: When the session signed on, by its own clock; for people only.
        renewed: How often it was renewed. A renewal changes the record by raising this number.
        extra: Members that only a later csc-git knows; they are kept unchanged.
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
        """Make the record's value."""
        return joined_members(self)

    @classmethod
    def from_json(cls, value: Json) -> "Lease | None":
        """Read a record; None for any value that is not one."""
        try:
            return cls._from_members(value)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return None

    @classmethod
    def _from_members(cls, value: Json) -> "Lease":
        seconds = bounded(value["seconds"], MOST_SECONDS)
        renewed = value.get("renewed", 0)
        state: State = "signed_off"
        if value["state"] == "active":
            state = "active"
        return cls(
            holder=str(value["holder"]),
            clone=str(value["clone"]),
            fence=bounded(value["fence"], MOST_FENCE),
            seconds=max(1, seconds),
            state=state,
            since=str(value["since"]),
            renewed=bounded(renewed, MOST_FENCE),
            extra=unknown_members(cls, value),
        )


def unknown_members(
    record: type[Any],
    value: Mapping[str, Json],
) -> dict[str, Json]:
    """Return the members of a record's value that its class does not know.

    Args:
        record: The class, a dataclass.
        value: The value.
    """
    known = {member.name for member in fields(record)}
    return {name: item for name, item in value.items() if name not in known}


def joined_members(record: Any) -> Json:  # noqa: ANN401  a dataclass with `extra`
    """Return the members of a record with those that only a later csc-git knows."""
    members = dict(vars(record))
    extra = members.pop("extra")
    return {**extra, **members}


def bounded(
    value: Any,  # noqa: ANN401  any JSON
    most: int,
) -> int:
    """Read a number in a record that anybody may have written.

    Args:
        value: The number.
        most: Its largest amount that csc-git itself writes.

    Raises:
        ValueError: the number is larger.
    """
    number = int(value)
    if abs(number) > most:
        raise ValueError(number)
    return number


def has_lapsed(
    seconds: int,
    revision: str,
    seen: Sighting | None,
    contact: Instant | None,
) -> bool:
    """Check whether another clone's record has lapsed, by the time elapsed on this machine.

    Args:
        seconds: How long the record lasts from each change of it.
        revision: The record's revision now.
        seen: When this clone first saw a revision of the record; None if it never did.
        contact: When the last successful contact with the remote *began*; None without one.
    """
    if seen is None or contact is None:
        return False
    if seen.revision != revision:
        return False
    elapsed = contact.since(seen.first)
    return elapsed >= seconds


def lease_key(session: str) -> Key:
    """Return the key of a session's record."""
    return Key(SESSIONS, session)
