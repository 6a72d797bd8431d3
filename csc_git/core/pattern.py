"""Patterns that match scopes, written as shell globs such as `issue:*`.

A `*` matches across segments: `issue:*` matches `issue:15` and `issue:15:files`.
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
        InvalidPattern: `pattern` is empty, is too long, or contains a control character. Or
            `pattern` contains a `[` without a `]`, or a range such as `z-a` that runs backwards.
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
        raise InvalidPattern(f"The pattern {pattern!a} has a [ without a ]")
    if _has_empty_range(pattern):
        raise InvalidPattern(
            f"The pattern {pattern!a} has a range that runs backwards"
        )
    expression = translate(pattern)
    return re.compile(expression)


def matching(
    pattern: str,
    names: Sequence[str],
) -> Sequence[str]:
    """Find the names that a glob matches.

    Only names that begin with the text before the first wildcard of the glob are compared with the
    glob.

    Args:
        pattern: The glob.
        names: The names to search, sorted.

    Raises:
        InvalidPattern: `pattern` is not a valid glob; see `compile_pattern`.
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
    """Return one page of a list of names.

    Args:
        names: All names, sorted.
        after: The page begins with the first name that comes after this name. If None, the page
            begins with the first of all names.
        limit: The page has at most this many names, 1 or more. If None, the number of names is not
            limited.

    Returns:
        The names of the page, and how many names come after the page.

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
    """Check whether a pattern has a `[` without a `]`.

    `fnmatch` would match such a `[` literally, but people who write a `[` do not expect this.
    """
    without_sets = _SET.sub("", pattern)
    return "[" in without_sets


def _has_empty_range(pattern: str) -> bool:
    """Check whether a pattern has a range that runs backwards, such as `z-a`.

    Such a range matches no character.
    """
    ranges = _ranges(pattern)
    return any(low > high for low, high in ranges)


def _ranges(pattern: str) -> Iterator[tuple[str, str]]:
    """Yield the first and last character of each range in a pattern: `a` and `z` for `[a-z]`."""
    for found in _SET.finditer(pattern):
        yield from _RANGE.findall(found[0])
