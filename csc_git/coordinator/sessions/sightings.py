"""Store the times at which this clone first saw the current revisions of leases and claims."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from csc_git.core.edit import path_text
from csc_git.core.key import Key
from csc_git.core.lease import Instant, Sighting
from csc_git.core.value import Json
from csc_git.files.durable import file_identity, read_json, write_json
from csc_git.files.lock import FileLock

_Sightings = Mapping[str, Sighting]
"""The sightings by the path of the record's key."""


class Sightings:
    """The moments when records were first seen. All processes of the clone share one file.

    Args:
        directory: The clone's `csc` directory.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "seen.json"
        self._lock = FileLock(directory / "locks" / "seen")
        self._loaded: tuple[object, _Sightings] = None, {}

    def get(self, key: Key) -> Sighting | None:
        """Return the stored sighting of a key; None if there is no sighting."""
        sightings = self._load()
        path = path_text(key)
        return sightings.get(path)

    def all(self) -> Mapping[str, Sighting]:
        """Return all sightings by the path of the key.

        While the sightings do not change, each call returns the same object.
        """
        return self._load()

    def note(
        self,
        records: Iterable[tuple[Key, str]],
        at: Instant,
    ) -> None:
        """Store a sighting of each existing record, and delete the sightings of other records.

        If a record has the same revision as in an earlier call, its earlier sighting is kept.

        Args:
            records: The key and revision of each record that lapses after some time.
            at: The current moment, or any moment after the records were read.
        """
        with self._lock.locked():
            old = self._load()
            new: dict[str, Sighting] = {}
            for key, revision in records:
                path = path_text(key)
                known = old.get(path)
                if known is None or known.revision != revision:
                    known = Sighting(revision, at)
                new[path] = known
            self._save(old, new)

    def add(
        self,
        key: Key,
        revision: str,
        at: Instant,
    ) -> None:
        """Store a sighting of one record that this clone wrote.

        Args:
            key: The record's key.
            revision: The revision of the record.
            at: A moment before the record was written.
        """
        with self._lock.locked():
            old = self._load()
            new = dict(old)
            path = path_text(key)
            new[path] = Sighting(revision, at)
            self._save(old, new)

    def _save(
        self,
        old: _Sightings,
        new: _Sightings,
    ) -> None:
        if new == old:
            return
        content: dict[str, Json] = {}
        for path, seen in new.items():
            content[path] = {
                "revision": seen.revision,
                "first": seen.first.to_json(),
            }
        write_json(self._file, content)
        identity = file_identity(self._file)
        self._loaded = identity, new

    def _load(self) -> _Sightings:
        """Return the sightings. Read the file again only if the file was replaced."""
        known, sightings = self._loaded
        identity = file_identity(self._file)
        if identity == known:
            return sightings
        sightings = self._read()
        self._loaded = identity, sightings
        return sightings

    def _read(self) -> _Sightings:
        content = read_json(self._file)
        sightings: dict[str, Sighting] = {}
        try:
            for path, seen in content.items():
                revision = str(seen["revision"])
                first = Instant.from_json(seen["first"])
                sightings[str(path)] = Sighting(revision, first)
        except (KeyError, TypeError, ValueError, AttributeError):
            return {}
        return sightings
