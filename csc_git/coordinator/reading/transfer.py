"""Export the values of a store as JSON Lines, and read the values for an import.

An import can also read the files of claude_session_coordinator, which is another server with the
same eight tools. That server keeps its files on one machine, in a directory with one JSON file for
each scope. The name of a file consists of the machine, the project and the scope, separated by
`__`. The values are in the member `data` of the file.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from csc_git.coordinator.results.data import Exported
from csc_git.core.clock import format_time
from csc_git.core.key import RESERVED, Key, Scope, check_name, format_scope
from csc_git.core.session import machine_from_host, resolve_key, resolve_scope
from csc_git.core.value import Json, is_same, parse
from csc_git.errors import CscError, InvalidValue
from csc_git.store.tree.snapshot import Snapshot

_REGISTRY: Final = "__instances"
"""The end of the file name of a project's registry, without `.json`."""

_SEPARATOR: Final = "__"


_Matches = Callable[[str], object]
"""A function that gets a scope as text and returns a true value if the scope is wanted."""

_Values = dict[Key, Json]


class _Line(BaseModel):
    """The members that an import reads from a line of an export."""

    model_config = ConfigDict(strict=True)

    scope: str
    key: str
    value: Any


class _File(BaseModel):
    """The members that an import reads from a file of claude_session_coordinator."""

    model_config = ConfigDict(strict=True)

    data: dict[str, Any]


class _Source(NamedTuple):
    """The content of a file of claude_session_coordinator.

    Attributes:
        stem: The file's name without `.json`.
        values: The values by the name of the key.
    """

    stem: str
    values: dict[str, Json]

    @property
    def is_registry(self) -> bool:
        """Whether the file lists the sessions that are signed on.

        Such a file is not imported. The names of the project's other files begin with the same
        prefix as the name of this file.
        """
        registry = self.values.get("registry")
        is_named_so = self.stem.endswith(_REGISTRY)
        return is_named_so and isinstance(registry, dict)


def export(
    snapshot: Snapshot,
    matches: _Matches,
) -> Iterator[Exported]:
    """Yield the readable values of the wanted scopes, sorted by scope and key.

    Args:
        snapshot: The state to read.
        matches: A function that returns whether a scope is wanted. Scopes that are reserved for
            csc-git itself are left out.
    """
    scopes = sorted(_wanted(snapshot, matches))
    for scope in scopes:
        keys = sorted(snapshot.keys(scope))
        for key in keys:
            stored = snapshot.read(key)
            if stored is None:
                continue
            entry = stored.entry
            yield Exported(
                scope=format_scope(scope),
                key=key.name,
                value=entry.value,
                session=entry.session,
                time=format_time(entry.time),
            )


def unreadable(
    snapshot: Snapshot,
    matches: _Matches,
) -> list[str]:
    """Return the keys of the wanted scopes whose files can't be read.

    Each key is returned in the form `scope/key`.

    Args:
        snapshot: The state to read.
        matches: A function that returns whether a scope is wanted. Scopes that are reserved for
            csc-git itself are left out.
    """
    found: list[str] = []
    for scope in _wanted(snapshot, matches):
        keys = snapshot.keys(scope)
        found += [str(key) for key in keys if snapshot.read(key) is None]
    return found


def _wanted(
    snapshot: Snapshot,
    matches: _Matches,
) -> Iterator[Scope]:
    for scope in snapshot.scopes():
        if scope[0] in RESERVED:
            continue
        text = format_scope(scope)
        if matches(text):
            yield scope


class Comparison(NamedTuple):
    """The effects that an import would have.

    Attributes:
        new: The keys that the import would create.
        changed: The keys whose values the import would change.
    """

    new: list[Key]
    changed: list[Key]


def read_lines(
    lines: Iterator[str],
    machine: str,
) -> dict[Key, Json]:
    """Return the values in the lines that `export` wrote. If a key is repeated, use the last value.

    Args:
        lines: The lines of the exported file.
        machine: This machine's name, which is added to short session names in scopes.

    Raises:
        InvalidValue: a line is not valid. The error message contains the number of the line.
    """
    found: _Values = {}
    decoded = _decoded(lines)
    for number, line in enumerate(decoded, 1):
        if not line.strip():
            continue
        try:
            members = parse(line)
            read = _Line.model_validate(members)
            key = resolve_key(read.scope, read.key, machine)
        except (CscError, ValueError) as error:
            place = f"line {number}"
            raise _failed(place, error) from None
        found[key] = read.value
    return found


