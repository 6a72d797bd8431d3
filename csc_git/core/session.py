"""Session names: `claude_1@laptop`, a name and the machine it works on."""

import re
from typing import Final, NamedTuple

from csc_git.core.key import Scope, format_scope, parse_scope
from csc_git.errors import InvalidName

DEFAULT_STEM: Final = "claude"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
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


def parse_session(text: str, machine: str) -> SessionName:
    """Read a short or a full name; a short one is on `machine`.

    Raises:
        InvalidName: outside the grammar.
    """
    name, at, host = text.partition("@")
    for part in (name, host if at else machine):
        if not _NAME.fullmatch(part):
            raise InvalidName(f"{text[:80]!a} is no session name", then=_FORM)
    return SessionName(name, host if at else machine)


def is_session_name(text: str) -> bool:
    """Whether `text` is a full name, as those of records on the branch must be."""
    name, at, host = text.partition("@")
    return bool(at and _NAME.fullmatch(name) and _NAME.fullmatch(host))


def check_machine(text: str) -> str:
    """Refuse a machine name outside the grammar."""
    if not _NAME.fullmatch(text):
        raise InvalidName(f"{text[:80]!a} is no machine name", then=_FORM)
    return text


def machine_from_host(host: str) -> str:
    """A machine name made of a host's: its first label, with other characters as `-`."""
    label = re.sub(r"[^A-Za-z0-9_-]", "-", host.partition(".")[0]).lstrip("-_")[
        :64
    ]
    return label or "machine"


def resolve_scope(text: str, machine: str) -> str:
    """`session:claude_1` as `session:claude_1@<machine>`; any other scope as it is."""
    scope = parse_scope(text)
    if scope[0] != "session" or len(scope) == 1 or "@" in scope[1]:
        return text
    return format_scope((scope[0], f"{scope[1]}@{machine}", *scope[2:]))
