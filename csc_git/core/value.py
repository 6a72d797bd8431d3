r"""Values: the canonical form of JSON, and the format of the files that contain values.

In the canonical form, equal values have equal bytes. So equal files have the same blob id, and this
id can be used as a revision. The canonical form has these rules:

- The encoding is UTF-8. The indent is two spaces, with `": "` after a name and `",\n"` between
  members. Empty arrays and objects are `[]` and `{}`. The file ends with one newline.
- Members are sorted by the Unicode code points of their names. Each name appears once.
- Integers are written in plain decimal digits. Other numbers are written as Python's `repr` writes
  a binary64, with exponents as in `1e+16`. A number is written with the fewest digits from which
  exactly the same number can be read. NaN and infinite numbers are not allowed.
- Characters are escaped only where JSON requires it: `\"`, `\\`, `\b \f \n \r \t`, and `\u00xx`
  in lower-case hex for the other control characters.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from csc_git.core.clock import format_time, parse_time
from csc_git.errors import InvalidValue, ValueTooLarge

Json = Any
"""Any JSON value, as Python's json module represents it."""

MAX_FILE: Final = 16 << 20
"""Files with more than this many bytes are not read: such a file is a mistake or an attack."""

MAX_DEPTH: Final = 100
DEFAULT_LIMIT: Final = 1 << 20
"""The canonical form of a value may have at most this many bytes, unless the project sets another
limit."""

_FILE_DEPTH: Final = MAX_DEPTH + 8
"""In a file, arrays and objects may be nested at most this many levels deep. A conflict record
contains a value that may have `MAX_DEPTH` levels itself, so a few more levels are allowed."""

_KNOWN: Final = frozenset(
    {
        "value",
        "session",
        "time",
        "authors",
        "scope",
        "key",
    }
)
"""The members of a file that this version of csc-git understands."""


