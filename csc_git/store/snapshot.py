"""Snapshots: what one commit says. Immutable, so it can be read for as long as anyone likes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from csc_git.core import key as names
from csc_git.core.clock import EPOCH
from csc_git.core.key import Key, Scope
from csc_git.core.value import Entry, parse
from csc_git.errors import FormatTooNew, StoreDamaged, ValueTooLarge, WrongType
from csc_git.git.commit import CommitInfo
from csc_git.git.tree import TreeEntry
from csc_git.store.layout import Foreign, Trees, entries, find, is_fan_name, why_foreign

DATA: Final = b"data"
FORMAT_FILE: Final = b"format.json"
FORMAT: Final = 1
_ID: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SMALL: Final = 4096
_decoded: Final = lru_cache(maxsize=1024)(Entry.decode)
"""Entries of up to `_SMALL` bytes, which an edit looks at several times, decoded once."""


class Reads(Trees, Protocol):
    """Where a snapshot reads from: the repository's objects, or a batch on top of them."""

    def blob(self, blob_id: str) -> bytes:
        """The bytes of a blob."""

    def commit(self, commit_id: str) -> CommitInfo:
        """What a commit says."""


@dataclass(frozen=True)
class Stored:
    """An entry with its revision (the id of its blob).

    Attributes:
        entry: What the file holds; of one that can't be read, an entry without value or author.
        revision: The id of its blob.
        is_readable: Whether it is an entry of ours. Somebody may have edited the file by hand.
    """

    entry: Entry
    revision: str
    is_readable: bool = True


def revision_of(stored: Stored | None) -> str | None:
    """The revision of what a key holds; None if it holds nothing."""
    return stored.revision if stored is not None else None


@dataclass(frozen=True)
class Format:
    """What `format.json` says.

    Attributes:
        store: Random id of the store.
        previous: A tip of the same store that this history continues, or None.
    """

    store: str
    previous: str | None


