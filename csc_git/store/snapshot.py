"""Snapshots: the state that one commit holds. Immutable, so it can be read at any time."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

from csc_git.core import key as names
from csc_git.core.clock import EPOCH
from csc_git.core.key import Key, Scope
from csc_git.core.value import Entry, parse
from csc_git.errors import FormatTooNew, StoreDamaged, ValueTooLarge, WrongType
from csc_git.git.objects.commit import CommitInfo
from csc_git.git.objects.database import Unlisted
from csc_git.git.objects.reader import Objects
from csc_git.git.objects.tree import TREE_MODE, TreeEntry
from csc_git.store.index import Index, index_of
from csc_git.store.layout import (
    Foreign,
    Trees,
    entries,
    files_below,
    find,
    is_fan_name,
)

DATA: Final = b"data"
FORMAT_FILE: Final = b"format.json"
FORMAT: Final = 1
_ID: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SMALL: Final = 4096
_decoded: Final = lru_cache(maxsize=1024)(Entry.decode)
"""Entries of up to `_SMALL` bytes, which an edit looks at several times, decoded once."""


class Reads(Trees, Protocol):
    """Where a snapshot reads from: the repository's objects, or a batch on top of them."""

    @property
    def shared(self) -> dict[str, Any]:
        """What is derived from objects."""

    @property
    def stored(self) -> Objects:
        """The repository's objects."""

    def is_stored(self, object_id: str) -> bool:
        """Whether an object is on disk, and not only staged."""

    def blob(self, blob_id: str) -> bytes:
        """The bytes of a blob."""

    def commit(self, commit_id: str) -> CommitInfo:
        """The content of a commit."""


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
    """The content of `format.json`.

    Attributes:
        store: Random id of the store.
        previous: A tip of the same store that this history continues, or None.
    """

    store: str
    previous: str | None


