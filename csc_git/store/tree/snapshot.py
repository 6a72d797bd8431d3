"""Snapshots: the values of all keys in one commit. A snapshot never changes."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

from csc_git.core import key as names
from csc_git.core.clock import EPOCH
from csc_git.core.commit import CommitInfo
from csc_git.core.key import Key, Scope
from csc_git.core.value import Entry, parse
from csc_git.errors import (
    FormatTooNew,
    StoreDamaged,
    TreeNotListed,
    ValueTooLarge,
    WrongType,
)
from csc_git.git.objects.objects import Objects
from csc_git.git.objects.tree import TREE_MODE, TreeEntry
from csc_git.store.tree.index import Index, index_of
from csc_git.store.tree.layout import (
    Components,
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
"""Decode a small entry. The result is cached, because an edit reads an entry several times."""


class Reads(Trees, Protocol):
    """The source of a snapshot's objects: a repository, or a batch of new objects."""

    @property
    def shared(self) -> dict[str, Any]:
        """The repository's cache of results that were computed from objects."""

    @property
    def stored(self) -> Objects:
        """The repository's objects."""

    def is_stored(self, object_id: str) -> bool:
        """Return whether an object is on disk; False if the object is only in memory."""

    def blob(self, blob_id: str) -> bytes:
        """Return the bytes of a blob."""

    def commit(self, commit_id: str) -> CommitInfo:
        """Return the content of a commit."""


@dataclass(frozen=True)
class Stored:
    """An entry with its revision.

    Attributes:
        entry: The content of the key's file. If the file is not a valid entry, this entry has no
            value and no author.
        revision: The id of the file's blob.
        is_readable: Whether the file is a valid entry. For instance, the file may be invalid
            because somebody edited it by hand.
    """

    entry: Entry
    revision: str
    is_readable: bool = True


def revision_of(stored: Stored | None) -> str | None:
    """Return the revision of a key's entry; None if the key has no entry."""
    if stored is None:
        return None
    return stored.revision


@dataclass(frozen=True)
class Format:
    """The content of `format.json`.

    Attributes:
        store: The random id of the store.
        previous: The last commit of the older history, if a rotation replaced that history by this
            history; None if there was no rotation.
    """

    store: str
    previous: str | None


