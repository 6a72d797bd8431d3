"""Patterns over scopes: shell globs, as in `issue:*`.

`*` crosses segments: `issue:*` finds `issue:15` and `issue:15:files`.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from fnmatch import translate
from typing import Final

from csc_git.errors import InputError, InvalidPattern

MAX_LENGTH: Final = 512
_SIGN: Final = re.compile(r"[*?\[]")
_SET: Final = re.compile(r"\[!?+(?:\][^\]]*|[^\]]+)\]")
_RANGE: Final = re.compile(r"(.)-([^\]])")


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Translate a glob to a regular expression, to be used with `match`.

    Raises:
        InvalidPattern: `pattern` is empty or too long, contains a control character, or has a set
            that is not closed or whose range runs backwards.
    """
    length = len(pattern)
    if not 1 <= length <= MAX_LENGTH:
        raise InvalidPattern(
            f"The pattern has {length} characters; "
            f"it must have 1 to {MAX_LENGTH}"
        )
    if not pattern.isprintable():
        raise InvalidPattern("The pattern contains a control character")
    if _has_open_bracket(pattern):
        raise InvalidPattern(f"In the pattern {pattern!a} nothing closes a [")
    if _has_empty_range(pattern):
        raise InvalidPattern(
            f"In the pattern {pattern!a} a range runs backwards"
        )
    expression = translate(pattern)
    return re.compile(expression)


def matching(
    pattern: str,
    names: Sequence[str],
) -> Sequence[str]:
    """Find the names that a glob matches.

    Only the names that start as the glob does, up to its first sign, are looked at.

    Args:
        pattern: The glob.
        names: Names in order.

    Raises:
        InvalidPattern: `pattern` is not a glob, see `compile_pattern`.
    """
    compiled = compile_pattern(pattern)
    pieces = _SIGN.split(pattern, maxsplit=1)
    start = pieces[0]

    def is_past(name: str) -> bool:
        return not name.startswith(start)

    first = bisect_left(names, start)
    end = bisect_right(
        names,
        x=False,
        lo=first,
        key=is_past,
    )
    near = names[first:end]
    if pattern == f"{start}*":
        return near
    return [name for name in near if compiled.match(name)]


def part(
    names: Sequence[str],
    after: str | None,
    limit: int | None,
) -> tuple[list[str], int]:
    """Cut out one page of names.

    Args:
        names: Names in order.
        after: The page begins behind this name; None: at the first name.
        limit: Most names in the page, 1 or more; None: all names.

    Returns:
        The names of the page, and how many more there are behind them.

    Raises:
        InputError: the limit is less than 1.
    """
    if limit is not None and limit < 1:
        raise InputError(f"The limit is {limit}; it must be 1 or more")
    start = 0
    if after is not None:
        start = bisect_right(names, after)
    end = len(names)
    if limit is not None:
        end = min(end, start + limit)
    page = list(names[start:end])
    left = len(names) - end
    return page, left


def _has_open_bracket(pattern: str) -> bool:
    """Check whether `fnmatch` would take some `[` literally, which is never what was meant."""
    without_sets = _SET.sub("", pattern)
    return "[" in without_sets


def _has_empty_range(pattern: str) -> bool:
    """Check whether some set has a range that runs backwards, which matches nothing."""
    ranges = _ranges(pattern)
    return any(low > high for low, high in ranges)


def _ranges(pattern: str) -> Iterator[tuple[str, str]]:
    """Yield the first and the last character of each range in the sets of a pattern."""
    for found in _SET.finditer(pattern):
        yield from _RANGE.findall(found[0])
