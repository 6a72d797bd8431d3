"""Sightings: when this clone first saw each lease and claim, kept across restarts."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from csc_git.core.edit import path_text
from csc_git.core.key import Key
from csc_git.core.lease import Instant, Sighting
from csc_git.files.durable import file_identity, read_json, write_json
from csc_git.files.lock import FileLock


class Sightings:
    """First-seen times of records, shared by the clone's processes."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "seen.json"
        self._lock = FileLock(directory / "locks" / "seen")
        self._loaded: tuple[object, dict[str, Sighting]] = None, {}

    def get(self, key: Key) -> Sighting | None:
        """The sighting of what stands at a key."""
        return self._load().get(path_text(key))

    def all(self) -> Mapping[str, Sighting]:
        """All sightings, by the path of their key. Another object once one has changed."""
        return self._load()

    def note(self, records: Iterable[tuple[Key, str]], at: Instant) -> None:
        """Take note of all the records that stand now; others are forgotten.

        Args:
            records: Key and revision of each record that ends by time.
            at: This moment; not earlier than when they were seen.
        """
        with self._lock.held():
            old = self._load()
            self._save(
                old,
                {
                    path_text(key): _seen(old, key, rev, at)
                    for key, rev in records
                },
            )

    def add(self, key: Key, revision: str, at: Instant) -> None:
        """Take note of one record more, made by this clone no earlier than `at`."""
        with self._lock.held():
            old = self._load()
            self._save(old, {**old, path_text(key): Sighting(revision, at)})

    def _save(
        self, old: Mapping[str, Sighting], new: Mapping[str, Sighting]
    ) -> None:
        if new != old:
            content = {
                name: {"revision": seen.revision, "first": seen.first.to_json()}
                for name, seen in new.items()
            }
            write_json(self._file, content)
            self._loaded = file_identity(self._file), dict(new)

    def _load(self) -> dict[str, Sighting]:
        """What the file holds; read again only if it was replaced."""
        identity = file_identity(self._file)
        if identity != self._loaded[0]:
            self._loaded = identity, self._read()
        return self._loaded[1]

    def _read(self) -> dict[str, Sighting]:
        content = read_json(self._file)
        try:
            return {
                str(name): Sighting(
                    str(seen["revision"]), Instant.from_json(seen["first"])
                )
                for name, seen in content.items()
            }
        except (KeyError, TypeError, ValueError, AttributeError):
            return {}


def _seen(
    old: Mapping[str, Sighting], key: Key, revision: str, at: Instant
) -> Sighting:
    known = old.get(path_text(key))
    return (
        known
        if known and known.revision == revision
        else Sighting(revision, at)
    )
