"""Summaries of the state of the store, as answers for people and for AI models."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from csc_git.coordinator import clock
from csc_git.coordinator.claims.claims import Claims
from csc_git.coordinator.reading.session_state import summarize
from csc_git.coordinator.reading.sync_summary import (
    contact_age,
    parked_edits,
    summarize_decision,
    summarize_sync,
)
from csc_git.coordinator.reading.wrong_clocks import wrong_clocks
from csc_git.coordinator.results.activity import (
    Context,
    SessionState,
    SessionSummary,
    SignedOn,
    Status,
)
from csc_git.coordinator.results.data import Retrieved
from csc_git.coordinator.results.sync import (
    Decision,
    ParkedEdit,
    SyncSummary,
)
from csc_git.coordinator.sessions.presence import session_names
from csc_git.coordinator.sessions.sessions import Sessions
from csc_git.core.clock import format_time
from csc_git.core.conflict import CONFLICTS
from csc_git.core.key import Key, format_scope
from csc_git.core.lease import lease_key
from csc_git.core.pace import requests_per_hour
from csc_git.core.remote_state import RemoteState
from csc_git.core.session import SessionName, parse_session
from csc_git.core.value import Json
from csc_git.store.claiming import nobodys
from csc_git.store.clone_id import Clone
from csc_git.store.store import Store
from csc_git.store.sync.recovery import Divergence
from csc_git.store.tree.layout import Foreign
from csc_git.store.tree.records import read_conflict, read_lease
from csc_git.store.tree.snapshot import Snapshot
from csc_git.text import printable, readable

_MOST_LISTED: Final = 50
"""`csc-git status` lists at most this many sessions, claims and conflicts."""

_MOST_SHOWN: Final = 10
"""An answer to a model lists at most this many sessions, claims and conflicts.

The answer also shows how many are left out, or that some are left out.
"""

_MOST_GONE: Final = 200
"""At most this many sessions are read to find unfinished work."""

_LONGEST: Final = 200
"""An author's name is cut to this many characters in an answer."""

_LOOK_SECONDS: Final = 0.3
"""`csc-git status` searches for unreadable files for at most this many seconds.

The doctor searches for a longer time.
"""

_MOST_FOREIGN: Final = 100
_NOT_OURS: Final = "csc-git can't have written this record"


