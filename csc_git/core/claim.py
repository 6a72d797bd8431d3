"""Claims: leases on resources, so that two sessions don't do the same work twice.

A resource is a *name* (`issue:15`, anything with a colon) or a *path* in the repository, plain
(`src/api`, which means all below it too) or a pattern (`src/**/*.py`; a pattern without a slash,
as `*.py`, matches at any depth). Two resources overlap when

1. they are the same;
2. both are plain paths, and one is the other's directory;
3. one is a pattern that matches the other, a plain path, or something tracked below it; or all
   that the pattern could match lies below that path;
4. both are patterns, and some tracked file matches both.

A name overlaps nothing but itself. `[` is both: `app/[id]` is a directory of that name, as several
web frameworks have them, and a pattern; it overlaps what either reading does.

Claims are advisory, as leases are: they tell well-meaning sessions apart and stop nobody who
writes anyway. What can be stopped is a write to the store that depends on a claim: let it require
the revision of the claim's record.
"""

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
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
"""Runs of `*` in a pattern: more than these are a mistake, or made to be slow."""

_GLOB: Final = re.compile(r"[*?\[]")
_STARS: Final = re.compile(r"[*?]")
_FORM: Final = "Name it as issue:15, src/api, src/**/*.py or *.md"
State = Literal["held", "released"]
Tracked = Callable[[], Iterable[str]]
"""Gives the paths of the files that the user's repository tracks."""


@dataclass(frozen=True)
class Claim:
    """A resource's record.

    Attributes:
        resource: What is claimed, in the form of `parse_resource`.
        session: Who claimed it.
        holder: The `holder` of that session's lease: a claim ends with its sign-on.
        clone: Random id of the clone that it was made in.
        fence: Higher than that of every claim made before it.
        seconds: Length from each change of the record; None: as long as the session lives.
        state: `held` or `released`.
        since: When it was claimed (its clock's word; for people).
        note: What for.
        renewed: How often it was claimed again.
        extra: Members that only a later csc-git knows; kept as they are.
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
        """The record's value."""
        return joined_members(self)

    @classmethod
    def from_json(cls, value: Json) -> "Claim | None":
        """Read a record; None where it isn't one, whatever it is."""
        try:
            seconds = value["seconds"]
            return cls(
                resource=parse_resource(str(value["resource"])),
                session=_session(value["session"]),
                holder=str(value["holder"]),
                clone=str(value["clone"]),
                fence=bounded(value["fence"], MOST_FENCE),
                seconds=None
                if seconds is None
                else max(1, bounded(seconds, MOST_SECONDS)),
                state="held" if value["state"] == "held" else "released",
                since=str(value["since"]),
                note=str(value.get("note", "")),
                renewed=bounded(value.get("renewed", 0), MOST_FENCE),
                extra=unknown_members(cls, value),
            )
        except (
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            OverflowError,
            InvalidName,
        ):
            return None


def _session(name: Json) -> str:
    """A session's name; raises ValueError for what nobody can be called."""
    if not isinstance(name, str) or not is_session_name(name):
        raise ValueError(name)
    return name


def claim_key(resource: str) -> Key:
    """Where a resource's record lives."""
    return Key(CLAIMS, resource)


def parse_resource(text: str) -> str:
    """A resource in the one form that is compared.

    `./src/`, `src/` and `src/**` all mean the directory `src`.

    Raises:
        InvalidName: empty, over-long, absolute, outside the repository, or too many stars.
    """
    if not text or len(text) > MAX_LENGTH:
        raise InvalidName(
            f"The resource has {len(text)} characters; 1 to {MAX_LENGTH} do"
        )
    check_name(text, "resource")
    if SEPARATOR in text:
        if _GLOB.search(text):
            raise InvalidName(
                f"The name {text!a} can't be a pattern; paths can", then=_FORM
            )
        return text
    parts = [part for part in text.split("/") if part not in {"", "."}]
    while len(parts) > 1 and parts[-1] == "**":
        parts.pop()
    if text.startswith("/") or ".." in parts or not parts:
        raise InvalidName(
            f"{text!a} is no path inside the repository", then=_FORM
        )
    if len(re.findall(r"\*+", text)) > MAX_STARS:
        raise InvalidName(
            f"The pattern {text!a} has more than {MAX_STARS} stars", then=_FORM
        )
    return "/".join(parts)


def is_pattern(resource: str) -> bool:
    """Whether a resource is a pattern."""
    return SEPARATOR not in resource and _GLOB.search(resource) is not None


def candidates(wanted: Collection[str], resources: Iterable[str]) -> list[str]:
    """The resources that may overlap one of the wanted ones. No pattern is matched for that.

    Two resources overlap only if the ground of one begins with the ground of the other.

    Args:
        wanted: A few resources.
        resources: All others, which may be thousands.
    """
    grounds = tuple(map(_ground, wanted))
    around = {one[:end] for one in grounds for end in range(len(one) + 1)}
    return [
        resource
        for resource in resources
        if (here := _ground(resource)).startswith(grounds) or here in around
    ]


