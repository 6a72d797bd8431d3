"""Transfer: values in JSON Lines, out of a store and into one.

Also out of the files that claude_session_coordinator (a server of another project, with the same
eight tools) keeps on one machine: a directory with a JSON file a scope, named after machine,
project and scope, with `__` for what separates them, and the values under `data`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from csc_git.coordinator.results import Exported
from csc_git.core.clock import format_time
from csc_git.core.key import RESERVED, Key, format_scope, parse_key
from csc_git.core.session import machine_from_host, resolve_scope
from csc_git.core.value import Json, is_same, parse
from csc_git.errors import CscError, InvalidValue
from csc_git.store.snapshot import Snapshot

_PARTS: Final = 4
_BOOKS: Final = "clones"
"""First segment of what `init` and `doctor` write to try a clone."""

_REGISTRY: Final = "instances"
"""The scope of who is signed on: of no use elsewhere."""


class _Line(BaseModel):
    """A line of an export, as far as it is read."""

    model_config = ConfigDict(strict=True)

    scope: str
    key: str
    value: Any


class _File(BaseModel):
    """A file of claude_session_coordinator, as far as it is read."""

    model_config = ConfigDict(strict=True)

    data: dict[str, Any]


def export(snapshot: Snapshot, matches: Callable[[str], object]) -> Iterator[Exported]:
    """The values of the scopes that match, in the order of their names; none of csc-git's own."""
    for scope in sorted(snapshot.scopes()):
        name = format_scope(scope)
        if scope[0] in {*RESERVED, _BOOKS} or not matches(name):
            continue
        for key in sorted(snapshot.keys(scope)):
            if (stored := snapshot.get(key)) is not None:
                entry = stored.entry
                yield Exported(
                    scope=name,
                    key=key.name,
                    value=entry.value,
                    session=entry.session,
                    time=format_time(entry.time),
                )


def read_lines(lines: Iterator[str], machine: str) -> dict[Key, Json]:
    """The values of JSON Lines as `export` writes them; the last of a key wins.

    Raises:
        InvalidValue: a line is none; says which.
    """
    found: dict[Key, Json] = {}
    for number, line in enumerate(_decoded(lines), 1):
        if not line.strip():
            continue
        try:
            says = _Line.model_validate(parse(line))
            found[parse_key(resolve_scope(says.scope, machine), says.key)] = says.value
        except (CscError, ValueError) as error:
            raise _invalid(f"line {number}: {_why(error)}") from None
    return found


def read_directory(directory: Path) -> dict[Key, Json]:
    """The values of a directory of claude_session_coordinator.

    Raises:
        InvalidValue: a file in it can't be read as one of its scopes.
    """
    found: dict[Key, Json] = {}
    files = sorted(directory.glob("*.json"))
    if not files:
        raise _invalid(f"there are no *.json in {directory}")
    for file in files:
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            for name, value in _File.model_validate(content).data.items():
                if (scope := _scope_of(file.stem)) != _REGISTRY:
                    found[parse_key(scope, name)] = parse(json.dumps(value))
        except (CscError, OSError, ValueError, RecursionError) as error:
            raise _invalid(f"{file.name}: {_why(error)}") from None
    return found


def compare(snapshot: Snapshot, values: Mapping[Key, Json]) -> tuple[list[Key], list[Key]]:
    """Which of some values would be new, and which would change something."""
    new, other = list[Key](), list[Key]()
    for key, value in values.items():
        stored = snapshot.get(key)
        if stored is None:
            new.append(key)
        elif not is_same(stored.entry.value, value):
            other.append(key)
    return new, other


def _scope_of(stem: str) -> str:
    """`laptop__owner__project__session__claude_1` as `session:claude_1@laptop`.

    Which of its parts were separated by a slash is not told; a project has one.
    """
    parts = stem.split("__")
    machine, rest = (parts[0], parts[3:]) if len(parts) >= _PARTS else ("", parts)
    scope = ":".join(rest)
    return resolve_scope(scope, machine_from_host(machine)) if machine else scope


def _decoded(lines: Iterator[str]) -> Iterator[str]:
    try:
        yield from lines
    except UnicodeDecodeError as error:
        raise _invalid(f"it is no text in UTF-8 ({error.reason})") from None


def _why(error: Exception) -> str:
    """What is wrong with a line or a file, in a few words."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
    if isinstance(error, CscError):
        return error.what
    return f"it is no JSON ({error})" if isinstance(error, ValueError) else str(error)


def _invalid(what: str) -> InvalidValue:
    return InvalidValue(
        f"It can't be imported: {what}",
        then="Give JSON Lines as csc-git export writes them, or a directory of session-state files",
    )
