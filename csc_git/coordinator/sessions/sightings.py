"""Sightings: when this clone first saw each lease and claim, kept across restarts."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from csc_git.core.edit import path_text
from csc_git.core.key import Key
from csc_git.core.lease import Instant, Sighting
from csc_git.core.value import Json
from csc_git.files.durable import file_identity, read_json, write_json
from csc_git.files.lock import FileLock

_Sightings = Mapping[str, Sighting]
"""By the path of the record's key."""


class Sightings:
    """The times at which records were first seen, shared by the clone's processes.

    Args:
        directory: The clone's `csc` directory.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "seen.json"
        self._lock = FileLock(directory / "locks" / "seen")
        self._loaded: tuple[object, _Sightings] = None, {}

    def get(self, key: Key) -> Sighting | None:
        """Return the sighting that was noted for a key; None if there is none."""
        sightings = self._load()
        path = path_text(key)
        return sightings.get(path)

    def all(self) -> Mapping[str, Sighting]:
        """Return all sightings, by the path of their key.

        As long as no sighting changes, each call returns the same object.
        """
        return self._load()

    def note(
        self,
        records: Iterable[tuple[Key, str]],
        at: Instant,
    ) -> None:
        """Note all the records that exist now, and forget those that are gone.

        A record that was noted before with the same revision keeps its first time.

        Args:
            records: Key and revision of each record that ends by time.
            at: This moment; not earlier than when the records were seen.
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
        """Note one more record, which this clone made.

        Args:
            key: The record's key.
            revision: Its revision.
            at: A moment that is not later than when it was made.
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
        """Return the content of the file, which is read again only if it was replaced."""
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
