"""Names: how a scope and a key become a path on the branch, and back.

A scope is one to eight segments, written `issue:15`; a key is one name in it. On the branch the
segments are directories and the key is a file: `data/issue/15/status.json`. The encoding is
injective and reversible over UTF-8 bytes, and no two names collide on a disk that folds case or
normalises Unicode:

- `a-z 0-9 - _ @ .` stand for themselves, `A` becomes `+a`, any other byte `=xx` (lower hex);
- escaped as `=xx` all the same: a leading `.` or `-`, every `.` of a directory, and the first
  byte of a name that Windows reserves (`con`, `lpt1`, also before a dot);
- a directory therefore never contains a dot and a file always ends in `.json`;
- a component of more than 100 bytes keeps at most 66 of them (whole characters of the encoding)
  and ends in `==` and 32 hex digits of the SHA-256 of the name; the file then carries the full
  `scope` and `key`.

Decoding is strict: what is not the encoding of anything is foreign, and never guessed at.
"""

import hashlib
import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

from csc_git.errors import InvalidName

SEPARATOR: Final = ":"
MAX_SEGMENTS: Final = 8
MAX_NAME_BYTES: Final = 512
"""Longest segment or key, in UTF-8 bytes, that a writer accepts."""

RESERVED: Final = frozenset({"sessions", "claims", "conflicts", "settings"})
"""First segments of the scopes that csc-git itself keeps."""

SUFFIX: Final = b".json"
_MAX_COMPONENT: Final = 100
_REMEMBERED: Final = 1 << 14
"""Names with escapes whose encoding is kept: a directory is read again and again."""

_CUT_AT: Final = 66
_CUT_MARK: Final = b"=="
_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_@.")
_TOKEN: Final = re.compile(rb"[a-z0-9\-_@.]|\+[a-z]|=[0-9a-f]{2}")
_CUT: Final = re.compile(
    rb"(?:[a-z0-9\-_@.]|\+[a-z]|=[0-9a-f]{2})*==[0-9a-f]{32}"
)
_UNESCAPED: Final = {
    directory: re.compile(
        rb"(?!(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\Z))[a-z0-9_@][a-z0-9\-_@%b]{0,99}"
        % dot
    )
    for directory, dot in ((False, b"."), (True, b""))
}
"""Names that stand for themselves as a file and as a directory, which nearly all do."""

_WINDOWS: Final = re.compile(rb"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Zl", "Zp"})
"""Categories of characters that steer a terminal, reorder text, or hide in it."""

Scope = tuple[str, ...]
"""The segments of a scope: `("issue", "15")`."""


class Key(NamedTuple):
    """One named place in the store: a scope and a name in it."""

    scope: Scope
    name: str

    @property
    def path(self) -> tuple[bytes, ...]:
        """The components below `data/`, before fan-out: directories, then the file."""
        return (
            *(encode(segment, directory=True) for segment in self.scope),
            self.file,
        )

    @property
    def file(self) -> bytes:
        """The encoded file name."""
        return encode(self.name, directory=False) + SUFFIX

    @property
    def is_cut(self) -> bool:
        """Whether some component was cut, so that the file must carry the full names."""
        return any(_CUT_MARK in component for component in self.path)

    def __str__(self) -> str:
        return f"{format_scope(self.scope)}/{self.name}"


TEAM_KEY: Final = Key(("settings",), "team")
"""Where the settings stand that a team has agreed on."""


def parse_scope(text: str) -> Scope:
    """The segments of `issue:15`.

    Raises:
        InvalidName: empty, over-long, too many segments, or with characters outside the grammar.
    """
    segments = tuple(text.split(SEPARATOR))
    if len(segments) > MAX_SEGMENTS:
        what = f"The scope has {len(segments)} segments; {MAX_SEGMENTS} is the most"
        raise InvalidName(what, then="Move the finer parts into the key")
    for segment in segments:
        check_name(segment, "scope segment")
    return segments


