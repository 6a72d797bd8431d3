"""Claims: leases on resources, so that two sessions don't do the same work twice.

A resource is one of these:

- a *name*: `issue:15`, or any other text with a colon;
- a *path* in the repository: `src/api`, which includes everything below that directory;
- a *pattern* of paths: `src/**/*.py`. A pattern without a slash, such as `*.py`, matches files at
  any depth.

A `[` makes a resource ambiguous. For example, `app/[id]` is a pattern, but several web frameworks
use directories with such names, so it can also be a path. A resource with a `[` has two readings:
in one, `[` begins a set of characters; in the other, `[` is an ordinary character.

The docstring of `overlaps` lists the cases in which two resources overlap.

Claims are advisory, like leases. Claims keep cooperating sessions apart, but they do not stop a
session from writing. A write to the store can depend on a claim. Such a write has a condition on
the revision of the claim's record.
"""

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Final, Literal, NamedTuple

from csc_git.core.key import SEPARATOR, Key, Scope, check_name
from csc_git.core.lease import (
    MOST_FENCE,
    MOST_SECONDS,
    bounded,
    joined_members,
    unknown_members,
)
from csc_git.core.session import is_session_name
from csc_git.core.value import Json
from csc_git.errors import InvalidName

CLAIMS: Final[Scope] = ("claims",)
MAX_LENGTH: Final = 200
MAX_STARS: Final = 4
"""A pattern may contain at most this many runs of `*`. A pattern with more runs is a mistake, or
an attempt to make csc-git slow."""

_GLOB: Final = re.compile(r"[*?\[]")
_STARS: Final = re.compile(r"[*?]")
_NO_NAMES: Final = frozenset({"", "."})
_RUN_OF_STARS: Final = re.compile(r"\*+")
_FORM: Final = "Name a resource like issue:15, src/api, src/**/*.py or *.md"
State = Literal["held", "released"]
Tracked = Callable[[], Iterable[str]]
"""A function that returns the paths of the files that the user's repository tracks."""

Matcher = Callable[[str], bool]
"""A function that checks whether a pattern matches a path, or a directory above the path."""

_Parts = Sequence[re.Pattern[str] | None]
"""A pattern that was split at its slashes. Each name is replaced by an expression that matches the
name, and `**` is replaced by None."""


@dataclass(frozen=True)
class Claim:
    """The record of a claim on a resource.

    Attributes:
        resource: The resource that is claimed, in the form that `parse_resource` returns.
        session: Name of the session that claimed the resource.
        holder: The `holder` in the session's lease, which identifies one sign-on. The claim ends
            when this sign-on ends.
        clone: Random id of the clone in which the claim was made.
        fence: A number that is higher than the fence of every earlier claim.
        seconds: After each change of the record, the claim lasts for this many seconds. None if the
            claim lasts until the session ends.
        state: `held` or `released`.
        since: When the resource was claimed, by the clock of the session's machine. The time is
            shown to people, and no rule uses it.
        note: What the session does with the resource.
        renewed: How many times the session has claimed the resource again.
        extra: Members that this version of csc-git does not know. They are kept unchanged.
    """

    resource: str
    session: str
    holder: str
    clone: str
    fence: int
    seconds: int | None
    state: State
    since: str
    note: str = ""
    renewed: int = 0
    extra: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> Json:
        """Return the record as a JSON value."""
        return joined_members(self)

    @classmethod
    def from_json(cls, value: Json) -> "Claim | None":
        """Read a record from a JSON value; return None if the value is not a claim's record."""
        try:
            return cls._from_members(value)
        except (
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            OverflowError,
            InvalidName,
        ):
            return None

    @classmethod
    def _from_members(cls, value: Json) -> "Claim":
        seconds = value["seconds"]
        if seconds is not None:
            seconds = bounded(seconds, MOST_SECONDS)
            seconds = max(1, seconds)
        state: State = "released"
        if value["state"] == "held":
            state = "held"
        resource = str(value["resource"])
        note = value.get("note", "")
        renewed = value.get("renewed", 0)
        return cls(
            resource=parse_resource(resource),
            session=_session(value["session"]),
            holder=str(value["holder"]),
            clone=str(value["clone"]),
            fence=bounded(value["fence"], MOST_FENCE),
            seconds=seconds,
            state=state,
            since=str(value["since"]),
            note=str(note),
            renewed=bounded(renewed, MOST_FENCE),
            extra=unknown_members(cls, value),
        )


def _session(name: Json) -> str:
    """Return a session's name from a record. Raise ValueError if the name is not valid."""
    if not isinstance(name, str):
        raise ValueError(name)  # noqa: TRY004  the same error for every bad record
    if not is_session_name(name):
        raise ValueError(name)
    return name


def claim_key(resource: str) -> Key:
    """Return the key of a resource's record."""
    return Key(CLAIMS, resource)


