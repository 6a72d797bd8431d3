"""Make text from outside (from git, a server, or a teammate's data) safe to show."""

import json
import re
import unicodedata
from typing import Final

_USERINFO: Final = re.compile(r"(?<=://)[^/@\s]+@")
_COLOUR: Final = re.compile(r"(\x1b\[[0-9;]*m)")
_UNSURE: Final = re.compile("[^ -~]")
_UNSURE_IN_LINES: Final = re.compile("[^\n -~]")
_UNSURE_BUT_WHITE_SPACE: Final = re.compile("[^\n\t -~]")
_SECRET_HEADER: Final = re.compile(r"(?i)(authorization:\s*\S+\s+)\S+")
_UNSAFE_CATEGORIES: Final = frozenset(
    {
        "Cc",  # control characters
        "Cf",  # bidirectional controls, and joiners that are invisible inside words
        "Cs",  # surrogates
        "Co",  # private use
        "Cn",  # unassigned
        "Zl",  # line separator
        "Zp",  # paragraph separator
    }
)
"""Unicode categories of characters that are shown as escapes."""
_UNITS: Final = (
    (86_400, "d"),
    (3_600, "h"),
    (60, "min"),
)
"""The units of time that are longer than a second: the length in seconds, and the name."""


def printable(text: str) -> str:
    """Escape every character that could control a terminal or reorder the text."""
    return _UNSURE.sub(_escaped, text)


def printable_json(text: str) -> str:
    """Escape characters in JSON that could control a terminal, with escapes that JSON allows."""
    return _UNSURE_IN_LINES.sub(_json_escaped, text)


def printable_lines(text: str) -> str:
    """Escape characters that could control a terminal, except line ends, tabs and git's colours."""
    parts = _COLOUR.split(text)
    # Every second part is the code of a colour. The other parts are text to escape.
    parts[::2] = map(_printable_but_white_space, parts[::2])
    return "".join(parts)


def readable(
    text: str,
    limit: int = 600,
) -> str:
    """Make text safe to show: use one line, escape unsafe characters, remove credentials.

    Args:
        text: A text that somebody else wrote.
        limit: At most this many characters are kept.
    """
    lines = map(str.strip, text.splitlines())
    filled = filter(None, lines)
    line = " ".join(filled)
    line = _USERINFO.sub("***@", line)
    line = _SECRET_HEADER.sub(r"\1***", line)
    line = printable(line)
    if len(line) <= limit:
        return line
    end = limit - 1
    return line[:end] + "…"


def quoted(
    text: str,
    limit: int = 80,
) -> str:
    """Make text safe to show as `readable` does, and put it in quotes.

    Quotes inside the text are replaced.

    Args:
        text: A text that somebody else wrote.
        limit: At most this many characters are kept.
    """
    line = readable(text, limit)
    inside = line.replace('"', "'")
    return f'"{inside}"'


def count(
    number: int,
    noun: str,
) -> str:
    """Format a number together with a noun, as in `1 key` or `2 keys`.

    Args:
        number: How many things there are.
        noun: The word for one thing. Its plural must be this word with an `s` at the end.
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}s"


def span(seconds: float) -> str:
    """Format a length of time in its largest unit, as in `3 h`. Negative lengths give `0 s`."""
    for size, unit in _UNITS:
        if seconds >= size:
            whole = int(seconds // size)
            return f"{whole} {unit}"
    whole = max(0, int(seconds))
    return f"{whole} s"


def _printable_but_white_space(text: str) -> str:
    return _UNSURE_BUT_WHITE_SPACE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if _is_safe(character):
        return character
    return character.encode("unicode_escape").decode()


def _json_escaped(found: re.Match[str]) -> str:
    character = found[0]
    if _is_safe(character):
        return character
    in_quotes = json.dumps(character)
    return in_quotes[1:-1]


def _is_safe(character: str) -> bool:
    """Check whether a character outside printable ASCII may be shown without an escape."""
    return unicodedata.category(character) not in _UNSAFE_CATEGORIES