def read_directory(directory: Path) -> dict[Key, Json]:
    """Return the values in a directory of claude_session_coordinator.

    Raises:
        InvalidValue: there are no JSON files, a file can't be read as a scope, or two files have
            different values for the same key.
        InvalidName: a file has a key whose name is not valid.
    """
    paths = directory.glob("*.json")
    files = [_read(path) for path in sorted(paths)]
    if not files:
        raise _invalid(f"there are no .json files in {directory}")
    prefixes: list[str] = []
    for file in files:
        if file.is_registry:
            prefix = file.stem.removesuffix(_REGISTRY)
            prefixes.append(prefix)
    found: _Values = {}
    for file in files:
        if file.is_registry:
            continue
        scope = _scope_of(file.stem, prefixes)
        for name, value in file.values.items():
            check_name(name, "key")
            key = Key(scope, name)
            earlier = found.setdefault(key, value)
            if not is_same(earlier, value):
                raise _invalid(
                    f"{file.stem}.json: "
                    f"the key {key} has another value in another file"
                )
    return found


def compare(
    snapshot: Snapshot,
    values: Mapping[Key, Json],
) -> Comparison:
    """Compare the values of an import with the values in the store.

    Args:
        snapshot: The state before the import.
        values: The values to import, by key.
    """
    new: list[Key] = []
    changed: list[Key] = []
    for key, value in values.items():
        stored = snapshot.get(key)
        if stored is None:
            new.append(key)
        elif not is_same(stored.entry.value, value):
            changed.append(key)
    return Comparison(new, changed)


def _read(path: Path) -> _Source:
    values: dict[str, Json] = {}
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        file = _File.model_validate(content)
        for name, value in file.data.items():
            # `parse` refuses values that can't be stored, such as numbers that are not finite.
            text = json.dumps(value)
            values[name] = parse(text)
    except (CscError, OSError, ValueError, RecursionError) as error:
        raise _failed(path.name, error) from None
    return _Source(path.stem, values)


def _scope_of(
    stem: str,
    prefixes: Iterable[str],
) -> Scope:
    """Return the scope of a file of claude_session_coordinator, read from the file's name.

    For instance, the scope of `laptop__owner__project__session__claude_1` is
    `session:claude_1@laptop`. The name of the project may or may not contain an owner. So only the
    file name of the project's registry shows where the name of the project ends. The file name does
    not show which parts of the scope were separated by slashes.
    """
    starts = [prefix + _SEPARATOR for prefix in prefixes]
    fitting = list(filter(stem.startswith, starts))
    if not fitting:
        raise _invalid(
            f"{stem}.json: the project's registry file is missing; "
            f"its name would end in {_REGISTRY}.json"
        )
    start = max(fitting, key=len)
    rest = stem.removeprefix(start)
    host, _, _ = start.partition(_SEPARATOR)
    machine = machine_from_host(host)
    scope = rest.replace(_SEPARATOR, ":")
    return resolve_scope(scope, machine)


def _decoded(lines: Iterator[str]) -> Iterator[str]:
    try:
        yield from lines
    except UnicodeDecodeError as error:
        reason = error.reason
        raise _invalid(f"the text is not UTF-8 ({reason})") from None


def _why(error: Exception) -> str:
    """Return a few words about what is wrong with a line or a file."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        names = map(str, first["loc"])
        place = ".".join(names) or "it"
        message = first["msg"]
        return f"{place}: {message}"
    if isinstance(error, CscError):
        return error.what
    if isinstance(error, ValueError):
        return f"the text is not JSON ({error})"
    return str(error)


def _failed(
    place: str,
    error: Exception,
) -> InvalidValue:
    """Return the error for a line or a file that could not be read."""
    why = _why(error)
    return _invalid(f"{place}: {why}")


def _invalid(what: str) -> InvalidValue:
    return InvalidValue(
        f"The input can't be imported: {what}",
        then="Give JSON Lines from csc-git export, or a directory of session-state files",
    )