def parse_resource(text: str) -> str:
    """Return a resource in its normal form, in which resources are compared.

    `./src/`, `src/` and `src/**` all become `src`.

    Raises:
        InvalidName: `text` is empty, is too long, or contains characters that no name may contain.
            Or `text` is a path outside the repository, a name that looks like a pattern, or a
            pattern with too many stars.
    """
    length = len(text)
    if not 1 <= length <= MAX_LENGTH:
        raise InvalidName(
            f"The resource has {length} characters; "
            f"it must have 1 to {MAX_LENGTH}"
        )
    check_name(text, "resource")
    if SEPARATOR in text:
        _check_plain(text)
        return text
    names = text.split("/")
    parts = [name for name in names if name not in _NO_NAMES]
    while len(parts) > 1 and parts[-1] == "**":
        parts.pop()
    is_outside = ".." in parts or text.startswith("/")
    if is_outside or not parts:
        raise InvalidName(
            f"{text!a} is not a path inside the repository",
            then=_FORM,
        )
    runs = _RUN_OF_STARS.findall(text)
    if len(runs) > MAX_STARS:
        raise InvalidName(
            f"The pattern {text!a} has more than {MAX_STARS} stars",
            then=_FORM,
        )
    return "/".join(parts)


def _check_plain(name: str) -> None:
    """Refuse a name that looks like a pattern."""
    if _GLOB.search(name):
        raise InvalidName(
            f"The name {name!a} looks like a pattern, "
            "but only a path can be a pattern",
            then=_FORM,
        )


def is_pattern(resource: str) -> bool:
    """Check whether a resource is a pattern."""
    if SEPARATOR in resource:
        return False
    return _GLOB.search(resource) is not None


def candidates(
    wanted: Collection[str],
    resources: Iterable[str],
) -> list[str]:
    """Find the resources that may overlap one of the wanted resources. No pattern is matched.

    Two resources can overlap only if one of the directories that `_ground` returns for them
    contains the other or is equal to it.

    Args:
        wanted: A few resources.
        resources: The resources to search, which may be thousands.
    """
    grounds = tuple(map(_ground, wanted))
    beginnings = set[str]()
    for ground in grounds:
        length = len(ground)
        for end in range(length + 1):
            beginnings.add(ground[:end])
    found: list[str] = []
    for resource in resources:
        ground = _ground(resource)
        if ground in beginnings or ground.startswith(grounds):
            found.append(resource)
    return found


@lru_cache(maxsize=1 << 14)
def _ground(resource: str) -> str:
    """Return the directory that holds all files of a resource: `src/`, or no text for the top."""
    if not is_pattern(resource):
        return f"{resource}/"
    if "/" not in resource:
        return ""
    pattern = _Reading(resource, is_pattern=True)
    fixed = _fixed_part(pattern)
    if fixed == "/":
        return ""
    return f"{fixed}/"


def overlaps(
    one: str,
    other: str,
    tracked: Tracked,
) -> bool:
    """Check whether two resources overlap.

    The following cases are tried in order, and the first case that applies decides:

    1. If both resources are the same, they overlap.
    2. If one resource is a name, they don't overlap, since a name overlaps only itself.
    3. If both resources are paths, they overlap if one is a directory that contains the other.
    4. If both resources are patterns, they overlap if some tracked file matches both patterns.
    5. If one resource is a pattern and the other is a path, they overlap in these cases:

       a. the pattern matches the path;
       b. everything that the pattern could match is below the path;
       c. the pattern matches a tracked file below the path.

    If a resource has two readings, cases 3 to 5 are applied to each reading. The resources overlap
    if a reading of the first resource overlaps a reading of the second.

    Args:
        one: A resource, as `parse_resource` returns it.
        other: Another resource, as `parse_resource` returns it.
        tracked: A function that returns the tracked files. The function is called only in cases 4
            and 5.
    """
    if one == other:  # case 1
        return True
    if SEPARATOR in one or SEPARATOR in other:  # case 2
        return False
    readings = _readings(one)
    other_readings = _readings(other)
    pairs = product(readings, other_readings)
    return any(_readings_overlap(*pair, tracked) for pair in pairs)


class _Reading(NamedTuple):
    """One reading of a resource.

    Attributes:
        text: The resource.
        is_pattern: Whether the resource is read as a pattern; if not, it is read as a path.
        literal_brackets: Whether `[` matches the character `[`; if not, `[` begins a set of
            characters.
    """

    text: str
    is_pattern: bool
    literal_brackets: bool = False


def _readings(resource: str) -> list[_Reading]:
    """Return the readings of a resource that is not a name."""
    if not is_pattern(resource):
        return [_Reading(resource, is_pattern=False)]
    with_sets = _Reading(resource, is_pattern=True)
    if "[" not in resource:
        return [with_sets]
    has_stars = _STARS.search(resource) is not None
    with_brackets = _Reading(
        resource,
        is_pattern=has_stars,
        literal_brackets=True,
    )
    return [with_sets, with_brackets]


