"""Presence: which sessions are signed on and alive, by the data of this clone.

A session of this clone is alive while its process keeps the session's lock file locked. When the
process dies, the kernel releases the lock. A session of another clone is alive until its lease
lapses. Hooks import this module and must start fast. So this module imports only a few other
modules.
"""

import json
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple

from csc_git.coordinator import clock
from csc_git.coordinator.sessions.client_process import client_identity
from csc_git.coordinator.sessions.sightings import Sightings
from csc_git.core.edit import path_text
from csc_git.core.key import decode, encode
from csc_git.core.lease import (
    SESSIONS,
    Instant,
    Sighting,
    has_lapsed,
    lease_key,
)
from csc_git.core.session import DEFAULT_STEM, SessionName, is_session_name
from csc_git.files.durable import read_json
from csc_git.files.lock import FileLock
from csc_git.store.clone_id import Clone
from csc_git.store.store import Store
from csc_git.store.tree.records import read_lease
from csc_git.store.tree.snapshot import Snapshot, Stored

MOST_INSTANCES: Final = 9999
_RECENT: Final = 120.0
"""A mark of life counts as recent until it is this many seconds old.

A server renews the mark at each fetch or more often.
"""


class SignedOn(NamedTuple):
    """A session that signed on in this clone.

    Attributes:
        holder: The id of the sign-on. The session's lease contains the same id.
        settings: The branch, remote and sync settings that flags or the environment gave to the
            server of the session. All other settings are in git's configuration, so a hook of the
            session can read them there.
    """

    holder: str
    settings: Mapping[str, Any]


class _Row(NamedTuple):
    """A session that has not signed off.

    Attributes:
        name: The name of the session.
        changed: The time in the session's record.
        length: The length of the session's lease in seconds.
        seen: The moment when this clone first saw the current revision of the record; None if no
            such sighting is stored.
        is_here: Whether the session signed on in this clone.
    """

    name: str
    changed: datetime
    length: int
    seen: Instant | None
    is_here: bool


_CHANGED: Final = attrgetter("changed")

_Records = Mapping[str, Stored]
_Seen = Mapping[str, Sighting]


