"""Leases: records by which a session keeps its name while it is alive.

A lease is a record on the branch. A session renews its lease by changing the record. Another clone
decides by *elapsed* time on its own machine whether the lease has lapsed. The wall clocks of
different machines are never compared. The rule is:

    A lease has lapsed if its record has kept the same revision for the lease's length. The time is
    counted from the moment at which this clone first saw the revision to the start of the last
    fetch that found the same revision.

Each session that takes over a name raises the fence, a number that the session's edits contain. So
every clone can recognise late edits of a session whose name was taken over.

Leases are advisory. Leases keep cooperating sessions apart, but they do not stop a session from
writing.
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
"""The largest integer that is safe in JSON. A record with a larger number was not made by csc-git.
"""

State = Literal["active", "signed_off"]


@dataclass(frozen=True)
class Instant:
    """A moment on one machine.

    Attributes:
        boot: Id of the machine's current boot. The machine gets a new id at each restart.
        seconds: Seconds since the machine was started.
        wall: The time of the wall clock, in seconds. This time is used only to compare moments of
            different boots.
    """

    boot: str
    seconds: float
    wall: float

    def since(self, earlier: "Instant") -> float:
        """Compute the seconds from `earlier` to this moment. The result is never negative.

        The wall clock is used only if the machine was restarted between the two moments.
        """
        elapsed = self.wall - earlier.wall
        if self.boot == earlier.boot:
            elapsed = self.seconds - earlier.seconds
        return max(0.0, elapsed)

    def is_after(self, earlier: "Instant") -> bool:
        """Check whether this moment is certainly later than `earlier`.

        Wall clocks can be wrong, so the result is False if the machine was restarted between the
        two moments.
        """
        is_same_boot = self.boot == earlier.boot
        return is_same_boot and self.seconds > earlier.seconds

    def to_json(self) -> Json:
        """Return the moment as a JSON value, for the clone's own files."""
        return {
            "boot": self.boot,
            "seconds": self.seconds,
            "wall": self.wall,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Instant":
        """Read a value of `to_json`; raise KeyError, TypeError or ValueError if it is not valid."""
        return cls(
            boot=str(value["boot"]),
            seconds=float(value["seconds"]),
            wall=float(value["wall"]),
        )


@dataclass(frozen=True)
class Sighting:
    """The moment at which this clone first saw the current revision of a lease or claim."""

    revision: str
    first: Instant


@dataclass(frozen=True)
class Lease:
    """The record of a session.

    Attributes:
        holder: Random id of this sign-on of the session.
        clone: Random id of the clone in which the session signed on.
        fence: A number that every sign-on under this name raises.
        seconds: After each change of the record, the lease lasts for this many seconds.
        state: `active` or `signed_off`.
        since: When the session signed on, by the clock of the session's machine. The time is shown
            to people, and no rule uses it.
        renewed: How many times the lease was renewed. A renewal changes the record by raising this
            number.
        extra: Members that this version of csc-git does not know. They are kept unchanged.
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
        """Return the record as a JSON value."""
        return joined_members(self)

    @classmethod
    def from_json(cls, value: Json) -> "Lease | None":
        """Read a record from a JSON value; return None if the value is not a session's record."""
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
    """Return the members of a record's JSON value that are not fields of the record's class.

    Args:
        record: The record's class, a dataclass.
        value: The record's JSON value.
    """
    known = {member.name for member in fields(record)}
    return {name: item for name, item in value.items() if name not in known}


def joined_members(record: Any) -> Json:  # noqa: ANN401  a dataclass with `extra`
    """Return a record as one object: its fields, and the members that are unknown to csc-git."""
    members = dict(vars(record))
    extra = members.pop("extra")
    return {**extra, **members}


def bounded(
    value: Any,  # noqa: ANN401  any JSON
    most: int,
) -> int:
    """Read a number from a record and check its size, since anybody may have written the record.

    Args:
        value: The number.
        most: The largest number that csc-git itself writes into the record.

    Raises:
        ValueError: the absolute value of the number is larger than `most`.
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
    """Check by the time elapsed on this machine whether another clone's record has lapsed.

    Args:
        seconds: After each change, the record lasts for this many seconds.
        revision: The record's revision now.
        seen: The last revision of the record that this clone saw, and when this clone first saw
            that revision. None if this clone has not seen the record before.
        contact: When the last successful contact with the remote *began*; None if there was no
            successful contact.
    """
    if seen is None or contact is None:
        return False
    if seen.revision != revision:
        return False
    elapsed = contact.since(seen.first)
    return elapsed >= seconds


def lease_key(session: str) -> Key:
    """Return the key under which a session's record is stored."""
    return Key(SESSIONS, session)
