"""Patterns over scopes: shell globs, as in `issue:*`.

`*` crosses segments: `issue:*` finds `issue:15` and `issue:15:files`.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from fnmatch import translate
from typing import Final

from csc_git.errors import InputError, InvalidPattern

MAX_LENGTH: Final = 512
_SET: Final = re.compile(r"\[!?+(?:\][^\]]*|[^\]]+)\]")


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A regular expression for the glob, to be used with `match`.

    Raises:
        InvalidPattern: empty, over-long, a control character, or a `[` that nothing closes.
    """
    if not pattern or len(pattern) > MAX_LENGTH:
        raise InvalidPattern(
            f"The pattern has {len(pattern)} characters; 1 to {MAX_LENGTH} do"
        )
    if not pattern.isprintable():
        raise InvalidPattern("The pattern holds a control character")
    if _has_open_bracket(pattern):
        raise InvalidPattern(f"In the pattern {pattern!a} nothing closes a [")
    if _has_empty_range(pattern):
        raise InvalidPattern(
            f"In the pattern {pattern!a} a range runs backwards"
        )
    return re.compile(translate(pattern))


def matching(pattern: str, names: Sequence[str]) -> Sequence[str]:
    """The names that a glob matches. Only names that start with its fixed beginning are looked at.

    Args:
        pattern: The glob.
        names: In order.

    Raises:
        InvalidPattern: as `compile_pattern`.
    """
    matches = compile_pattern(pattern).match
    start = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    first = bisect_left(names, start)
    end = bisect_right(
        names, 0, first, key=lambda name: not name.startswith(start)
    )
    if pattern == f"{start}*":
        return names[first:end]
    return [name for name in names[first:end] if matches(name)]


def part(
    names: Sequence[str], after: str | None, limit: int | None
) -> tuple[list[str], int]:
    """A page of names.

    Args:
        names: In order.
        after: Only the names behind this one; None: from the first.
        limit: How many at most, 1 or more; None: all.

    Returns:
        The names, and how many more there are behind them.

    Raises:
        InputError: the limit is less than 1.
    """
    if limit is not None and limit < 1:
        raise InputError(f"The limit is {limit}; it must be 1 or more")
    start = 0 if after is None else bisect_right(names, after)
    end = len(names) if limit is None else min(len(names), start + limit)
    return list(names[start:end]), len(names) - end


def _has_open_bracket(pattern: str) -> bool:
    """Whether `fnmatch` would take some `[` literally, which is never what was meant."""
    return "[" in _SET.sub("", pattern)


def _has_empty_range(pattern: str) -> bool:
    """Whether some set holds a range that runs backwards, which matches nothing."""
    sets = (found[0] for found in _SET.finditer(pattern))
    return any(
        low > high
        for found in sets
        for low, high in re.findall(r"(.)-([^\]])", found)
    )
