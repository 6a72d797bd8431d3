r"""Values: JSON in one canonical form, and the file of the branch that contains one.

The form is byte-exact, so that equal values are equal files, and the id of a blob can be a
revision:

- UTF-8, two-space indent, `": "` and `",\n"` between members, `[]` and `{}` when empty, one
  newline at the end of the file;
- members in order of their Unicode code points, each name once;
- integers in plain decimal digits; other numbers as Python's `repr` writes a binary64 (the
  shortest digits that read back the same, exponents as in `1e+16`), never NaN or infinite;
- escapes only where JSON requires them: `\"`, `\\`, `\b \f \n \r \t`, and `\u00xx` in
  lower-case hex for the other control characters.
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
"""Bytes of the largest file that is read at all; a larger one is a mistake or an attack."""

MAX_DEPTH: Final = 100
DEFAULT_LIMIT: Final = 1 << 20
"""Longest value, in bytes of its canonical form, unless the project sets another."""

_FILE_DEPTH: Final = MAX_DEPTH + 8
"""Most levels of a file: those of a value, those of a conflict record around it, and some to spare.
"""

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
"""Members of a file that this version understands."""


@dataclass(frozen=True)
class Entry:
    """The content of one file of the branch.

    Attributes:
        value: Any JSON value.
        session: The session that wrote it.
        time: When it was written, by the hybrid logical clock.
        authors: All authors of a merged value, else empty.
        full_name: Scope and key if they were cut in the path, else None.
        extra: Members that a later csc-git may have added; they are kept unchanged.
    """

    value: Json
    session: str
    time: datetime
    authors: tuple[str, ...] = ()
    full_name: tuple[str, str] | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Write the bytes of the file."""
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
        """Read a file of the branch.

        Raises:
            ValueError: `data` is not what `encode` writes, apart from white space and order.
        """
        members = parse(data)
        if not isinstance(members, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004  one kind for every bad file
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
    """Write a value in its canonical form. Equal values, and only those, have equal bytes.

    Raises:
        InvalidValue: the value has no JSON form.
    """
    in_order = ordered(value)
    return _dump(in_order)


def is_same(
    one: Json,
    other: Json,
) -> bool:
    """Check whether two values have the same canonical form.

    Python's `==` is not enough, since it takes 1, 1.0 and true for equal.

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
    """Refuse a value that can't be stored.

    Args:
        value: What a caller wants to store.
        limit: Most bytes of its canonical form.

    Raises:
        InvalidValue: the value has no JSON form, or more than `MAX_DEPTH` levels.
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
    """Put the members of every object in a value in order.

    Args:
        value: What may be a JSON value. It is not changed.
        levels: Most levels of arrays and objects.

    Raises:
        InvalidValue: the value has no JSON form, or more levels.
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
    """Read JSON strictly.

    Raises:
        ValueError: `data` is not JSON or is nested too deep, or it contains a number that is not
            finite or a name twice in one object.
    """
    try:
        return _parse(data)
    except InvalidValue as error:
        raise ValueError(error.what) from None
    except RecursionError as error:
        raise ValueError(str(error)) from None


def _parse(data: bytes | str) -> Json:
    """Do what `parse` does, with an error of another class in some cases."""
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
    """Check whether JSON may be nested too deep, or contain a lone surrogate as an escape."""
    if "\\u" in text:
        return True
    arrays = text.count("[")
    objects = text.count("{")
    return arrays + objects > _FILE_DEPTH


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large a number")
    return number


def _dump(value: Json) -> bytes:
    """Write JSON whose members are in order."""
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
        raise InvalidValue(f"The value has no JSON form: {error}") from None


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Make an object of its members, each of which has another name."""
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
    """Read scope and key of a file; None if it does not contain both."""
    scope = members.get("scope")
    key = members.get("key")
    if isinstance(scope, str) and isinstance(key, str):
        return scope, key
    return None
