"""Sightings: when this clone first saw each lease of other clones, kept across restarts."""

from collections.abc import Iterable
from pathlib import Path

from csc_git.core.lease import Instant, Sighting
from csc_git.git.durable import read_json, write_json
from csc_git.git.lock import FileLock


class Sightings:
    """First-seen times of lease records, shared by the clone's processes."""

    def __init__(self, directory: Path, clone: str) -> None:
        self.clone = clone
        self._file = directory / "seen.json"
        self._lock = FileLock(directory / "seen.lock")

    def get(self, session: str) -> Sighting | None:
        """The sighting of a session's record."""
        return self._load().get(session)

    def note(self, revisions: Iterable[tuple[str, str]], at: Instant) -> None:
        """Take note of the leases that stand now.

        Args:
            revisions: Session and revision of each active lease of another clone.
            at: This moment; not earlier than when they were seen.
        """
        with self._lock.held():
            old = self._load()
            new = {
                session: old[session]
                if session in old and old[session].revision == revision
                else Sighting(revision, at)
                for session, revision in revisions
            }
            if new != old:
                says = {
                    session: {"revision": seen.revision, "first": seen.first.to_json()}
                    for session, seen in new.items()
                }
                write_json(self._file, says)

    def _load(self) -> dict[str, Sighting]:
        says = read_json(self._file)
        try:
            return {
                str(session): Sighting(str(seen["revision"]), Instant.from_json(seen["first"]))
                for session, seen in says.items()
            }
        except (KeyError, TypeError, ValueError, AttributeError):
            return {}