class Snapshot:
    """The values of all keys in one commit.

    Args:
        objects: The Git objects to read from.
        commit: The commit; None for an empty store.
    """

    def __init__(self, objects: Reads, commit: str | None) -> None:
        self.objects = objects
        self.commit = commit
        self.tree: str | None = None
        self.data: str | None = None
        if commit:
            self.tree = objects.commit(commit).tree
            self.data = self._tree_in(self.tree, DATA)

    def get(self, key: Key) -> Stored | None:
        """Return a key's entry; None if the key has no entry, or if the entry can't be read.

        Use this method if a damaged disk must not cause an error, or for a key that will be
        overwritten. For all other purposes, use `read`.
        """
        try:
            return self.read(key)
        except StoreDamaged:
            return None

    def read(self, key: Key) -> Stored | None:
        """Return a key's entry; None if the key has no file, or if the file is not an entry.

        Raises:
            StoreDamaged: the file is missing or damaged on this disk.
        """
        file = self._file(key)
        if file is None:
            return None
        entry = self._decode(file.id)
        if entry is None:
            return None
        return Stored(entry, file.id)

    def look(self, key: Key) -> Stored | None:
        """Return a key's entry; a placeholder without a value if the key's file is not an entry.

        Raises:
            StoreDamaged: the file is missing or damaged on this disk.
        """
        file = self._file(key)
        if file is None:
            return None
        entry = self._decode(file.id)
        if entry is None:
            unreadable = Entry(None, "", EPOCH)
            return Stored(unreadable, file.id, is_readable=False)
        return Stored(entry, file.id)

    def revision(self, key: Key) -> str | None:
        """Return a key's revision, without reading the key's value; None if there is no value."""
        file = self._file(key)
        if file is None:
            return None
        return file.id

    def revision_at(self, path: Components) -> str | None:
        """Return the revision of the key at a path. The path must not have fan-out directories."""
        place = self.data
        for component in path:
            if place is None:
                return None
            found = find(self.objects, place, component)
            if found is None:
                return None
            place = found.id
        return place

    def keys(self, scope: Scope) -> list[Key]:
        """Return the sorted keys of a scope, without the keys of scopes below it."""
        return [Key(scope, name) for name in self.names(scope)]

    def names(self, scope: Scope) -> Sequence[str]:
        """Return the sorted names of a scope's keys, without the keys of scopes below it."""
        directory = self._directory(scope)
        if directory is None:
            return []
        return self._index.names(self, scope, directory)

    def records(self, scope: Scope) -> Mapping[str, Stored]:
        """Return the entries of a scope's keys, by name, without keys that can't be read.

        The result stays in memory, so use this method only for csc-git's own scopes, whose values
        are small.
        """
        directory = self._directory(scope)
        if directory is None:
            return {}
        return self._index.records(self, scope, directory)

    def scopes(self) -> list[Scope]:
        """Return the scopes that contain keys, sorted by their segments."""
        texts = self.scope_texts()
        return sorted(tuple(text.split(names.SEPARATOR)) for text in texts)

    def scope_texts(self) -> Sequence[str]:
        """Return the scopes that contain keys, as sorted texts such as `issue:15`."""
        if self.data is None:
            return ()
        return self._index.scopes(self, self.data)

    @property
    def _index(self) -> Index:
        return index_of(self.objects.shared)

    def files_in(self, directory: str) -> dict[str, str]:
        """Return the blobs of the keys in a directory, by key name.

        Raises:
            StoreDamaged: the directory, or a file with a shortened name, can't be read.
        """
        found: dict[str, str] = {}
        for file, blob_id in self._listed_files(directory):
            name = self._name_of(file, blob_id)
            if name is not None:
                found[name] = blob_id
        return found

    def _listed_files(self, directory: str) -> Iterable[tuple[bytes, str]]:
        """Return the names and blobs of a directory's files.

        If the directory is split by a fan-out, git lists the files.
        """
        is_split = any(
            is_fan_name(line.name) for line in self.objects.tree(directory)
        )
        if is_split:
            with suppress(TreeNotListed):
                listed = self.objects.stored.list_below(directory)
                return files_below(listed).items()
        lines = entries(self.objects, directory)
        return [(line.name, line.id) for line in lines if line.is_file]

    def named(self, directory: str, file: bytes) -> str | None:
        """Return the name of the key that is stored in a file; None if there is no such key.

        Args:
            directory: The directory's tree.
            file: The file's encoded name.
        """
        line = find(self.objects, directory, file)
        if line is None or not line.is_file:
            return None
        return self._file_name(line)

    def records_in(self, directory: str) -> Iterator[tuple[str, Stored]]:
        """Yield the name and the entry of each key in a directory. Skip files that are not entries.

        Raises:
            StoreDamaged: the directory or a value in it is missing or damaged on this disk.
        """
        files = self.files_in(directory)
        self.objects.stored.read_ahead(files.values())
        for name, blob_id in files.items():
            entry = self._decode(blob_id)
            if entry is not None:
                yield name, Stored(entry, blob_id)

    def readable_names(self, directory: str) -> Iterator[str]:
        """Yield the names of the keys in a directory. Unreadable parts are skipped."""
        for line in self._lines(directory):
            if not line.is_file:
                continue
            name = self._file_name(line)
            if name is not None:
                yield name

    def segment(self, name: bytes, directory: str, depth: int) -> str | None:
        """Return the scope segment that a directory represents.

        Args:
            name: The directory's encoded name.
            directory: The directory's tree.
            depth: The number of segments that come before this segment in the scope.

        Returns:
            The segment; None if the name is not valid.
        """
        line = TreeEntry.of(name, TREE_MODE, directory)
        try:
            return self._segment(line, depth)
        except ValueError:
            return None

    def foreign(
        self,
        has_time: Callable[[], bool] = lambda: True,
    ) -> Iterator[Foreign]:
        """Yield all files and directories below `data/` that are not entries, for a report.

        Args:
            has_time: A function that is called repeatedly during the search. When `has_time`
                returns False, the search ends.
        """
        stack: list[tuple[bytes, str]] = []
        if self.data is not None:
            stack.append((b"data/", self.data))
        while stack and has_time():
            path, directory = stack.pop()
            found: list[Foreign] = []
            try:
                for line in entries(self.objects, directory, found, path):
                    place = path + line.name
                    if line.is_tree:
                        stack.append((place + b"/", line.id))
                    elif has_time() and not self._is_entry(line):
                        found.append(Foreign(place, "the file is not an entry"))
            except StoreDamaged as damage:
                found.append(Foreign(path, damage.what))
            yield from found

    def format(self) -> Format | None:
        """Return the content of `format.json`; None if the commit is not a csc-git store.

        Raises:
            FormatTooNew: a later version of csc-git wrote the file.
        """
        if self.tree is None:
            return None
        file = find(self.objects, self.tree, FORMAT_FILE)
        if file is None or not file.is_file:
            return None
        try:
            content = parse(self.objects.blob(file.id))
            number = content["format"]
            store = content["store"]
            previous = content.get("previous")
        except (ValueError, KeyError, TypeError, AttributeError, ValueTooLarge):
            return None
        if not isinstance(number, int) or not isinstance(store, str):
            return None
        if number > FORMAT:
            raise FormatTooNew(
                f"The branch has format {number}, but this csc-git reads only "
                f"format {FORMAT}"
            )
        if not isinstance(previous, str) or not _ID.fullmatch(previous):
            previous = None
        return Format(store, previous)

    def key_at(self, path: Components) -> Key | None:
        """Return the key at a path without fan-out directories; None if there is no such key."""
        *directories, file = path
        try:
            segments = [
                names.decode(part, directory=True) for part in directories
            ]
            name = names.decode(file, directory=False)
        except ValueError:
            return None
        whole = [segment for segment in segments if segment is not None]
        if name is not None and len(whole) == len(segments):
            return Key(tuple(whole), name)
        key = self._full_name(path)
        if key is None or key.path != path:
            return None
        return key

    def _full_name(self, path: Components) -> Key | None:
        """Return the key of a file with a shortened path; None if there is no such key.

        The full name of the key is read from the file.
        """
        place = self.revision_at(path)
        if place is None:
            return None
        entry = self._entry(place)
        if entry is None or entry.full_name is None:
            return None
        scope_text, name = entry.full_name
        scope = tuple(scope_text.split(names.SEPARATOR))
        if not all(map(names.is_visible, (*scope, name))):
            return None
        return Key(scope, name)

    def _file(self, key: Key) -> TreeEntry | None:
        directory = self._directory(key.scope)
        if directory is None:
            return None
        found = find(self.objects, directory, key.file)
        if found is None or not found.is_file:
            return None
        return found

    def _directory(self, scope: Scope) -> str | None:
        directory = self.data
        for segment in scope:
            if directory is None:
                return None
            name = names.encode(segment, directory=True)
            directory = self._tree_in(directory, name)
        return directory

    def _tree_in(self, directory: str, name: bytes) -> str | None:
        """Return the tree of a subdirectory; None if there is no such subdirectory."""
        found = find(self.objects, directory, name)
        if found is None or not found.is_tree:
            return None
        return found.id

    def _lines(self, directory: str) -> list[TreeEntry]:
        """Return a directory's entries; an empty list if the directory can't be read."""
        try:
            return list(entries(self.objects, directory))
        except StoreDamaged:
            return []

    def _segment(self, line: TreeEntry, depth: int) -> str | None:
        """Return a directory's scope segment.

        If the directory's name is shortened, the segment is read from a file below the directory.
        """
        decoded = names.decode(line.name, directory=True)
        if decoded is not None:
            return decoded
        below = self._first_entry(line)
        if below is None or below.full_name is None:
            return None
        scope_text, _ = below.full_name
        segments = scope_text.split(names.SEPARATOR)
        if depth >= len(segments):
            return None
        segment = segments[depth]
        if not names.is_visible(segment):
            return None
        if names.encode(segment, directory=True) != line.name:
            return None
        return segment

    def _first_entry(self, line: TreeEntry) -> Entry | None:
        """Return the entry in a file, or the first entry found below a directory."""
        if not line.is_tree:
            return self._entry(line.id)
        for inner in self._lines(line.id):
            found = self._first_entry(inner)
            if found is not None:
                return found
        return None

    def _file_name(self, line: TreeEntry) -> str | None:
        return self._name_of(line.name, line.id)

    def _name_of(self, file: bytes, blob_id: str) -> str | None:
        """Return the name of a file's key.

        If the file name is shortened, the key's name is read from the file.
        """
        decoded = names.decode(file, directory=False)
        if decoded is not None:
            return decoded
        entry = self._entry(blob_id)
        if entry is None or entry.full_name is None:
            return None
        _, name = entry.full_name
        if not names.is_visible(name) or Key((), name).file != file:
            return None
        return name

    def _is_entry(self, line: TreeEntry) -> bool:
        """Return whether a file contains the entry of a key."""
        if not self._file_name(line):
            return False
        return self._entry(line.id) is not None

    def _entry(self, blob_id: str) -> Entry | None:
        """Return the entry in a file; None if the file is damaged or is not an entry."""
        try:
            return self._decode(blob_id)
        except StoreDamaged:
            return None

    def _decode(self, blob_id: str) -> Entry | None:
        """Return the entry in a file; None if the file is not an entry."""
        try:
            data = self.objects.blob(blob_id)
            if len(data) > _SMALL:
                return Entry.decode(data)
            return _decoded(data)
        except (ValueError, ValueTooLarge, WrongType):
            return None