class Summary:
    """Summarizes the whole state of the store, without changing the store.

    Args:
        store: The clone's store.
        sessions: The sessions of this process.
        claims: The object that lists the active claims of all sessions.
        clone: The id and the machine name of this clone.
        project: The project's name.
        remote: The configured URL of the remote; None if there is no remote.
        poll: At most this many seconds pass between two fetches from the remote.
    """

    def __init__(  # noqa: PLR0913  the whole state has so many parts
        self,
        store: Store,
        sessions: Sessions,
        claims: Claims,
        clone: Clone,
        project: str,
        remote: str | None,
        *,
        poll: float,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._presence = sessions.presence
        self._claims = claims
        self._clone = clone
        self._project = project
        self._remote = remote
        self._poll = poll

    @property
    def machine(self) -> str:
        """This machine's name."""
        return self._clone.machine

    def signed_on(
        self,
        name: SessionName,
        cursor: str,
        resumed: list[str],
    ) -> SignedOn:
        """Return the result of a sign-on, with all that the new session needs to know.

        Args:
            name: The session's name.
            cursor: A cursor of the change feed, after all changes up to now.
            resumed: The resources that were claimed again for the session.
        """
        snapshot = self._store.snapshot()
        handle = str(name)
        left_here = [key.name for key in snapshot.keys(name.scope)]
        alive = self._presence.alive(snapshot)
        others = [other for other in alive if other != handle]
        conflicts = snapshot.names(CONFLICTS)
        return SignedOn(
            session=handle,
            machine=name.machine,
            project=self._project,
            session_id=handle,
            full_scope_prefix=f"{name.machine}:{self._project}",
            own_scope=format_scope(name.scope),
            left_here=left_here,
            resumed=resumed,
            others=self._summaries(snapshot, others[:_MOST_SHOWN]),
            others_more=_beyond(_MOST_SHOWN, others),
            conflicts=len(conflicts),
            cursor=cursor,
            sync=self.sync_state(),
        )

    def retrieved(
        self,
        snapshot: Snapshot,
        key: Key,
    ) -> Retrieved:
        """Return a key's value with its author and time.

        Args:
            snapshot: The state to read.
            key: The key to read.
        """
        stored = snapshot.read(key)
        status = self._store.sync_status
        answer = Retrieved(
            found=False,
            scope=format_scope(key.scope),
            key=key.name,
            contact_age=contact_age(status),
            sync_state=str(status.state),
        )
        if stored is None:
            # If there is a revision but no value, the file can't be read.
            revision = snapshot.revision(key)
            return answer.model_copy(update={"revision": revision})
        entry = stored.entry
        some_authors = entry.authors[:_MOST_LISTED]
        authors = [readable(author, _LONGEST) for author in some_authors]
        found = {
            "found": True,
            "value": entry.value,
            "revision": stored.revision,
            "session": readable(entry.session, _LONGEST),
            "time": format_time(entry.time),
            "authors": authors,
        }
        return answer.model_copy(update=found)

    def sync_state(self) -> SyncSummary:
        """Return the state of the sync with the remote."""
        return summarize_sync(self._store)

    def decision(self, found: Divergence) -> Decision:
        """Return the facts for a person who must decide what to do about a lost branch."""
        return summarize_decision(self._store, found)

    def active(self, snapshot: Snapshot) -> list[SessionSummary]:
        """Return the sessions that are alive. The session whose record changed last comes first."""
        alive = self._presence.alive(snapshot)
        return self._summaries(snapshot, alive)

    def everyone(self, snapshot: Snapshot) -> list[SessionSummary]:
        """Return all sessions that ever signed on."""
        names = session_names(snapshot)
        return self._summaries(snapshot, names)

    def _summaries(
        self,
        snapshot: Snapshot,
        names: Iterable[str],
    ) -> list[SessionSummary]:
        return [self.summary(snapshot, name) for name in names]

    def unfinished(self, snapshot: Snapshot) -> list[str]:
        """Return sessions that ended with unfinished work. Read at most 200 sessions."""
        alive = set(self._presence.alive(snapshot))
        gone = (name for name in session_names(snapshot) if name not in alive)
        found: list[str] = []
        for name in islice(gone, _MOST_GONE):
            one = self.summary(snapshot, name)
            if one.open_todos or one.current_issue:
                found.append(one.session)
            if len(found) == _MOST_SHOWN:
                break
        return found

    def context(self) -> Context:
        """Return the content of `session://context`."""
        snapshot = self._store.snapshot()
        here = self._sessions.here
        session: str | None = None
        if here:
            session = here[0]
        alive = self._presence.alive(snapshot)
        active = self._summaries(snapshot, alive[:_MOST_SHOWN])
        instances = {one.session: "active" for one in active}
        instances |= _some_gone(snapshot, alive)
        claims = self._claims.active(snapshot, _MOST_SHOWN + 1)
        return Context(
            machine=self._clone.machine,
            project=self._project,
            session=session,
            signed_on_here=here,
            active=active,
            active_more=_beyond(_MOST_SHOWN, alive),
            instances=instances,
            first_available=self._sessions.first_available(snapshot),
            claims=claims[:_MOST_SHOWN],
            claims_more=len(claims) > _MOST_SHOWN,
            conflicts=self.conflicts(snapshot, _MOST_SHOWN),
            sync=self.sync_state(),
            next=self._next(snapshot, here, alive),
        )

    def state(self, session: str) -> SessionState:
        """Return the content of `session://state/{id}`.

        Raises:
            InvalidName: `session` is not the name of a session.
        """
        name = parse_session(session, self._clone.machine)
        handle = str(name)
        snapshot = self._store.snapshot()
        stored = snapshot.get(lease_key(handle))
        is_active = False
        record: dict[str, Json] | None = None
        if stored is not None:
            is_active = self._presence.is_active(handle, stored)
            if isinstance(stored.entry.value, dict):
                record = stored.entry.value
        values: dict[str, Retrieved] = {}
        for key in snapshot.keys(name.scope):
            values[key.name] = self.retrieved(snapshot, key)
        return SessionState(
            session=handle,
            scope=format_scope(name.scope),
            active=is_active,
            record=record,
            state=values,
        )

    def conflicts(
        self,
        snapshot: Snapshot,
        most: int = _MOST_LISTED,
    ) -> list[str]:
        """Return one line of text for each open conflict.

        Args:
            snapshot: The state to read.
            most: Describe at most this many conflicts. If more conflicts are open, the last line
                contains the number of conflicts that are left out.
        """
        names = snapshot.names(CONFLICTS)
        lines: list[str] = []
        for name in names[:most]:
            stored = snapshot.get(Key(CONFLICTS, name))
            conflict = read_conflict(stored)
            if conflict is not None:
                line = readable(conflict.summary(), 300)
                lines.append(line)
        more = _beyond(most, names)
        if more:
            lines.append(f"and {more:,} more")
        return lines

    def parked(self) -> list[ParkedEdit]:
        """Return the edits that the remote declined."""
        return parked_edits(self._store)

    def status(self) -> Status:
        """Return the answer of `csc-git status`."""
        store = self._store
        cost = (0, 0)
        if store.syncs:
            cost = requests_per_hour(self._poll)
        remote: str | None = None
        if self._remote:
            remote = readable(self._remote)
        snapshot = store.snapshot()
        foreign = _foreign(snapshot)
        lines = [_line(entry) for entry in foreign[:_MOST_FOREIGN]]
        alive = self._presence.alive(snapshot)
        return Status(
            project=self._project,
            machine=self._clone.machine,
            clone=self._clone.id,
            repository=str(store.repository.path),
            branch=store.branch.name,
            remote=remote,
            sync=self.sync_state(),
            parked=self.parked(),
            active=self._summaries(snapshot, alive[:_MOST_LISTED]),
            active_count=len(alive),
            claims=self._claims.active(snapshot, _MOST_LISTED),
            conflicts=self.conflicts(snapshot),
            keys=store.count_keys(snapshot),
            foreign=lines,
            foreign_count=len(foreign),
            clocks=self.clocks(),
            requests_per_hour=cost,
        )

    def clocks(self) -> list[str]:
        """Return a line for each machine whose clock is wrong by several minutes or more."""
        return wrong_clocks(self._store, self._clone.machine)

    def summary(
        self,
        snapshot: Snapshot,
        session: str,
    ) -> SessionSummary:
        """Return a summary of a session, which is shown to other sessions.

        Args:
            snapshot: The state to read.
            session: The session's full name.
        """
        return summarize(snapshot, session, self._presence)

    def _next(
        self,
        snapshot: Snapshot,
        here: list[str],
        alive: list[str],
    ) -> list[str]:
        """Return sentences about what a session should do next."""
        steps: list[str] = []
        if not here:
            steps.append("Call sign_on before you write anything.")
        if alive:
            steps.append(
                "See what the active sessions do before you choose your own work."
            )
        steps.append(
            "Store current_issue, status and todos in your own scope as you go."
        )
        conflicts = len(snapshot.names(CONFLICTS))
        if conflicts:
            steps.append(
                f"Resolve the open conflicts ({conflicts}), see list_conflicts, or tell the user."
            )
        status = self._store.sync_status
        if status.state not in {RemoteState.OK, RemoteState.NEVER}:
            parts = [f"{part}." for part in status.describe() if part]
            steps.append(" ".join(parts))
        return steps


def _some_gone(
    snapshot: Snapshot,
    alive: Iterable[str],
) -> dict[str, str]:
    """Return a few sessions that are not alive, and whether each is `gone` or `signed_off`."""
    is_alive = set(alive)
    names = islice(session_names(snapshot), _MOST_GONE)
    gone = (name for name in names if name not in is_alive)
    found: dict[str, str] = {}
    for name in islice(gone, _MOST_SHOWN):
        lease = read_lease(snapshot.get(lease_key(name)))
        found[name] = "gone"
        if lease is not None and lease.state == "signed_off":
            found[name] = "signed_off"
    return found


def _foreign(snapshot: Snapshot) -> list[Foreign]:
    """Search for foreign entries for a fraction of a second. Return the entries found so far."""
    until = clock.instant().seconds + _LOOK_SECONDS

    def has_time() -> bool:
        return clock.instant().seconds < until

    found = list(snapshot.foreign(has_time))
    for key in nobodys(snapshot):
        path = str(key).encode()
        found.append(Foreign(path, _NOT_OURS))
    return found


def _line(entry: Foreign) -> str:
    path = entry.path.decode(errors="replace")
    return printable(f"{path}: {entry.why}")


def _beyond(
    most: int,
    listed: Sequence[str],
) -> int:
    """Return the number of items that are left out if at most `most` items are shown."""
    return max(0, len(listed) - most)