def _readings_overlap(
    one: _Reading,
    other: _Reading,
    tracked: Tracked,
) -> bool:
    """Decide cases 3 to 5 of `overlaps`."""
    if not one.is_pattern and not other.is_pattern:
        return _paths_overlap(one.text, other.text)
    if one.is_pattern and other.is_pattern:
        return _patterns_overlap(one, other, tracked)
    if one.is_pattern:
        return _pattern_overlaps_path(one, other.text, tracked)
    return _pattern_overlaps_path(other, one.text, tracked)


def _paths_overlap(one: str, other: str) -> bool:
    """Decide case 3 of `overlaps`."""
    if _is_within(one, other):
        return True
    return _is_within(other, one)


def _patterns_overlap(
    one: _Reading,
    other: _Reading,
    tracked: Tracked,
) -> bool:
    """Decide case 4 of `overlaps`."""
    matches_one = _matcher_of(one)
    matches_other = _matcher_of(other)
    matched = filter(matches_one, tracked())
    return any(matches_other(file) for file in matched)


def _pattern_overlaps_path(
    pattern: _Reading,
    path: str,
    tracked: Tracked,
) -> bool:
    """Decide case 5 of `overlaps`."""
    matches = _matcher_of(pattern)
    if matches(path):  # case 5a
        return True
    fixed = _fixed_part(pattern)
    if _is_within(fixed, path):  # case 5b
        return True
    below = (file for file in tracked() if _is_within(file, path))
    return any(matches(file) for file in below)  # case 5c


def covers(
    resource: str,
    file: str,
) -> bool:
    """Check whether a claim on a resource includes a file.

    Args:
        resource: A resource, as `parse_resource` returns it.
        file: The path of a file. In this path, `*`, `?` and `[` are ordinary characters.
    """
    if SEPARATOR in resource:
        return False
    if _is_within(file, resource):
        return True
    for reading in _readings(resource):
        if not reading.is_pattern:
            continue
        matches = _matcher_of(reading)
        if matches(file):
            return True
    return False


def _matcher_of(pattern: _Reading) -> Matcher:
    return matcher(
        pattern.text,
        literal_brackets=pattern.literal_brackets,
    )


@lru_cache(maxsize=256)
def matcher(
    pattern: str,
    *,
    literal_brackets: bool = False,
) -> Matcher:
    """Make a function that checks whether a pattern matches a path, or a directory above the path.

    `**` matches any number of directories. `*`, `?` and `[abc]` match characters of one name, as in
    a shell, except that they also match a leading dot. Each name of the path is compared at most
    once with each name of the pattern, so the time is bounded.

    Args:
        pattern: The pattern. A pattern without a slash matches at any depth.
        literal_brackets: Whether `[` matches the character `[`; if not, `[` begins a set of
            characters.
    """
    names = pattern.split("/")
    if len(names) == 1:
        names = ["**", pattern]
    parts = [_part(name, literal_brackets=literal_brackets) for name in names]
    last = len(parts) - 1

    def matches(path: str) -> bool:
        """Compare the path name by name, and remember which places in the pattern are reached."""
        reached = _skipped({0}, parts)
        for name in path.split("/"):
            if parts[last] is None and last in reached:
                return True
            following = _following(reached, name, parts)
            if len(parts) in following:
                return True
            reached = _skipped(following, parts)
            if not reached:
                return False
        return False

    return matches


def _part(text: str, *, literal_brackets: bool) -> re.Pattern[str] | None:
    """Compile one name of a pattern to an expression; return None for `**`."""
    if text == "**":
        return None
    escaped = text.replace("[^", "[!")
    if literal_brackets:
        escaped = text.replace("[", "[[]")
    expression = fnmatch.translate(escaped)
    return re.compile(expression)


def _following(
    places: set[int],
    name: str,
    parts: _Parts,
) -> set[int]:
    """Return the places in a pattern that are reached after one more name of a path."""
    found = set[int]()
    for place in places:
        part = parts[place]
        if part is None:
            found.add(place)
        elif part.match(name):
            found.add(place + 1)
    return found


def _skipped(places: set[int], parts: _Parts) -> set[int]:
    """Add the places in a pattern that are reached if `**` matches no directory."""
    found = set(places)
    last = len(parts) - 1
    for place in sorted(places):
        after = place
        while after < last and parts[after] is None:
            after += 1
            found.add(after)
    return found


def _is_within(path: str, directory: str) -> bool:
    """Check whether a path is equal to a directory or below that directory."""
    if path == directory:
        return True
    return path.startswith(f"{directory}/")


def _fixed_part(pattern: _Reading) -> str:
    """Return the part of a pattern before the first name with a wildcard; if empty, return `/`."""
    signs = _GLOB
    if pattern.literal_brackets:
        signs = _STARS
    fixed: list[str] = []
    for name in pattern.text.split("/"):
        if signs.search(name):
            break
        fixed.append(name)
    return "/".join(fixed) or "/"
