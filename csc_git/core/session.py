"""Session names such as `claude_1@laptop`: a name, and the machine on which the session works."""

import re
from typing import Final, NamedTuple

from csc_git.core.key import Key, Scope, check_name, format_scope, parse_scope
from csc_git.errors import InvalidName

DEFAULT_STEM: Final = "claude"
_MAX_LENGTH: Final = 64
_PART: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}",
    re.ASCII,
)
_OUTSIDE: Final = re.compile(r"[^A-Za-z0-9_-]")
_FORM: Final = (
    "Use at most 64 letters, digits, _ . and -, "
    "such as claude_1 or claude_1@laptop"
)


class SessionName(NamedTuple):
    """The full name of a session: its name and its machine."""

    name: str
    machine: str

    def __str__(self) -> str:
        return f"{self.name}@{self.machine}"

    @property
    def scope(self) -> Scope:
        """The session's own scope, `session:claude_1@laptop`."""
        return ("session", str(self))


def parse_session(
    text: str,
    machine: str,
) -> SessionName:
    """Read a short or a full session name.

    Args:
        text: A session name, such as `claude_1` or `claude_1@laptop`.
        machine: The machine to use if `text` contains no machine.

    Raises:
        InvalidName: `text` or `machine` contains characters that are not allowed, or is too long.
    """
    name, at, host = text.partition("@")
    if not at:
        host = machine
    if not (_is_part(name) and _is_part(host)):
        raise InvalidName(
            f"{text[:80]!a} is not a session name",
            then=_FORM,
        )
    return SessionName(name, host)


def is_session_name(text: str) -> bool:
    """Check whether `text` is a full session name, which every record on the branch must have."""
    name, _, host = text.partition("@")
    return _is_part(name) and _is_part(host)


def check_machine(text: str) -> str:
    """Return a machine name unchanged, or raise an error if it is not valid.

    Raises:
        InvalidName: `text` contains characters that are not allowed, or is too long.
    """
    if not _is_part(text):
        raise InvalidName(
            f"{text[:80]!a} is not a machine name",
            then=_FORM,
        )
    return text


def machine_from_host(host: str) -> str:
    """Make a machine name from a host name up to its first dot. Forbidden characters become `-`."""
    label, _, _ = host.partition(".")
    plain = _OUTSIDE.sub("-", label)
    name = plain.lstrip("-_")
    return name[:_MAX_LENGTH] or "machine"


def resolve_scope(
    text: str,
    machine: str,
) -> Scope:
    """Parse a scope. If a session's scope contains no machine, add the machine.

    Args:
        text: A scope as the caller typed it. `session:claude_1` becomes
            `session:claude_1@<machine>`.
        machine: The machine to add if the scope of a session contains no machine.

    Raises:
        InvalidName: `text` is not a scope.
    """
    scope = parse_scope(text)
    first, *rest = scope
    if first != "session" or not rest:
        return scope
    name, *below = rest
    if "@" in name:
        return scope
    full_name = f"{name}@{machine}"
    completed = format_scope((first, full_name, *below))
    return parse_scope(completed)


def resolve_key(
    scope: str,
    key: str,
    machine: str,
) -> Key:
    """Make a key from a scope and a name. The scope is parsed by `resolve_scope`.

    Args:
        scope: The key's scope as the caller typed it.
        key: The key's name in the scope.
        machine: The machine to add if the scope of a session contains no machine.

    Raises:
        InvalidName: `scope` is not a valid scope, or `key` is not a valid name.
    """
    check_name(key, "key")
    segments = resolve_scope(scope, machine)
    return Key(segments, key)


def _is_part(text: str) -> bool:
    """Check whether `text` is valid as the name or the machine of a session."""
    return _PART.fullmatch(text) is not None
