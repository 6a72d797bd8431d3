"""Words from outside (git, a server, a teammate's data) made fit to be shown."""

import json
import re
import unicodedata
from typing import Final

_USERINFO: Final = re.compile(r"(?<=://)[^/@\s]+@")
_COLOUR: Final = re.compile(r"(\x1b\[[0-9;]*m)")
_UNSURE: Final = re.compile("[^ -~]")
_UNSURE_IN_LINES: Final = re.compile("[^\n -~]")
_SECRET_HEADER: Final = re.compile(r"(?i)(authorization:\s*\S+\s+)\S+")


def printable(text: str) -> str:
    """`text` with every character that could steer a terminal, or reorder it, as an escape."""
    return _UNSURE.sub(_escaped, text)


def printable_json(text: str) -> str:
    """The same JSON, with such characters as JSON's own escapes."""
    return _UNSURE_IN_LINES.sub(_json_escaped, text)


def printable_lines(text: str) -> str:
    """`printable`, but for line ends, tabs and the colours that git itself writes."""
    parts = _COLOUR.split(text)
    return "".join(
        part if number % 2 else _but_white(part)
        for number, part in enumerate(parts)
    )


def readable(text: str, limit: int = 600) -> str:
    """`printable`, on one line, without credentials, and not endless."""
    line = " ".join(part.strip() for part in text.splitlines() if part.strip())
    line = printable(_SECRET_HEADER.sub(r"\1***", _USERINFO.sub("***@", line)))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def quoted(text: str, limit: int = 80) -> str:
    """What others wrote, cut short, in quotes that nothing in it can close."""
    return f'"{readable(text, limit).replace(chr(34), chr(39))}"'


def count(number: int, noun: str) -> str:
    """`1 key`, `2 keys`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def span(seconds: float) -> str:
    """A length of time in words, roughly; a negative one counts as zero."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def _but_white(text: str) -> str:
    return "".join(c if c in "\n\t" else printable(c) for c in text)


def _escaped(found: re.Match[str]) -> str:
    return (
        found[0]
        if _is_plain(found[0])
        else found[0].encode("unicode_escape").decode()
    )


def _json_escaped(found: re.Match[str]) -> str:
    return found[0] if _is_plain(found[0]) else json.dumps(found[0])[1:-1]


def _is_plain(character: str) -> bool:
    """Of a character beyond printable ASCII."""
    # Cf holds the bidirectional controls and the joiners that hide inside words.
    return unicodedata.category(character) not in {
        "Cc",
        "Cf",
        "Cs",
        "Co",
        "Cn",
        "Zl",
        "Zp",
    }