def format_scope(scope: Scope) -> str:
    """`issue:15` for `("issue", "15")`."""
    return SEPARATOR.join(scope)


def parse_key(scope: str, name: str) -> Key:
    """The key `name` in `scope`, both checked."""
    check_name(name, "key")
    return Key(parse_scope(scope), name)


def check_name(name: str, what: str) -> None:
    """Refuse a name that is empty, over-long, not UTF-8, or that would trick a terminal."""
    if not name:
        raise InvalidName(
            f"The {what} is empty", then="Give it a name, such as issue:15"
        )
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidName(
            f"The {what} is not valid Unicode", then="Remove the surrogate"
        ) from None
    if length > MAX_NAME_BYTES:
        raise InvalidName(
            f"The {what} is {length} bytes long; {MAX_NAME_BYTES} is the most",
            then="Shorten it, and keep the long text in the value",
        )
    if not is_visible(name):
        raise InvalidName(
            f"The {what} {name!a} holds a control character, or nothing to see",
            then="Use printable characters only",
        )


def is_visible(name: str) -> bool:
    """Whether there is something to see in a name, and nothing that can't be seen."""
    return bool(name.strip()) and not any(
        unicodedata.category(c) in _UNSEEN for c in name
    )


def encode(name: str, *, directory: bool) -> bytes:
    """One component of a path, without the `.json` of a file."""
    raw = name.encode()
    return (
        raw
        if _UNESCAPED[directory].fullmatch(raw)
        else _escape(name, directory=directory)
    )


@lru_cache(maxsize=_REMEMBERED)
def _escape(name: str, *, directory: bool) -> bytes:
    """As `encode`, of any name."""
    raw = name.encode()
    escaped = frozenset(b".") if directory else frozenset[int]()
    tokens = [_token(byte, escaped) for byte in raw]
    if raw[:1] in {b".", b"-"} or _WINDOWS.match(b"".join(tokens)):
        tokens[0] = b"=%02x" % raw[0]
    encoded = b"".join(tokens)
    return encoded if len(encoded) <= _MAX_COMPONENT else _cut(tokens, raw)


def decode(component: bytes, *, directory: bool) -> str | None:
    """The name that `component` encodes, or None where it was cut and the file must say.

    Raises:
        ValueError: it is not the encoding of anything that may be a name.
    """
    if not directory:
        if not component.endswith(SUFFIX):
            raise ValueError(component)
        component = component[: -len(SUFFIX)]
    if _UNESCAPED[directory].fullmatch(component):
        return component.decode()
    return _unescape(component, directory=directory)


@lru_cache(maxsize=_REMEMBERED)
def _unescape(component: bytes, *, directory: bool) -> str | None:
    """As `decode`, of any component, without the `.json` of a file."""
    if len(component) <= _MAX_COMPONENT and _CUT.fullmatch(component):
        return None
    name = b"".join(
        _byte(token) for token in _TOKEN.findall(component)
    ).decode()
    if not is_visible(name) or encode(name, directory=directory) != component:
        raise ValueError(component)
    return name


def _token(byte: int, escaped: frozenset[int]) -> bytes:
    if 0x41 <= byte <= 0x5A:  # noqa: PLR2004  A to Z
        return b"+%c" % (byte | 0x20)
    if byte in _PLAIN and byte not in escaped:
        return bytes([byte])
    return b"=%02x" % byte


def _byte(token: bytes) -> bytes:
    if token[:1] == b"+":
        return token[1:].upper()
    return bytes.fromhex(token[1:].decode()) if token[:1] == b"=" else token


def _cut(tokens: list[bytes], raw: bytes) -> bytes:
    kept = b""
    for token in tokens:
        if len(kept) + len(token) > _CUT_AT:
            break
        kept += token
    return kept + _CUT_MARK + hashlib.sha256(raw).hexdigest()[:32].encode()