class Snapshot:
    """The state that a commit holds; an empty store if there is no commit yet."""

    def __init__(self, objects: Reads, commit: str | None) -> None:
        self.objects = objects
        self.commit = commit
        self.tree = objects.commit(commit).tree if commit else None
        data = find(objects, self.tree, DATA) if self.tree else None
        self.data = data.id if data and data.is_tree else None

    def get(self, key: Key) -> Stored | None:
        """A key's entry; None if it has none, or one that can't be read.

        For reads that must not fail on a damaged disk, and before a key is overwritten; see `read`.
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
            found = find(self.objects, place, component) if place else None
            place = found.id if found else None
        return place

    def keys(self, scope: Scope) -> list[Key]:
        """The keys of a scope, without those of scopes below it, in order."""
        return [Key(scope, name) for name in self.names(scope)]

    def names(self, scope: Scope) -> Sequence[str]:
        """The names of a scope's keys, without those of scopes below it, in order."""
        directory = self._directory(scope)
        return self._index.names(self, scope, directory) if directory else []

    def records(self, scope: Scope) -> Mapping[str, Stored]:
        """What the keys of a scope hold, by their names; those that can't be read are left out.

        They stay in memory, so this is for csc-git's own scopes, whose values are small.
        """
        directory = self._directory(scope)
        return self._index.records(self, scope, directory) if directory else {}

    def scopes(self) -> list[Scope]:
        """The scopes that hold keys, in order."""
        return sorted(
            tuple(text.split(names.SEPARATOR)) for text in self.scope_texts()
        )

    def scope_texts(self) -> Sequence[str]:
        """The scopes that hold keys, written `issue:15`, in the order of these texts."""
        return self._index.scopes(self, self.data) if self.data else ()

    @property
    def _index(self) -> Index:
        return index_of(self.objects.shared)

    def files_in(self, directory: str) -> dict[str, str]:
        """The keys in a directory with their blobs; raises StoreDamaged."""
        found: dict[str, str] = {}
        for name, blob_id in self._listed_files(directory):
            key = self._name_of(name, blob_id)
            if key is not None:
                found[key] = blob_id
        return found

    def _listed_files(self, directory: str) -> Iterable[tuple[bytes, str]]:
        """The files of a directory with their blobs; a directory that is split is read by git."""
        if any(is_fan_name(line.name) for line in self.objects.tree(directory)):
            with suppress(Unlisted):
                return files_below(
                    self.objects.stored.list_below(directory)
                ).items()
        lines = entries(self.objects, directory)
        return [(line.name, line.id) for line in lines if line.is_file]

    def named(self, directory: str, file: bytes) -> str | None:
        """The key of a file in a directory."""
        line = find(self.objects, directory, file)
        return (
            self._file_name(line) if line is not None and line.is_file else None
        )

    def records_in(self, directory: str) -> Iterator[tuple[str, Stored]]:
        """The names of the keys in a directory with what they hold, if it is an entry.

        Raises:
            StoreDamaged: the directory or a value in it is lost or broken on our disk.
        """
        files = self.files_in(directory)
        self.objects.stored.read_ahead(files.values())
        for name, blob_id in files.items():
            entry = self._said(blob_id)
            if entry is not None:
                yield name, Stored(entry, blob_id)

    def readable_names(self, directory: str) -> Iterator[str]:
        """The names of the keys in the readable part of a directory."""
        named = (
            self._file_name(line)
            for line in self._lines(directory)
            if line.is_file
        )
        return (name for name in named if name is not None)

    def segment(self, name: bytes, directory: str, depth: int) -> str | None:
        """The segment of a scope that a directory represents; None if its name is not valid."""
        try:
            return self._segment(
                TreeEntry.of(name, TREE_MODE, directory), depth
            )
        except ValueError:
            return None

    def foreign(
        self, has_time: Callable[[], bool] = lambda: True
    ) -> Iterator[Foreign]:
        """Everything below `data/` that is no entry of ours: for a report, not for reads.

        Args:
            has_time: Asked now and then; False to leave the rest out.
        """
        stack = [(b"data/", self.data)] if self.data else []
        while stack and has_time():
            path, directory = stack.pop()
            found: list[Foreign] = []
            try:
                for line in entries(self.objects, directory, found, path):
                    if line.is_tree:
                        stack.append((path + line.name + b"/", line.id))
                    elif has_time() and not (
                        self._file_name(line) and self._entry(line.id)
                    ):
                        found.append(
                            Foreign(path + line.name, "the file is no entry")
                        )
            except StoreDamaged as damage:
                found.append(Foreign(path, damage.what))
            yield from found

    def format(self) -> Format | None:
        """The content of `format.json`; None if this is not a store of csc-git.

        Raises:
            FormatTooNew: a later csc-git wrote it.
        """
        file = find(self.objects, self.tree, FORMAT_FILE) if self.tree else None
        try:
            content = (
                parse(self.objects.blob(file.id))
                if file and file.is_file
                else {}
            )
            number, store, previous = (
                content["format"],
                content["store"],
                content.get("previous"),
            )
        except (ValueError, KeyError, TypeError, AttributeError, ValueTooLarge):
            return None
        if not isinstance(number, int) or not isinstance(store, str):
            return None
        if number > FORMAT:
            raise FormatTooNew(
                f"The branch has format {number}; this csc-git reads {FORMAT}"
            )
        is_commit = isinstance(previous, str) and _ID.fullmatch(previous)
        return Format(store, previous if is_commit else None)

    def key_at(self, path: tuple[bytes, ...]) -> Key | None:
        """The key whose path, without fan-out, this is; None if it is nobody's."""
        *directories, file = path
        try:
            segments = [
                names.decode(part, directory=True) for part in directories
            ]
            name = names.decode(file, directory=False)
        except ValueError:
            return None
        if name is not None and all(
            segment is not None for segment in segments
        ):
            return Key(
                tuple(segment for segment in segments if segment is not None),
                name,
            )
        key = self._full_name(path)
        return key if key and key.path == path else None

    def _full_name(self, path: tuple[bytes, ...]) -> Key | None:
        """The full name that a file with cut path components holds."""
        place = self.revision_at(path)
        entry = self._entry(place) if place else None
        if entry is None or entry.full_name is None:
            return None
        scope, name = entry.full_name
        whole = all(
            map(names.is_visible, (*scope.split(names.SEPARATOR), name))
        )
        return Key(tuple(scope.split(names.SEPARATOR)), name) if whole else None

    def _file(self, key: Key) -> TreeEntry | None:
        directory = self._directory(key.scope)
        found = find(self.objects, directory, key.file) if directory else None
        return found if found and found.is_file else None

    def _directory(self, scope: Scope) -> str | None:
        directory = self.data
        for segment in scope:
            if directory is None:
                return None
            found = find(
                self.objects, directory, names.encode(segment, directory=True)
            )
            directory = found.id if found and found.is_tree else None
        return directory

    def _lines(self, directory: str | None) -> list[TreeEntry]:
        """A directory's entries; empty if it can't be read, which `foreign` reports."""
        try:
            return list(entries(self.objects, directory)) if directory else []
        except StoreDamaged:
            return []

    def _segment(self, line: TreeEntry, depth: int) -> str | None:
        """A directory's segment; where it was cut, some file below knows it."""
        decoded = names.decode(line.name, directory=True)
        if decoded is not None:
            return decoded
        below = self._first_file(line.id)
        full = below.full_name if below else None
        segments = full[0].split(names.SEPARATOR) if full else []
        segment = segments[depth] if depth < len(segments) else ""
        matches = (
            names.is_visible(segment)
            and names.encode(segment, directory=True) == line.name
        )
        return segment if matches else None

    def _first_file(self, directory: str) -> Entry | None:
        for line in self._lines(directory):
            found = (
                self._first_file(line.id)
                if line.is_tree
                else self._entry(line.id)
            )
            if found is not None:
                return found
        return None

    def _file_name(self, line: TreeEntry) -> str | None:
        return self._name_of(line.name, line.id)

    def _name_of(self, file: bytes, blob_id: str) -> str | None:
        """A file's key; where it was cut, the file knows it."""
        decoded = names.decode(file, directory=False)
        if decoded is not None:
            return decoded
        entry = self._entry(blob_id)
        name = entry.full_name[1] if entry and entry.full_name else ""
        return (
            name
            if names.is_visible(name) and Key((), name).file == file
            else None
        )

    def _entry(self, blob_id: str) -> Entry | None:
        """The entry in a file; None also if the file is damaged."""
        try:
            return self._said(blob_id)
        except StoreDamaged:
            return None

    def _said(self, blob_id: str) -> Entry | None:
        """The entry in a file; None if it is not one of ours."""
        try:
            data = self.objects.blob(blob_id)
            return _decoded(data) if len(data) <= _SMALL else Entry.decode(data)
        except (ValueError, ValueTooLarge, WrongType):
            return None
