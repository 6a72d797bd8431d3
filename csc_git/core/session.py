"""Session names: `claude_1@laptop`, a name and the machine that the session works on."""

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
_FORM: Final = "Use letters, digits, _ . and -, at most 64, such as claude_1 or claude_1@laptop"


class SessionName(NamedTuple):
    """A session's full name."""

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
        text: `claude_1` or `claude_1@laptop`.
        machine: The machine of a short name.

    Raises:
        InvalidName: `text` or `machine` is outside the grammar.
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
    """Check whether `text` is a full name, as the records on the branch require."""
    name, _, host = text.partition("@")
    return _is_part(name) and _is_part(host)


def check_machine(text: str) -> str:
    """Refuse a machine name outside the grammar; return any other.

    Raises:
        InvalidName: `text` is outside the grammar.
    """
    if not _is_part(text):
        raise InvalidName(
            f"{text[:80]!a} is not a machine name",
            then=_FORM,
        )
    return text


def machine_from_host(host: str) -> str:
    """Make a machine name of a host name: its first label, with `-` for other characters."""
    label, _, _ = host.partition(".")
    plain = _OUTSIDE.sub("-", label)
    name = plain.lstrip("-_")
    return name[:_MAX_LENGTH] or "machine"


def resolve_scope(
    text: str,
    machine: str,
) -> Scope:
    """Read a scope, and add the machine to that of a session.

    Args:
        text: A scope as typed. `session:claude_1` becomes `session:claude_1@<machine>`.
        machine: The machine that is meant where the scope names none.

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
    """Read a key, its scope as `resolve_scope` does.

    Args:
        scope: Its scope as typed.
        key: Its name in the scope.
        machine: The machine that is meant where the scope names none.

    Raises:
        InvalidName: not a scope, or not a name.
    """
    check_name(key, "key")
    segments = resolve_scope(scope, machine)
    return Key(segments, key)


def _is_part(text: str) -> bool:
    """Check whether `text` may be the name or the machine of a session."""
    return _PART.fullmatch(text) is not None
