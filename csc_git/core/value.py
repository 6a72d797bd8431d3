r"""Values: JSON in one canonical form, and the file that holds one.

The form is byte-exact, so that equal values are equal files and a revision can be a blob's id:

- UTF-8, two-space indent, `": "` and `",\n"` between members, `[]` and `{}` when empty, one
  newline at the end of the file;
- members in order of their Unicode code points, each name once;
- integers in plain decimal digits; other numbers as Python's `repr` writes a binary64 (the
  shortest digits that read back the same, `1e+16` style exponents), never NaN or infinite;
- escapes only where JSON demands them: `\"`, `\\`, `\b \f \n \r \t`, and `\u00xx` in
  lower-case hex for the other control characters.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from csc_git.core.clock import format_time, parse_time
from csc_git.errors import InvalidValue, ValueTooLarge

Json = Any
"""Any JSON value, as Python's json module represents it."""

MAX_DEPTH: Final = 100
DEFAULT_LIMIT: Final = 1 << 20
"""Longest value, in bytes of its canonical form, unless the project sets another."""

_FILE_DEPTH: Final = MAX_DEPTH + 8
"""Levels a file may have: a value's own, those of a conflict record around it, and room."""

_ENVELOPE: Final = ("value", "session", "time")
_DERIVED: Final = frozenset({"authors", "scope", "key"})


@dataclass(frozen=True)
class Entry:
    """The content of one file of the branch.

    Attributes:
        value: Any JSON value.
        session: Who wrote it.
        time: When, by the hybrid logical clock.
        authors: All authors of a merged value, else empty.
        full_name: Scope and key where the path had to cut them, else None.
        extra: Members a later csc-git may have added; kept as they are.
    """

    value: Json
    session: str
    time: datetime
    authors: tuple[str, ...] = ()
    full_name: tuple[str, str] | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The bytes of the file."""
        members: dict[str, Json] = {
            "value": ordered(self.value),
            "session": self.session,
            "time": format_time(self.time),
        }
        members |= ordered(dict(self.extra) | self._derived())
        return _dump(members) + b"\n"

    def _derived(self) -> dict[str, Json]:
        derived: dict[str, Json] = (
            {"authors": list(self.authors)} if self.authors else {}
        )
        if self.full_name:
            derived["scope"], derived["key"] = self.full_name
        return derived

    @classmethod
    def decode(cls, data: bytes) -> "Entry":
        """Read a file of the branch.

        Raises:
            ValueError: it is not what `encode` writes, give or take white space and order.
        """
        members = parse(data)
        if not isinstance(members, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004  one kind for every bad file
        session, authors = members.get("session"), members.get("authors", [])
        if (
            "value" not in members
            or not isinstance(session, str)
            or not _are_names(authors)
        ):
            raise ValueError("no value, session or time")
        scope, key = members.get("scope"), members.get("key")
        known = _DERIVED.union(_ENVELOPE)
        return cls(
            value=members["value"],
            session=session,
            time=parse_time(str(members.get("time"))),
            authors=tuple(authors),
            full_name=(scope, key)
            if isinstance(scope, str) and isinstance(key, str)
            else None,
            extra={
                name: item
                for name, item in members.items()
                if name not in known
            },
        )


def canonical(value: Json) -> bytes:
    """The canonical form of a value; equal values, and only those, have equal bytes.

    Raises:
        InvalidValue: it has no JSON form.
    """
    return _dump(ordered(value))


def is_same(one: Json, other: Json) -> bool:
    """Whether two values are one in canonical form; unlike Python, 1 is not 1.0 nor true."""
    return one == other and canonical(one) == canonical(other)


def check_value(value: Json, limit: int = DEFAULT_LIMIT) -> None:
    """Refuse what can't be stored.

    Raises:
        InvalidValue: no JSON form, or nested past `MAX_DEPTH`.
        ValueTooLarge: the canonical form is longer than `limit` bytes.
    """
    size = len(_dump(ordered(value, MAX_DEPTH)))
    if size > limit:
        raise ValueTooLarge(
            f"The value is {size:,} bytes of JSON; the limit is {limit:,}"
        )


def ordered(value: Json, levels: int = _FILE_DEPTH) -> Json:
    """`value` with every object's members in order.

    Raises:
        InvalidValue: it has no JSON form, or more than `levels` of arrays and objects.
    """
    match value:
        case None | bool() | str() | int():
            return value
        case float():
            if not math.isfinite(value):
                raise InvalidValue(
                    f"The value holds {value}, which JSON can't express"
                )
            return value
        case dict() | list() | tuple() if levels == 0:
            raise InvalidValue(
                f"The value is nested deeper than {MAX_DEPTH} levels"
            )
        case dict():
            if not all(isinstance(name, str) for name in value):
                raise InvalidValue(
                    "The value has a member whose name is no string"
                )
            return {
                name: ordered(value[name], levels - 1) for name in sorted(value)
            }
        case list() | tuple():
            return [ordered(item, levels - 1) for item in value]
        case _:
            raise InvalidValue(f"A {type(value).__name__} is no JSON value")


def parse(data: bytes | str) -> Json:
    """Read JSON strictly.

    Raises:
        ValueError: not JSON, a name twice in one object, not finite, or nested too deep.
    """
    try:
        text = data if isinstance(data, str) else data.decode()
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        if isinstance(data, str) or _may_be_refused(text):
            _dump(ordered(value))
    except InvalidValue as error:
        raise ValueError(error.what) from None
    except RecursionError as error:
        raise ValueError(str(error)) from None
    return value


def _may_be_refused(text: str) -> bool:
    """Whether JSON may nest too deeply, or hold a lone surrogate, which only an escape can be."""
    return "\\u" in text or text.count("[") + text.count("{") > _FILE_DEPTH


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large a number")
    return number


def _dump(value: Json) -> bytes:
    try:
        return json.dumps(
            value, ensure_ascii=False, indent=2, allow_nan=False
        ).encode()
    except UnicodeEncodeError:
        raise InvalidValue(
            "The value holds a lone surrogate, which is no Unicode text"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"The value has no JSON form: {error}") from None


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member's name appears twice")
    return members


def _refuse_constant(text: str) -> Json:
    raise ValueError(f"{text} is not JSON")


def _are_names(authors: Json) -> bool:
    return isinstance(authors, list) and all(
        isinstance(name, str) for name in authors
    )
