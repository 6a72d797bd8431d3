"""Transfer: values in JSON Lines, out of a store and into one.

Also out of the files that claude_session_coordinator (a server of another project, with the same
eight tools) keeps on one machine: a directory with a JSON file a scope, named after machine,
project and scope, with `__` for what separates them, and the values under `data`.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from csc_git.coordinator.results.data import Exported
from csc_git.core.clock import format_time
from csc_git.core.key import RESERVED, Key, Scope, check_name, format_scope
from csc_git.core.session import machine_from_host, resolve_key, resolve_scope
from csc_git.core.value import Json, is_same, parse
from csc_git.errors import CscError, InvalidValue
from csc_git.store.snapshot import Snapshot

_REGISTRY: Final = "__instances"
"""How the file of a project's registry ends."""


class _Line(BaseModel):
    """A line of an export: the members that an import reads."""

    model_config = ConfigDict(strict=True)

    scope: str
    key: str
    value: Any


class _File(BaseModel):
    """A file of claude_session_coordinator: the members that an import reads."""

    model_config = ConfigDict(strict=True)

    data: dict[str, Any]


def export(
    snapshot: Snapshot, matches: Callable[[str], object]
) -> Iterator[Exported]:
    """The values of the scopes that match, in the order of their names; none of csc-git's own."""
    for scope in sorted(snapshot.scopes()):
        name = format_scope(scope)
        if scope[0] in RESERVED or not matches(name):
            continue
        for key in sorted(snapshot.keys(scope)):
            if (stored := snapshot.read(key)) is not None:
                entry = stored.entry
                yield Exported(
                    scope=name,
                    key=key.name,
                    value=entry.value,
                    session=entry.session,
                    time=format_time(entry.time),
                )


def unreadable(
    snapshot: Snapshot, matches: Callable[[str], object]
) -> list[str]:
    """The keys of the scopes that match whose files can't be read, as scope/key."""
    return [
        str(key)
        for scope in snapshot.scopes()
        if scope[0] not in RESERVED and matches(format_scope(scope))
        for key in snapshot.keys(scope)
        if snapshot.read(key) is None
    ]


def read_lines(lines: Iterator[str], machine: str) -> dict[Key, Json]:
    """The values of JSON Lines as `export` writes them; the last of a key wins.

    Raises:
        InvalidValue: a line is not valid; the message names it.
    """
    found: dict[Key, Json] = {}
    for number, line in enumerate(_decoded(lines), 1):
        if not line.strip():
            continue
        try:
            read = _Line.model_validate(parse(line))
            key = resolve_key(read.scope, read.key, machine)
            found[key] = read.value
        except (CscError, ValueError) as error:
            raise _invalid(f"line {number}: {_why(error)}") from None
    return found


def read_directory(directory: Path) -> dict[Key, Json]:
    """The values of a directory of claude_session_coordinator.

    Raises:
        InvalidValue: a file in it can't be read as one of its scopes.
    """
    found: dict[Key, Json] = {}
    if not (files := sorted(directory.glob("*.json"))):
        raise _invalid(f"there are no *.json in {directory}")
    data = {file.stem: _data_of(file) for file in files}
    registries = [
        stem.removesuffix(_REGISTRY)
        for stem in data
        if _is_registry(stem, data[stem])
    ]
    for stem, values in data.items():
        if not _is_registry(stem, values):
            scope = _scope_of(stem, registries)
            for name, value in values.items():
                check_name(name, "key")
                _add(found, Key(scope, name), value, stem)
    return found


def compare(
    snapshot: Snapshot, values: Mapping[Key, Json]
) -> tuple[list[Key], list[Key]]:
    """Which of some values would be new, and which would change something."""
    new, other = list[Key](), list[Key]()
    for key, value in values.items():
        stored = snapshot.get(key)
        if stored is None:
            new.append(key)
        elif not is_same(stored.entry.value, value):
            other.append(key)
    return new, other


def _data_of(file: Path) -> dict[str, Json]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        values = _File.model_validate(content).data
        return {
            name: parse(json.dumps(value)) for name, value in values.items()
        }
    except (CscError, OSError, ValueError, RecursionError) as error:
        raise _invalid(f"{file.name}: {_why(error)}") from None


def _is_registry(stem: str, values: Mapping[str, Json]) -> bool:
    """Whether a file lists who is signed on. It is not imported, but its name has the prefix."""
    return stem.endswith(_REGISTRY) and isinstance(values.get("registry"), dict)


def _scope_of(stem: str, prefixes: Iterable[str]) -> Scope:
    """`laptop__owner__project__session__claude_1` as `session:claude_1@laptop`.

    The registry beside it shows how much of the name is machine and project: a project has an
    owner, or none. Nothing shows which parts of the rest were separated by a slash.
    """
    longest = max(
        (one for one in prefixes if stem.startswith(f"{one}__")),
        key=len,
        default=None,
    )
    if longest is None:
        raise _invalid(
            f"{stem}.json: no *{_REGISTRY}.json shows the project's name in it"
        )
    scope = stem.removeprefix(f"{longest}__").replace("__", ":")
    return resolve_scope(scope, machine_from_host(longest.partition("__")[0]))


def _add(found: dict[Key, Json], key: Key, value: Json, stem: str) -> None:
    if key in found and not is_same(found[key], value):
        raise _invalid(f"{stem}.json: another file has another value for {key}")
    found[key] = value


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
    return (
        f"it is no JSON ({error})"
        if isinstance(error, ValueError)
        else str(error)
    )


def _invalid(what: str) -> InvalidValue:
    return InvalidValue(
        f"It can't be imported: {what}",
        then="Give JSON Lines as csc-git export writes them, or a directory of session-state files",
    )
