"""Names: convert a scope and a key to a path on the branch, and back.

A scope has one to eight segments and is written like `issue:15`. A key is one name in a scope. On
the branch, the segments are directories and the key is a file: `data/issue/15/status.json`. Names
are encoded as UTF-8 bytes. Two names never have the same encoding, and every encoding that was not
cut can be decoded. On a disk that ignores case or normalises Unicode, two different names never
become one file. The rules are:

- The bytes `a-z 0-9 - _ @ .` are encoded as themselves, `A` as `+a`, and any other byte as `=xx`
  (lower-case hex digits).
- These bytes are encoded as `=xx` too: a leading `.` or `-`, every `.` in the name of a directory,
  and the first byte of a name that Windows reserves (such as `con`, `lpt1` and `con.txt`).
- Therefore the name of a directory never contains a dot, and the name of a file ends in `.json`.
- An encoding of more than 100 bytes is cut. The cut encoding consists of the first bytes of the
  encoding (at most 66, and no escape is cut in two), `==`, and the first 32 hex digits of the
  name's SHA-256. The file then contains the full `scope` and `key`.

Decoding is strict. A file or directory whose name is not the encoding of any name is a foreign
entry: csc-git does not guess what the name may mean.
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
"""csc-git writes a segment or key only if it has at most this many UTF-8 bytes."""

RESERVED: Final = frozenset(
    {
        "sessions",
        "claims",
        "conflicts",
        "settings",
    }
)
"""Scopes that begin with one of these segments are reserved for csc-git's own records."""

SUFFIX: Final = b".json"
_MAX_COMPONENT: Final = 100
_REMEMBERED: Final = 1 << 14
"""The encodings of this many names with escapes are cached, since the same directories are read
repeatedly."""

_SIGNS: Final = (b".", b"-")
_CUT_AT: Final = 66
_CUT_DIGITS: Final = 32
_CUT_MARK: Final = b"=="
_PLAIN: Final = {
    False: frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_@."),
    True: frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_@"),
}
"""The bytes that are encoded as themselves. `False` is for names of files, `True` for names of
directories."""

_UPPER: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_CASE: Final = 0x20
"""The bit by which `A` and `a` differ."""

_TOKEN: Final = re.compile(rb"[a-z0-9\-_@.]|\+[a-z]|=[0-9a-f]{2}")
_CUT: Final = re.compile(
    rb"(?:[a-z0-9\-_@.]|\+[a-z]|=[0-9a-f]{2})*==[0-9a-f]{32}"
)
_DEVICES: Final = rb"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])"
_NO_DEVICE: Final = rb"(?!" + _DEVICES + rb"(?:\.|\Z))"
_UNESCAPED: Final = {
    False: re.compile(_NO_DEVICE + rb"[a-z0-9_@][a-z0-9\-_@.]{0,99}"),
    True: re.compile(_NO_DEVICE + rb"[a-z0-9_@][a-z0-9\-_@]{0,99}"),
}
"""Expressions for the names that are encoded as themselves. `False` is for names of files, `True`
for names of directories."""

_WINDOWS: Final = re.compile(_DEVICES + rb"(?:\.|$)")
_UNSEEN: Final = frozenset(
    {
        "Cc",  # control characters
        "Cf",  # bidirectional controls, and joiners that are invisible inside words
        "Zl",  # line separator
        "Zp",  # paragraph separator
    }
)
"""Unicode categories of characters that control a terminal, reorder text, or are invisible."""

Scope = tuple[str, ...]
"""The segments of a scope: `("issue", "15")`."""


class Key(NamedTuple):
    """The full name of a value in the store: a scope, and a name in that scope."""

    scope: Scope
    name: str

    @property
    def path(self) -> tuple[bytes, ...]:
        """The components of the key's path below `data/`, without fan-out.

        The last component is the name of the file.
        """
        directories = [
            encode(segment, directory=True) for segment in self.scope
        ]
        return (*directories, self.file)

    @property
    def file(self) -> bytes:
        """The name of the key's file, encoded and with `.json`."""
        stem = encode(self.name, directory=False)
        return stem + SUFFIX

    @property
    def is_cut(self) -> bool:
        """Whether a name in the path was cut. If so, the file must contain the full names."""
        components = self.path
        return any(_CUT_MARK in component for component in components)

    def __str__(self) -> str:
        scope = format_scope(self.scope)
        return f"{scope}/{self.name}"


TEAM_KEY: Final = Key(
    scope=("settings",),
    name="team",
)
"""The key of the settings that a team has agreed on."""


def parse_scope(text: str) -> Scope:
    """Split `issue:15` into its segments.

    Raises:
        InvalidName: `text` has too many segments, or one of them is refused by `check_name`.
    """
    segments = tuple(text.split(SEPARATOR))
    if len(segments) > MAX_SEGMENTS:
        raise InvalidName(
            f"The scope has {len(segments)} segments; "
            f"at most {MAX_SEGMENTS} are allowed",
            then="Move the last parts into the key",
        )
    for segment in segments:
        check_name(segment, "scope segment")
    return segments