class Presence:
    """Finds out which sessions of all clones are signed on and alive.

    Args:
        store: The clone's store.
        clone: The id and the machine name of this clone.
        directory: The clone's `csc` directory.
    """

    def __init__(
        self,
        store: Store,
        clone: Clone,
        directory: Path,
    ) -> None:
        self._store = store
        self._clone = clone
        self._locks = directory / "sessions"
        self.sightings = Sightings(directory)
        self._mutex = Lock()
        self._rows: dict[str, _Row] = {}
        self._latest: list[_Row] = []
        self._records: _Records = {}
        self._seen: _Seen = {}

    def is_active(
        self,
        name: str,
        stored: Stored,
    ) -> bool:
        """Check whether a session is alive.

        Args:
            name: The full name of the session.
            stored: The record of the session.
        """
        lease = read_lease(stored)
        if lease is None or lease.state != "active":
            return False
        if lease.clone == self._clone.id:
            return self._is_locked(name)
        contact = self._store.sync_status.contact
        seen = self.sightings.get(lease_key(name))
        return not has_lapsed(
            lease.seconds,
            stored.revision,
            seen,
            contact,
        )

    def signed_on(self, snapshot: Snapshot) -> list[str]:
        """Return the names of all sessions that have not signed off, even if they are not alive."""
        rows = self._latest_first(snapshot)
        return [row.name for row in rows]

    def signed_on_here(self, snapshot: Snapshot) -> list[str]:
        """Return the names of the sessions of this clone that have not signed off."""
        rows = self._latest_first(snapshot)
        return [row.name for row in rows if row.is_here]

    def alive(self, snapshot: Snapshot) -> list[str]:
        """Return the sessions that are alive. The session whose record changed last comes first."""
        contact = self._store.sync_status.contact
        rows = self._latest_first(snapshot)
        return [row.name for row in rows if self._is_alive(row, contact)]

    def _is_alive(
        self,
        row: _Row,
        contact: Instant | None,
    ) -> bool:
        if row.is_here:
            return self._is_locked(row.name)
        seen = row.seen
        if seen is None or contact is None:
            return True
        elapsed = contact.seconds - seen.seconds
        if seen.boot != contact.boot:
            elapsed = contact.since(seen)
        return elapsed < row.length

    def _latest_first(self, snapshot: Snapshot) -> list[_Row]:
        """Return the sessions that have not signed off. The latest record comes first."""
        records = snapshot.records(SESSIONS)
        seen = self.sightings.all()
        with self._mutex:
            if records is self._records and seen is self._seen:
                return self._latest
            self._update_rows(records, seen)
            rows = self._rows.values()
            self._latest = sorted(rows, key=_CHANGED, reverse=True)
            self._records = records
            self._seen = seen
            return self._latest

    def _update_rows(
        self,
        records: _Records,
        seen: _Seen,
    ) -> None:
        """Read the records that changed. If the sightings changed, read all records."""
        gone = self._records.keys() - records.keys()
        for name in gone:
            self._rows.pop(name, None)
        known: _Records = {}
        if seen is self._seen:
            known = self._records
        for name, stored in records.items():
            if known.get(name) is stored:
                continue
            row = self._row(name, stored, seen)
            if row is not None:
                self._rows[name] = row
            else:
                self._rows.pop(name, None)

    def _row(
        self,
        name: str,
        stored: Stored,
        seen: _Seen,
    ) -> _Row | None:
        lease = read_lease(stored)
        if lease is None or lease.state != "active":
            return None
        if not is_session_name(name):
            return None
        path = _lease_path(name)
        sighting = seen.get(path)
        first_seen = None
        if sighting is not None and sighting.revision == stored.revision:
            first_seen = sighting.first
        return _Row(
            name=name,
            changed=stored.entry.time,
            length=lease.seconds,
            seen=first_seen,
            is_here=lease.clone == self._clone.id,
        )

    def is_alive(
        self,
        name: str,
        snapshot: Snapshot,
    ) -> bool:
        """Check whether the session of this name is alive.

        Args:
            name: The full name of the session.
            snapshot: The state to read.
        """
        stored = snapshot.get(lease_key(name))
        if stored is None:
            return False
        return self.is_active(name, stored)

    def first_free(
        self,
        snapshot: Snapshot,
        besides: Collection[str] = (),
    ) -> str:
        """Return the first unused `claude_N` name that is not in `besides`; "" if all are used.

        Args:
            snapshot: The state to read.
            besides: Full names that must not be returned.
        """
        for number in range(1, MOST_INSTANCES):
            stem = f"{DEFAULT_STEM}_{number}"
            session = SessionName(stem, self._clone.machine)
            name = str(session)
            if name in besides or self.is_alive(name, snapshot):
                continue
            return name
        return ""

    def is_here(self, stored: Stored) -> bool:
        """Check whether a record belongs to a session that signed on in this clone."""
        lease = read_lease(stored)
        if lease is None:
            return False
        return lease.clone == self._clone.id

    def of_client(self, client: str | None) -> dict[str, SignedOn]:
        """Return the sessions of one client, by name. All processes of this clone are searched.

        Args:
            client: The client, as `client_identity` returns it. If the client is None, no session
                is returned.
        """
        if client is None:
            return {}
        snapshot = self._store.snapshot()
        found: dict[str, SignedOn] = {}
        for name in self._names_here():
            noted = self._noted(name)
            if noted.get("client") != client:
                continue
            stored = snapshot.get(lease_key(name))
            lease = read_lease(stored)
            if lease is None or lease.clone != self._clone.id:
                continue
            if lease.state == "active":
                settings = noted.get("settings") or {}
                found[name] = SignedOn(lease.holder, settings)
        return found

    def _names_here(self) -> list[str]:
        """Return all sessions that ever signed on in this clone, found by their lock files."""
        if not self._locks.is_dir():
            return []
        names: list[str] = []
        for file in sorted(self._locks.glob("*")):
            name = _name_of(file)
            if is_session_name(name):
                names.append(name)
        return names

    def lock(self, name: str) -> FileLock:
        """Return the lock that a session's process keeps locked while the session is alive."""
        file = self._lock_file(name)
        return FileLock(file)

    def note_owner(
        self,
        name: str,
        settings: Mapping[str, Any],
        directory: str,
    ) -> None:
        """Write a session's client and the settings of its server into the session's lock file.

        The process that locked the file calls this method. The hooks of the same client read the
        settings, because they must use the same branch and remote.

        Args:
            name: The session's full name.
            settings: The branch, remote and sync settings that flags or the environment gave to the
                session's server.
            directory: The work tree in which the session's server was started.
        """
        noted = {
            "client": client_identity(),
            "settings": dict(settings),
            "directory": directory,
        }
        self._write(name, noted)

    def note_end(
        self,
        name: str,
        claims: Sequence[str],
    ) -> None:
        """Write into a session's lock file that the server of the session has ended.

        Args:
            name: The session's full name.
            claims: The resources that the session had claimed.
        """
        now = clock.instant()
        noted = self._noted(name)
        noted["ended"] = now.to_json()
        noted["claims"] = list(claims)
        self._write(name, noted)

    def mark_alive(self, name: str) -> None:
        """Mark a session as alive by setting the time of its lock file to now."""
        file = self._lock_file(name)
        with suppress(OSError):
            os.utime(file)

    def was_alive_recently(self, name: str) -> bool:
        """Check whether a session was marked as alive in the last two minutes."""
        file = self._lock_file(name)
        try:
            marked = file.stat().st_mtime
        except OSError:
            return False
        return time.time() - marked < _RECENT

    def recently_ended(
        self,
        directory: str,
        seconds: float,
    ) -> dict[str, list[str]]:
        """Find the sessions whose server worked in a work tree and ended in the last `seconds`.

        Args:
            directory: The work tree in which the server worked.
            seconds: The server must have ended at most this many seconds ago.

        Returns:
            The resources that each session had claimed, by the name of the session. The session
            that ended last comes first.
        """
        now = clock.instant()
        found: list[tuple[float, str, list[str]]] = []
        for name in self._names_here():
            noted = self._noted(name)
            with suppress(KeyError, TypeError, ValueError, AttributeError):
                ended = Instant.from_json(noted["ended"])
                age = now.since(ended)
                if noted["directory"] != directory or age > seconds:
                    continue
                claims = [str(one) for one in noted["claims"]]
                found.append((age, name, claims))
        found.sort()
        return {name: claims for _, name, claims in found}

    def _write(
        self,
        name: str,
        noted: Mapping[str, Any],
    ) -> None:
        text = json.dumps(noted)
        file = self._lock_file(name)
        file.write_text(text, encoding="ascii")

    def _noted(self, name: str) -> dict[str, Any]:
        file = self._lock_file(name)
        noted = read_json(file)
        if isinstance(noted, dict):
            return noted
        return {}

    def _lock_file(self, name: str) -> Path:
        encoded = encode(name, directory=True)
        return self._locks / encoded.decode()

    def _is_locked(self, name: str) -> bool:
        lock = self.lock(name)
        return not lock.is_free()


@lru_cache(maxsize=1 << 14)
def _lease_path(name: str) -> str:
    key = lease_key(name)
    return path_text(key)


def session_names(snapshot: Snapshot) -> Iterator[str]:
    """Return the names of all sessions that ever signed on. Skip records with other names."""
    names = snapshot.names(SESSIONS)
    return filter(is_session_name, names)


def _name_of(file: Path) -> str:
    """Return the session that a lock file belongs to; "" if the file is not a session's."""
    try:
        encoded = file.name.encode()
        return decode(encoded, directory=True) or ""
    except ValueError:
        return ""
