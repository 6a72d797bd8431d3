"""Patterns over scopes: shell globs, as in `issue:*`.

`*` crosses segments: `issue:*` finds `issue:15` and `issue:15:files`.
"""

import re
from fnmatch import translate
from typing import Final

from csc_git.errors import InvalidPattern

MAX_LENGTH: Final = 512
_SET: Final = re.compile(r"\[!?+(?:\][^\]]*|[^\]]+)\]")


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A regular expression for the glob, to be used with `match`.

    Raises:
        InvalidPattern: empty, over-long, a control character, or a `[` that nothing closes.
    """
    if not pattern or len(pattern) > MAX_LENGTH:
        raise InvalidPattern(f"The pattern has {len(pattern)} characters; 1 to {MAX_LENGTH} do")
    if not pattern.isprintable():
        raise InvalidPattern("The pattern holds a control character")
    if _has_open_bracket(pattern):
        raise InvalidPattern(f"In the pattern {pattern!a} nothing closes a [")
    if _has_empty_range(pattern):
        raise InvalidPattern(f"In the pattern {pattern!a} a range runs backwards")
    return re.compile(translate(pattern))


def _has_open_bracket(pattern: str) -> bool:
    """Whether `fnmatch` would take some `[` literally, which nobody who types it means."""
    return "[" in _SET.sub("", pattern)


def _has_empty_range(pattern: str) -> bool:
    """Whether some set holds a range that runs backwards, which matches nothing."""
    sets = (found[0] for found in _SET.finditer(pattern))
    return any(low > high for found in sets for low, high in re.findall(r"(.)-([^\]])", found))