def format_scope(scope: Scope) -> str:
    """Join the segments of a scope: `issue:15` for `("issue", "15")`."""
    return SEPARATOR.join(scope)


def parse_key(
    scope: str,
    name: str,
) -> Key:
    """Make a key from a scope and a name that a caller gave.

    Args:
        scope: The scope as text, for example `issue:15`.
        name: The key's name in the scope.

    Raises:
        InvalidName: the scope or the name can't be stored.
    """
    check_name(name, "key")
    segments = parse_scope(scope)
    return Key(segments, name)


def check_name(
    name: str,
    what: str,
) -> None:
    """Raise an error if a name can't be stored.

    Args:
        name: A segment of a scope, a key, or a resource.
        what: The word for the name in the error message, such as `key`.

    Raises:
        InvalidName: `name` is empty, too long or not valid Unicode. Or `name` contains characters
            that could trick a terminal, or only white space.
    """
    if not name:
        raise InvalidName(
            f"The {what} is empty",
            then="Give it a name, such as issue:15",
        )
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidName(
            f"The {what} is not valid Unicode",
            then="Remove the surrogate",
        ) from None
    if length > MAX_NAME_BYTES:
        raise InvalidName(
            f"The {what} is {length} bytes long; "
            f"at most {MAX_NAME_BYTES} are allowed",
            then=f"Shorten the {what}, and keep the long text in the value",
        )
    if not is_visible(name):
        raise InvalidName(
            f"The {what} {name!a} contains a control character, "
            "or no visible character",
            then="Use printable characters only",
        )


def is_visible(name: str) -> bool:
    """Check whether a name has visible characters and no hidden or control characters."""
    if not name.strip():
        return False
    categories = map(unicodedata.category, name)
    return _UNSEEN.isdisjoint(categories)


def encode(
    name: str,
    *,
    directory: bool,
) -> bytes:
    """Encode one component of a path.

    Args:
        name: A segment of a scope, or a key.
        directory: Whether the component is the name of a directory. If not, it is the name of a
            file, and `.json` is not added.
    """
    raw = name.encode()
    if _UNESCAPED[directory].fullmatch(raw):
        return raw
    return _escape(name, directory=directory)


@lru_cache(maxsize=_REMEMBERED)
def _escape(name: str, *, directory: bool) -> bytes:
    """Encode one component of a path, as `encode` does, even if the name needs escapes."""
    raw = name.encode()
    plain = _PLAIN[directory]
    tokens = [_token(byte, plain) for byte in raw]
    begins_with_sign = raw.startswith(_SIGNS)
    encoded = b"".join(tokens)
    if begins_with_sign or _WINDOWS.match(encoded):
        tokens[0] = _hex_token(raw[0])
        encoded = b"".join(tokens)
    if len(encoded) <= _MAX_COMPONENT:
        return encoded
    return _cut(tokens, raw)


def decode(
    component: bytes,
    *,
    directory: bool,
) -> str | None:
    """Decode one component of a path.

    Args:
        component: The name of a directory, or the name of a file with `.json`.
        directory: Whether the component is the name of a directory.

    Returns:
        The decoded name. None if the name was cut, because only the file contains the full name in
        that case.

    Raises:
        ValueError: `component` is not the encoding of a name.
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
    """Decode one component, which may contain escapes; `decode` has already removed `.json`."""
    is_short = len(component) <= _MAX_COMPONENT
    if is_short and _CUT.fullmatch(component):
        return None
    tokens = _TOKEN.findall(component)
    raw = b"".join(map(_byte, tokens))
    name = raw.decode()
    if not is_visible(name):
        raise ValueError(component)
    again = encode(name, directory=directory)
    if again != component:
        raise ValueError(component)
    return name


def _token(byte: int, plain: frozenset[int]) -> bytes:
    """Encode one byte of a name."""
    if byte in _UPPER:
        lower = byte | _CASE
        return b"+%c" % lower
    if byte in plain:
        return b"%c" % byte
    return _hex_token(byte)


def _hex_token(byte: int) -> bytes:
    return b"=%02x" % byte


def _byte(token: bytes) -> bytes:
    """Decode the encoding of one byte, which `_token` made."""
    if token.startswith(b"+"):
        return token[1:].upper()
    if token.startswith(b"="):
        digits = token[1:].decode()
        return bytes.fromhex(digits)
    return token


def _cut(tokens: list[bytes], raw: bytes) -> bytes:
    """Shorten an encoding that is too long for a component of a path."""
    kept = b""
    for token in tokens:
        if len(kept) + len(token) > _CUT_AT:
            break
        kept += token
    digest = hashlib.sha256(raw)
    digits = digest.hexdigest()[:_CUT_DIGITS]
    return kept + _CUT_MARK + digits.encode()