class Snapshot:
    """What a commit says; an empty store if there is no commit yet."""

    def __init__(self, objects: Reads, commit: str | None) -> None:
        self._objects = objects
        self.commit = commit
        self.tree = objects.commit(commit).tree if commit else None
        data = find(objects, self.tree, DATA) if self.tree else None
        self.data = data.id if data and data.is_tree else None

    def get(self, key: Key) -> Stored | None:
        """A key's entry; None if it has none, or one that can't be read.

        For what must go on whatever the disk does, and for who writes over it; see `read`.
        """
        try:
            return self.read(key)
        except StoreDamaged:
            return None

    def read(self, key: Key) -> Stored | None:
        """A key's entry; None if it has none, or one that is no entry of ours.

        Raises:
            StoreDamaged: what it holds is lost or broken on our disk.
        """
        file = self._file(key)
        entry = self._said(file.id) if file else None
        return Stored(entry, file.id) if file and entry else None

    def look(self, key: Key) -> Stored | None:
        """As `read`, but a file that is no entry of ours is there all the same."""
        file = self._file(key)
        if file is None:
            return None
        entry = self._said(file.id)
        if entry is None:
            return Stored(Entry(None, "", EPOCH), file.id, is_readable=False)
        return Stored(entry, file.id)

    def revision(self, key: Key) -> str | None:
        """A key's revision, without reading its value."""
        file = self._file(key)
        return file.id if file else None

    def revision_at(self, path: tuple[bytes, ...]) -> str | None:
        """The revision of the key at a path without fan-out."""
        place = self.data
        for component in path:
            found = find(self._objects, place, component) if place else None
            place = found.id if found else None
        return place

    def keys(self, scope: Scope) -> list[Key]:
        """The keys of a scope, without those of scopes below it."""
        directory = self._directory(scope)
        files = (entry for entry in self._lines(directory) if entry.is_file)
        named = ((self._file_name(file), file) for file in files)
        return sorted(Key(scope, name) for name, _ in named if name is not None)

    def scopes(self) -> list[Scope]:
        """The scopes that hold keys."""
        return sorted(scope for scope, directory in self._walk() if self._holds_keys(directory))

    def foreign(self) -> list[Foreign]:
        """Everything below `data/` that is no entry of ours: for a report, not for reads."""
        found: list[Foreign] = []
        stack = [(b"data/", self.data)] if self.data else []
        while stack:
            path, directory = stack.pop()
            try:
                for line in entries(self._objects, directory, found, path):
                    if line.is_tree:
                        stack.append((path + line.name + b"/", line.id))
                    elif self._file_name(line) is None or self._entry(line.id) is None:
                        found.append(Foreign(path + line.name, "the file is no entry"))
            except StoreDamaged as damage:
                found.append(Foreign(path, damage.what))
        return found

    def format(self) -> Format | None:
        """What `format.json` says; None if this is no store of ours.

        Raises:
            FormatTooNew: a later csc-git wrote it.
        """
        file = find(self._objects, self.tree, FORMAT_FILE) if self.tree else None
        try:
            says = parse(self._objects.blob(file.id)) if file and file.is_file else {}
            number, store, previous = says["format"], says["store"], says.get("previous")
        except (ValueError, KeyError, TypeError, AttributeError, ValueTooLarge):
            return None
        if not isinstance(number, int) or not isinstance(store, str):
            return None
        if number > FORMAT:
            raise FormatTooNew(f"The branch has format {number}; this csc-git reads {FORMAT}")
        is_commit = isinstance(previous, str) and _ID.fullmatch(previous)
        return Format(store, previous if is_commit else None)

    def key_at(self, path: tuple[bytes, ...]) -> Key | None:
        """The key whose path, without fan-out, this is; None if it is nobody's."""
        *directories, file = path
        try:
            segments = [names.decode(part, directory=True) for part in directories]
            name = names.decode(file, directory=False)
        except ValueError:
            return None
        if name is not None and all(segment is not None for segment in segments):
            return Key(tuple(segment for segment in segments if segment is not None), name)
        key = self._full_name(path)
        return key if key and key.path == path else None

    def _full_name(self, path: tuple[bytes, ...]) -> Key | None:
        """What the file at a path with cut components says of itself."""
        place = self.revision_at(path)
        entry = self._entry(place) if place else None
        if entry is None or entry.full_name is None:
            return None
        scope, name = entry.full_name
        whole = all(map(names.is_visible, (*scope.split(names.SEPARATOR), name)))
        return Key(tuple(scope.split(names.SEPARATOR)), name) if whole else None

    def _file(self, key: Key) -> TreeEntry | None:
        directory = self._directory(key.scope)
        found = find(self._objects, directory, key.file) if directory else None
        return found if found and found.is_file else None

    def _directory(self, scope: Scope) -> str | None:
        directory = self.data
        for segment in scope:
            if directory is None:
                return None
            found = find(self._objects, directory, names.encode(segment, directory=True))
            directory = found.id if found and found.is_tree else None
        return directory

    def _walk(self) -> Iterator[tuple[Scope, str]]:
        """Every directory below `data/` whose name can be told."""
        stack: list[tuple[Scope, str]] = [((), self.data)] if self.data else []
        while stack:
            scope, directory = stack.pop()
            if scope:
                yield scope, directory
            for line in self._lines(directory):
                segment = self._segment(line, len(scope)) if line.is_tree else None
                if segment is not None:
                    stack.append(((*scope, segment), line.id))

    def _lines(self, directory: str | None) -> list[TreeEntry]:
        """A directory's entries; none where it can't be read, which `foreign` reports."""
        try:
            return list(entries(self._objects, directory)) if directory else []
        except StoreDamaged:
            return []

    def _holds_keys(self, directory: str) -> bool:
        return any(line.is_file for line in self._lines(directory))

    def _segment(self, line: TreeEntry, depth: int) -> str | None:
        """A directory's segment; where it was cut, some file below knows it."""
        decoded = names.decode(line.name, directory=True)
        if decoded is not None:
            return decoded
        below = self._first_file(line.id)
        full = below.full_name if below else None
        segments = full[0].split(names.SEPARATOR) if full else []
        segment = segments[depth] if depth < len(segments) else ""
        matches = names.is_visible(segment) and names.encode(segment, directory=True) == line.name
        return segment if matches else None

    def _first_file(self, directory: str) -> Entry | None:
        for line in self._lines(directory):
            found = self._first_file(line.id) if line.is_tree else self._entry(line.id)
            if found is not None:
                return found
        return None

    def _file_name(self, line: TreeEntry) -> str | None:
        """A file's key; where it was cut, the file knows it."""
        decoded = names.decode(line.name, directory=False)
        if decoded is not None:
            return decoded
        entry = self._entry(line.id)
        name = entry.full_name[1] if entry and entry.full_name else ""
        return name if names.is_visible(name) and Key((), name).file == line.name else None

    def _entry(self, blob_id: str) -> Entry | None:
        """What a file says, where others can be told without it."""
        try:
            return self._said(blob_id)
        except StoreDamaged:
            return None

    def _said(self, blob_id: str) -> Entry | None:
        """What a file says; None if it is no entry of ours."""
        try:
            data = self._objects.blob(blob_id)
            return _decoded(data) if len(data) <= _SMALL else Entry.decode(data)
        except (ValueError, ValueTooLarge, WrongType):
            return None


def changed_keys(
    objects: Reads, before: Snapshot, after: Snapshot
) -> Iterator[tuple[Key, Stored | None, Stored | None]]:
    """The keys in which two snapshots differ, with their entries on both sides.

    Directories that are the same are never entered, so the cost is that of the difference.
    """
    for path in sorted(set(_changed_files(objects, before.data, after.data))):
        key = after.key_at(path) or before.key_at(path)
        if key is not None and before.revision(key) != after.revision(key):
            yield key, before.look(key), after.look(key)


def _changed_files(
    objects: Reads, before: str | None, after: str | None, path: tuple[bytes, ...] = ()
) -> Iterator[tuple[bytes, ...]]:
    """Paths, without fan-out, of the files that differ; a few more where the fan-out does.

    A line that stands in both trees says the same in both, so only the others are looked at.
    """
    old = set(objects.tree(before)) if before else set()
    new = set(objects.tree(after)) if after else set()
    lines = [line for line in old ^ new if not why_foreign(line)]
    for name in {line.name for line in lines if line.is_file}:
        yield (*path, name)
    for name in {line.name for line in lines if line.is_tree}:
        was = next((line.id for line in old if line.name == name and line.is_tree), None)
        now = next((line.id for line in new if line.name == name and line.is_tree), None)
        yield from _changed_files(objects, was, now, path if is_fan_name(name) else (*path, name))