@dataclass(frozen=True)
class Entry:
    """The content of one file of the branch.

    Attributes:
        value: Any JSON value.
        session: Name of the session or person that wrote the value.
        time: When the value was written, by the hybrid logical clock.
        authors: All authors of a merged value; empty if the value was not merged.
        full_name: Scope and key if they were cut in the path; None if they were not cut.
        extra: Members that this version of csc-git does not know. They are kept unchanged.
    """

    value: Json
    session: str
    time: datetime
    authors: tuple[str, ...] = ()
    full_name: tuple[str, str] | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the content of the file, as bytes."""
        members: dict[str, Json] = {
            "value": ordered(self.value),
            "session": self.session,
            "time": format_time(self.time),
        }
        others = dict(self.extra)
        if self.authors:
            others["authors"] = list(self.authors)
        if self.full_name:
            others["scope"], others["key"] = self.full_name
        members |= ordered(others)
        return _dump(members) + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> "Entry":
        """Make an entry from the content of a file of the branch.

        Raises:
            ValueError: `data` is not JSON with the members that `encode` writes. White space and
                the order of members may differ.
        """
        members = parse(data)
        if not isinstance(members, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004  the same error for every bad file
        session = members.get("session")
        authors = members.get("authors", [])
        has_others = "value" in members and _are_names(authors)
        if not isinstance(session, str) or not has_others:
            raise ValueError("no value, session or time")
        time = str(members.get("time"))
        extra = dict(members)
        for name in _KNOWN:
            extra.pop(name, None)
        return cls(
            value=members["value"],
            session=session,
            time=parse_time(time),
            authors=tuple(authors),
            full_name=_full_name(members),
            extra=extra,
        )


def canonical(value: Json) -> bytes:
    """Return the canonical form of a value. Two values are equal if their bytes are equal.

    Raises:
        InvalidValue: the value can't be written as JSON.
    """
    in_order = ordered(value)
    return _dump(in_order)


def is_same(
    one: Json,
    other: Json,
) -> bool:
    """Check whether two values have the same canonical form.

    Python's `==` treats 1, 1.0 and true as equal, so it can't be used.

    Args:
        one: Any JSON value.
        other: Any JSON value.
    """
    if one != other:
        return False
    return canonical(one) == canonical(other)


def check_value(
    value: Json,
    limit: int = DEFAULT_LIMIT,
) -> None:
    """Raise an error if a value can't be stored.

    Args:
        value: The value that a caller wants to store.
        limit: The canonical form of the value may have at most this many bytes.

    Raises:
        InvalidValue: the value can't be written as JSON, or has more than `MAX_DEPTH` levels.
        ValueTooLarge: the canonical form is longer than `limit`.
    """
    in_order = ordered(value, MAX_DEPTH)
    written = _dump(in_order)
    size = len(written)
    if size > limit:
        raise ValueTooLarge(
            f"The value is {size:,} bytes of JSON; the limit is {limit:,}"
        )


def ordered(
    value: Json,
    levels: int = _FILE_DEPTH,
) -> Json:
    """Return a copy of a value in which the members of every object are sorted.

    Args:
        value: A Python object, which may or may not be a JSON value. It is not changed.
        levels: Arrays and objects may be nested at most this many levels deep.

    Raises:
        InvalidValue: the value can't be written as JSON, or is nested too deep.
    """
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            if not math.isfinite(value):
                raise InvalidValue(
                    f"The value contains {value}, which JSON can't express"
                )
            return value
        case dict() | list() | tuple() if levels == 0:
            raise InvalidValue(
                f"The value is nested deeper than {MAX_DEPTH} levels"
            )
        case dict():
            if not _are_strings(value):
                raise InvalidValue(
                    "The value has a member whose name is not a string"
                )
            inner = levels - 1
            names = sorted(value)
            return {name: ordered(value[name], inner) for name in names}
        case list() | tuple():
            inner = levels - 1
            return [ordered(item, inner) for item in value]
        case _:
            kind = type(value).__name__
            raise InvalidValue(f"A {kind} is not a JSON value")


def parse(data: bytes | str) -> Json:
    """Parse JSON strictly.

    Raises:
        ValueError: `data` is not JSON or is nested too deep. Or `data` contains a number that is
            not finite, or an object with the same name twice.
    """
    try:
        return _parse(data)
    except InvalidValue as error:
        raise ValueError(error.what) from None
    except RecursionError as error:
        raise ValueError(str(error)) from None


def _parse(data: bytes | str) -> Json:
    """Parse JSON as `parse` does. InvalidValue and RecursionError do not become ValueError."""
    is_unchecked = isinstance(data, str)  # may contain a lone surrogate
    if isinstance(data, bytes):
        data = data.decode()
        is_unchecked = _may_be_refused(data)
    value = json.loads(
        data,
        object_pairs_hook=_unique,
        parse_constant=_refuse_constant,
        parse_float=_finite,
    )
    if is_unchecked:
        in_order = ordered(value)
        _dump(in_order)
    return value


def _may_be_refused(text: str) -> bool:
    """Check quickly whether JSON may be nested too deep, or may contain an escaped surrogate."""
    if "\\u" in text:
        return True
    arrays = text.count("[")
    objects = text.count("{")
    return arrays + objects > _FILE_DEPTH


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text} is too large")
    return number


def _dump(value: Json) -> bytes:
    """Format a value, in which the members of all objects are already sorted, as JSON bytes."""
    try:
        text = json.dumps(
            value,
            ensure_ascii=False,
            indent=2,
            allow_nan=False,
        )
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidValue(
            "The value contains a lone surrogate, which is not valid Unicode"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InvalidValue(
            f"The value can't be written as JSON: {error}"
        ) from None


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Make a dictionary from an object's members; raises ValueError if a name appears twice."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member's name appears twice")
    return members


def _refuse_constant(text: str) -> Json:
    raise ValueError(f"{text} is not JSON")


def _are_names(authors: Json) -> bool:
    return isinstance(authors, list) and _are_strings(authors)


def _are_strings(items: Iterable[Json]) -> bool:
    return all(isinstance(item, str) for item in items)


def _full_name(members: Mapping[str, Json]) -> tuple[str, str] | None:
    """Return the scope and key in a file's members, or None if the file does not contain both."""
    scope = members.get("scope")
    key = members.get("key")
    if isinstance(scope, str) and isinstance(key, str):
        return scope, key
    return None