@lru_cache(maxsize=1 << 14)
def _ground(resource: str) -> str:
    """Where all of a resource lies: of a path itself, of a pattern a directory; ends in `/`."""
    if not is_pattern(resource):
        return f"{resource}/"
    fixed = _fixed_part(_Reading(resource, is_pattern=True))
    return f"{fixed}/" if "/" in resource and fixed != "/" else ""


def overlaps(one: str, other: str, tracked: Tracked) -> bool:
    """Whether two resources, as `parse_resource` gives them, have something in common."""
    if one == other:  # rule 1
        return True
    if SEPARATOR in one or SEPARATOR in other:
        return False
    return any(
        _have_in_common(mine, theirs, tracked)
        for mine in _readings(one)
        for theirs in _readings(other)
    )


class _Reading(NamedTuple):
    """One meaning of a resource: a path, or a pattern with what is to be matched literally."""

    text: str
    is_pattern: bool
    literal_brackets: bool = False


def _readings(resource: str) -> list[_Reading]:
    """The meanings of a resource: with brackets as sets of characters, and as themselves."""
    if not is_pattern(resource):
        return [_Reading(resource, is_pattern=False)]
    found = [_Reading(resource, is_pattern=True)]
    if "[" in resource:
        has_others = _STARS.search(resource) is not None
        found.append(
            _Reading(resource, is_pattern=has_others, literal_brackets=True)
        )
    return found


def _have_in_common(mine: _Reading, theirs: _Reading, tracked: Tracked) -> bool:
    if not mine.is_pattern and not theirs.is_pattern:  # rule 2
        return _is_within(mine.text, theirs.text) or _is_within(
            theirs.text, mine.text
        )
    if mine.is_pattern and theirs.is_pattern:  # rule 4
        first, second = _matcher_of(mine), _matcher_of(theirs)
        return any(first(path) and second(path) for path in tracked())
    pattern, path = (
        (mine, theirs.text) if mine.is_pattern else (theirs, mine.text)
    )  # rule 3
    matches = _matcher_of(pattern)
    if matches(path) or _is_within(_fixed_part(pattern), path):
        return True
    return any(_is_within(file, path) and matches(file) for file in tracked())


def covers(resource: str, file: str) -> bool:
    """Whether a claim is on a file; its name may hold what would be a pattern in a claim."""
    if SEPARATOR in resource:
        return False
    if _is_within(file, resource):
        return True
    patterns = [
        reading for reading in _readings(resource) if reading.is_pattern
    ]
    return any(_matcher_of(pattern)(file) for pattern in patterns)


def _matcher_of(pattern: _Reading) -> Callable[[str], bool]:
    return matcher(pattern.text, literal_brackets=pattern.literal_brackets)


@lru_cache(maxsize=256)
def matcher(
    pattern: str, *, literal_brackets: bool = False
) -> Callable[[str], bool]:
    """Whether a pattern matches a path, or a directory that the path is in.

    `**` stands for any number of directories, `*`, `?` and `[abc]` for characters of one name, as
    in a shell; a leading dot is a character like others. Each name of the path is looked at once
    for each name of the pattern, so the time is bounded.

    Args:
        pattern: The pattern; without a slash it matches at any depth.
        literal_brackets: Take `[` for itself.
    """
    anchored = pattern if "/" in pattern else f"**/{pattern}"
    parts = [
        _part(part, literal_brackets=literal_brackets)
        for part in anchored.split("/")
    ]

    def matches(path: str) -> bool:
        reached = _skipped({0}, parts)
        for name in path.split("/"):
            if parts[-1] is None and len(parts) - 1 in reached:
                return True
            following = {place for place in reached if parts[place] is None}
            for place in reached:
                part = parts[place]
                if part is not None and part.match(name):
                    following.add(place + 1)
            if len(parts) in following:
                return True
            reached = _skipped(following, parts)
            if not reached:
                return False
        return False

    return matches


def _part(text: str, *, literal_brackets: bool) -> re.Pattern[str] | None:
    """What one name of a pattern matches; None for `**`."""
    if text == "**":
        return None
    escaped = (
        text.replace("[", "[[]")
        if literal_brackets
        else text.replace("[^", "[!")
    )
    return re.compile(fnmatch.translate(escaped))


def _skipped(
    places: set[int], parts: Sequence[re.Pattern[str] | None]
) -> set[int]:
    """Places in a pattern, and those behind them that `**` lets one reach without a name."""
    found = set(places)
    for place in sorted(places):
        after = place
        while after < len(parts) - 1 and parts[after] is None:
            after += 1
            found.add(after)
    return found


def _is_within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory + "/")


def _fixed_part(pattern: _Reading) -> str:
    """The directories before the first component that is a pattern; `/` if there are none."""
    signs = _STARS if pattern.literal_brackets else _GLOB
    parts = pattern.text.split("/")
    first = next(
        number for number, part in enumerate(parts) if signs.search(part)
    )
    return "/".join(parts[:first]) or "/"
