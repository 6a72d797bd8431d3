"""Presence: which sessions are signed on, as far as this clone knows.

Inside a clone a session is alive while its process holds its lock file, which the kernel frees
when the process dies. Seen from another clone it is alive until its lease lapses. Light to import:
hooks use it.
"""

import json
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple

from csc_git.coordinator import clock
from csc_git.coordinator.client_process import client_identity
from csc_git.coordinator.sightings import Sightings
from csc_git.core.edit import path_text
from csc_git.core.key import decode, encode
from csc_git.core.lease import (
    SESSIONS,
    Instant,
    Lease,
    Sighting,
    has_lapsed,
    lease_key,
)
from csc_git.core.session import DEFAULT_STEM, SessionName, is_session_name
from csc_git.files.durable import read_json
from csc_git.files.lock import FileLock
from csc_git.store.clone_id import Clone
from csc_git.store.records import read_lease
from csc_git.store.snapshot import Snapshot, Stored
from csc_git.store.store import Store

MOST_INSTANCES: Final = 9999
_LATELY: Final = 120.0
"""Seconds; a server leaves a sign of life at least as often as it looks at the remote."""


class SignedOn(NamedTuple):
    """A sign-on in this clone.

    Attributes:
        holder: Of the session's lease.
        settings: Branch, remote and sync settings given to its server alone. All others are in
            git's configuration, so they also apply to a hook that acts for the session.
    """

    holder: str
    settings: Mapping[str, Any]


@dataclass
class OwnSession:
    """A session of this process."""

    name: SessionName
    lease: Lease
    lock: FileLock
    op: str | None
    renewed: Instant
    resumes: tuple[str, ...] = ()
    """What it had claimed when its server ended a moment ago."""

    def is_mine(self, snapshot: Snapshot) -> bool:
        """Whether the record on the branch is still of this sign-on."""
        lease = read_lease(snapshot.get(lease_key(str(self.name))))
        return (
            lease is not None
            and lease.holder == self.lease.holder
            and lease.state == "active"
        )


class _Row(NamedTuple):
    """A session that did not sign off.

    Attributes:
        name: Its name.
        changed: The time of its record.
        length: Seconds that its lease lasts.
        seen: When this clone first saw the record as it is; None: not yet.
        is_here: Whether it signed on in this clone.
    """

    name: str
    changed: datetime
    length: int
    seen: Instant | None
    is_here: bool


_CHANGED: Final = attrgetter("changed")


class Presence:
    """The sessions of all clones.

    Args:
        store: The clone's store.
        clone: Who this clone is.
        directory: The clone's `csc` directory.
    """

    def __init__(self, store: Store, clone: Clone, directory: Path) -> None:
        self._store = store
        self._clone = clone
        self._locks = directory / "sessions"
        self.sightings = Sightings(directory)
        self._mutex = Lock()
        self._rows: dict[str, _Row] = {}
        self._latest: list[_Row] = []
        self._made_of: tuple[Mapping[str, Stored], Mapping[str, Sighting]] = (
            {},
            {},
        )

    def is_active(self, name: str, stored: Stored) -> bool:
        """Whether a session is alive."""
        lease = read_lease(stored)
        if lease is None or lease.state != "active":
            return False
        if lease.clone == self._clone.id:
            return not self._lock_is_free(name)
        contact = self._store.sync_status.contact
        seen = self.sightings.get(lease_key(name))
        return not has_lapsed(lease.seconds, stored.revision, seen, contact)

    def signed_on(self, snapshot: Snapshot) -> list[str]:
        """Names of the sessions that have not signed off, alive or not."""
        return [row.name for row in self._latest_first(snapshot)]

    def signed_on_here(self, snapshot: Snapshot) -> list[str]:
        """Names of the sessions that signed on in this clone and have not signed off."""
        return [row.name for row in self._latest_first(snapshot) if row.is_here]

    def alive(self, snapshot: Snapshot) -> list[str]:
        """The sessions that are alive. Those whose record changed last come first."""
        contact = self._store.sync_status.contact
        return [
            row.name
            for row in self._latest_first(snapshot)
            if self._is_alive(row, contact)
        ]

    def _is_alive(self, row: "_Row", contact: Instant | None) -> bool:
        if row.is_here:
            return not self._lock_is_free(row.name)
        if row.seen is None or contact is None:
            return True
        if row.seen.boot == contact.boot:
            return contact.seconds - row.seen.seconds < row.length
        return contact.since(row.seen) < row.length

    def _latest_first(self, snapshot: Snapshot) -> list["_Row"]:
        """The sessions that did not sign off. Only those whose record changed are looked at."""
        records, seen = snapshot.records(SESSIONS), self.sightings.all()
        with self._mutex:
            old, old_seen = self._made_of
            if records is old and seen is old_seen:
                return self._latest
            known = old if seen is old_seen else {}
            for name in old.keys() - records.keys():
                self._rows.pop(name, None)
            for name in [
                name for name in records if known.get(name) is not records[name]
            ]:
                self._look_at(name, records[name], seen)
            self._latest = sorted(
                self._rows.values(), key=_CHANGED, reverse=True
            )
            self._made_of = records, seen
            return self._latest

    def _look_at(
        self, name: str, stored: Stored, seen: Mapping[str, Sighting]
    ) -> None:
        row = self._row(name, stored, seen)
        if row is not None:
            self._rows[name] = row
        else:
            self._rows.pop(name, None)

    def _row(
        self, name: str, stored: Stored, seen: Mapping[str, Sighting]
    ) -> "_Row | None":
        lease = read_lease(stored)
        if (
            lease is None
            or lease.state != "active"
            or not is_session_name(name)
        ):
            return None
        sighting = seen.get(_lease_path(name))
        is_current = (
            sighting is not None and sighting.revision == stored.revision
        )
        return _Row(
            name=name,
            changed=stored.entry.time,
            length=lease.seconds,
            seen=sighting.first
            if sighting is not None and is_current
            else None,
            is_here=lease.clone == self._clone.id,
        )

    def is_alive(self, name: str, snapshot: Snapshot) -> bool:
        """Whether a session of that name is alive."""
        stored = snapshot.get(lease_key(name))
        return stored is not None and self.is_active(name, stored)

    def first_free(
        self, snapshot: Snapshot, besides: Collection[str] = ()
    ) -> str:
        """The first unused `claude_N` name that is not in `besides`."""
        for number in range(1, MOST_INSTANCES):
            name = str(
                SessionName(f"{DEFAULT_STEM}_{number}", self._clone.machine)
            )
            if name not in besides and not self.is_alive(name, snapshot):
                return name
        return ""

    def is_here(self, stored: Stored) -> bool:
        """Whether a session's record was made in this clone."""
        lease = read_lease(stored)
        return lease is not None and lease.clone == self._clone.id

    def of_client(self, client: str | None) -> dict[str, SignedOn]:
        """The sessions that signed on in this clone, in whatever process, for one client.

        Args:
            client: See `client_identity`; None has none.
        """
        if client is None:
            return {}
        snapshot = self._store.snapshot()
        found: dict[str, SignedOn] = {}
        for name in self._names_here():
            noted = self._noted(name)
            lease = read_lease(snapshot.get(lease_key(name)))
            is_here = lease is not None and lease.clone == self._clone.id
            if (
                is_here
                and lease
                and lease.state == "active"
                and noted.get("client") == client
            ):
                found[name] = SignedOn(
                    lease.holder, noted.get("settings") or {}
                )
        return found

    def _names_here(self) -> list[str]:
        """Sessions that ever signed on in this clone: each has a file that was locked."""
        files = sorted(self._locks.glob("*")) if self._locks.is_dir() else []
        names = (_name_of(file) for file in files)
        return [name for name in names if is_session_name(name)]

    def lock(self, name: str) -> FileLock:
        """What a session holds while its process lives."""
        return FileLock(self._lock_file(name))

    def note(
        self, name: str, settings: Mapping[str, Any], directory: str
    ) -> None:
        """Note in a session's lock file whose it is, and by which settings it is served.

        The holder of the lock writes this for the hooks, which act for the same client and must use
        the same branch and remote.

        Args:
            name: The session's.
            settings: Branch, remote and sync settings given to its server alone.
            directory: The work tree that its server was started in.
        """
        self._write(
            name,
            {
                "client": client_identity(),
                "settings": dict(settings),
                "directory": directory,
            },
        )

    def note_end(self, name: str, claims: Sequence[str]) -> None:
        """Note that a session's server has ended, and what the session had claimed."""
        ended = {"ended": clock.instant().to_json(), "claims": list(claims)}
        self._write(name, {**self._noted(name), **ended})

    def show_life(self, name: str) -> None:
        """Leave a sign of life in a session's lock file: the time of its last change."""
        with suppress(OSError):
            os.utime(self._lock_file(name))

    def was_alive_lately(self, name: str) -> bool:
        """Whether a session left a sign of life in the last two minutes."""
        try:
            return time.time() - self._lock_file(name).stat().st_mtime < _LATELY
        except OSError:
            return False

    def lately_ended(
        self, directory: str, seconds: float
    ) -> dict[str, list[str]]:
        """Find the sessions whose server ended lately in a work tree. The latest comes first.

        Args:
            directory: The work tree.
            seconds: How long ago at most.

        Returns:
            Each session's name, and what it had claimed.
        """
        now = clock.instant()
        found: list[tuple[float, str, list[str]]] = []
        for name in self._names_here():
            noted = self._noted(name)
            with suppress(KeyError, TypeError, ValueError, AttributeError):
                age = now.since(Instant.from_json(noted["ended"]))
                if noted["directory"] == directory and age <= seconds:
                    found.append(
                        (age, name, [str(one) for one in noted["claims"]])
                    )
        return {name: claims for _, name, claims in sorted(found)}

    def _write(self, name: str, noted: Mapping[str, Any]) -> None:
        self._lock_file(name).write_text(json.dumps(noted), encoding="ascii")

    def _noted(self, name: str) -> dict[str, Any]:
        noted = read_json(self._lock_file(name))
        return noted if isinstance(noted, dict) else {}

    def _lock_file(self, name: str) -> Path:
        return self._locks / encode(name, directory=True).decode()

    def _lock_is_free(self, name: str) -> bool:
        return self.lock(name).is_free()


@lru_cache(maxsize=1 << 14)
def _lease_path(name: str) -> str:
    return path_text(lease_key(name))


def session_names(snapshot: Snapshot) -> Iterator[str]:
    """All sessions that ever signed on; records under other names are nobody's."""
    return filter(is_session_name, snapshot.names(SESSIONS))


def _name_of(file: Path) -> str:
    """The session that a lock file belongs to; empty if it belongs to none."""
    try:
        return decode(file.name.encode(), directory=True) or ""
    except ValueError:
        return ""
