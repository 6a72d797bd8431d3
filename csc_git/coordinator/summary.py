"""Summaries: the state of the store as people and models ask for it."""

from collections.abc import Iterable
from datetime import datetime
from itertools import filterfalse, islice
from typing import Any, Final

from csc_git.coordinator import clock
from csc_git.coordinator.claims import Claims
from csc_git.coordinator.presence import session_names
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
    LostEdit,
    ParkedEdit,
    SyncSummary,
)
from csc_git.coordinator.session_state import cut, open_todos
from csc_git.coordinator.sessions import Sessions
from csc_git.coordinator.wrong_clocks import wrong_clocks
from csc_git.core.clock import format_time
from csc_git.core.commit import CommitInfo
from csc_git.core.conflict import CONFLICTS
from csc_git.core.edit import Record
from csc_git.core.key import Key, format_scope
from csc_git.core.lease import lease_key
from csc_git.core.pace import requests_per_hour
from csc_git.core.remote_state import RemoteState, describe_ok
from csc_git.core.session import SessionName, parse_session
from csc_git.core.value import Entry
from csc_git.store.claiming import nobodys
from csc_git.store.clone_id import Clone
from csc_git.store.layout import Foreign
from csc_git.store.records import read_conflict, read_lease
from csc_git.store.recovery import Divergence
from csc_git.store.snapshot import Snapshot
from csc_git.store.store import Store
from csc_git.text import printable, readable

_MOST_LISTED: Final = 50
"""Sessions, claims and conflicts that the command line's status shows."""

_MOST_SHOWN: Final = 10
"""Sessions, claims and conflicts that an answer to a model shows; of the others the number."""

_MOST_GONE: Final = 200
"""Sessions that are looked at to find unfinished work."""

_LONGEST: Final = 200
"""Characters of another session's value that a summary shows."""

_LOOK_SECONDS: Final = 0.3
"""Seconds for which files are looked at, whether they can be read; the doctor takes longer."""

_MOST_FOREIGN: Final = 100
_SAID: Final = ("current_issue", "status", "todos")


class Summary:
    """Answers about the state as a whole; reads only.

    Args:
        store: The clone's store.
        sessions: Those of this process.
        claims: Theirs, and what is known of all others.
        clone: Who this clone is.
        project: The project's name.
        remote: The remote's URL as configured, or None.
        poll: Most seconds between looks at the remote.
    """

    def __init__(  # noqa: PLR0913  the state as a whole has so many parts
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
        self, name: SessionName, cursor: str, resumed: list[str]
    ) -> SignedOn:
        """What a session that has just signed on needs next."""
        snapshot = self._store.snapshot()
        return SignedOn(
            session=str(name),
            machine=name.machine,
            project=self._project,
            session_id=str(name),
            full_scope_prefix=f"{name.machine}:{self._project}",
            own_scope=format_scope(name.scope),
            left_here=[key.name for key in snapshot.keys(name.scope)],
            resumed=resumed,
            **self._others(snapshot, str(name)),
            conflicts=len(snapshot.names(CONFLICTS)),
            cursor=cursor,
            sync=self.sync_state(),
        )

    def retrieved(self, snapshot: Snapshot, key: Key) -> Retrieved:
        """A key's value."""
        stored, status = snapshot.read(key), self._store.sync_status
        where = Retrieved(
            found=False,
            scope=format_scope(key.scope),
            key=key.name,
            contact_age=_rounded(status.age(clock.instant())),
            sync_state=str(status.state),
        )
        if stored is None:  # a revision without a value: the file can't be read
            return where.model_copy(update={"revision": snapshot.revision(key)})
        entry = stored.entry
        found = {
            "found": True,
            "value": entry.value,
            "revision": stored.revision,
            "session": readable(entry.session, _LONGEST),
            "time": format_time(entry.time),
            "authors": [
                readable(author, _LONGEST)
                for author in entry.authors[:_MOST_LISTED]
            ],
        }
        return where.model_copy(update=found)

    def sync_state(self) -> SyncSummary:
        """How things stand with the remote."""
        status = self._store.sync_status
        queued = len(self._store.branch.queue())
        parked = len(self._store.branch.parked())
        what, then = status.describe()
        age = status.age(clock.instant())
        if status.state is RemoteState.OK:
            what = describe_ok(queued, age)
        return SyncSummary(
            state=str(status.state),
            message=f"{what}.",
            next=f"{then}." if then else "",
            queued=queued,
            parked=parked,
            contact_age=_rounded(age),
        )

    def decision(self, found: Divergence) -> Decision:
        """What a person must know before deciding how to go on from a lost or replaced branch."""
        status = self._store.sync_status
        newest_first = found.lost[::-1]
        return Decision(
            state=str(status.state),
            message=f"{status.describe()[0]}.",
            lost=[_lost_edit(commit) for commit in newest_first[:_MOST_LISTED]],
            lost_count=len(found.lost),
            unknown_count=len(found.unknown),
            queued=found.queued,
            only_here=[
                str(key)
                for key, here, there in found.changes
                if here and not there
            ],
            only_there=[
                str(key)
                for key, here, there in found.changes
                if there and not here
            ],
            differing=[
                str(key) for key, here, there in found.changes if here and there
            ],
        )

    def _others(self, snapshot: Snapshot, name: str) -> dict[str, Any]:
        """The sessions that are alive besides one: the latest, and how many more there are."""
        names = [
            one
            for one in self._sessions.presence.alive(snapshot)
            if one != name
        ]
        return {
            "others": self._summaries(snapshot, names[:_MOST_SHOWN]),
            "others_more": max(0, len(names) - _MOST_SHOWN),
        }

    def active(self, snapshot: Snapshot) -> list[SessionSummary]:
        """The sessions that are alive. Those whose record changed last come first."""
        return self._summaries(
            snapshot, self._sessions.presence.alive(snapshot)
        )

    def everyone(self, snapshot: Snapshot) -> list[SessionSummary]:
        """All sessions that ever signed on."""
        return self._summaries(snapshot, session_names(snapshot))

    def _summaries(
        self, snapshot: Snapshot, names: Iterable[str]
    ) -> list[SessionSummary]:
        return [self.summary(snapshot, name) for name in names]

    def unfinished(self, snapshot: Snapshot) -> list[str]:
        """Names of sessions that are gone and left unfinished work; only some are looked at."""
        alive = set(self._sessions.presence.alive(snapshot))
        gone = (name for name in session_names(snapshot) if name not in alive)
        found = (
            self.summary(snapshot, name) for name in islice(gone, _MOST_GONE)
        )
        left = (
            one.session for one in found if one.open_todos or one.current_issue
        )
        return list(islice(left, _MOST_SHOWN))

    def context(self) -> Context:
        """Content of `session://context`."""
        snapshot, here = self._store.snapshot(), self._sessions.here
        alive = self._sessions.presence.alive(snapshot)
        shown = self._summaries(snapshot, alive[:_MOST_SHOWN])
        is_alive = set(alive).__contains__
        gone = filterfalse(
            is_alive, islice(session_names(snapshot), _MOST_GONE)
        )
        claims = self._claims.active(snapshot, _MOST_SHOWN + 1)
        return Context(
            machine=self._clone.machine,
            project=self._project,
            session=here[0] if here else None,
            signed_on_here=here,
            active=shown,
            active_more=max(0, len(alive) - _MOST_SHOWN),
            instances={
                **{one.session: "active" for one in shown},
                **{
                    name: self._gone(snapshot, name)
                    for name in islice(gone, _MOST_SHOWN)
                },
            },
            first_available=self._sessions.first_available(snapshot),
            claims=claims[:_MOST_SHOWN],
            claims_more=len(claims) > _MOST_SHOWN,
            conflicts=self.conflicts(snapshot, _MOST_SHOWN),
            sync=self.sync_state(),
            next=self._next(here, bool(alive), len(snapshot.names(CONFLICTS))),
        )

    def state(self, session: str) -> SessionState:
        """Content of `session://state/{id}`; raises InvalidName."""
        name = parse_session(session, self._clone.machine)
        snapshot = self._store.snapshot()
        record = snapshot.get(lease_key(str(name)))
        value = record.entry.value if record else None
        return SessionState(
            session=str(name),
            scope=format_scope(name.scope),
            active=record is not None
            and self._sessions.presence.is_active(str(name), record),
            record=value if isinstance(value, dict) else None,
            state={
                k.name: self.retrieved(snapshot, k)
                for k in snapshot.keys(name.scope)
            },
        )

    def conflicts(
        self, snapshot: Snapshot, most: int = _MOST_LISTED
    ) -> list[str]:
        """The open conflicts, a line each; of many only some, and how many more there are."""
        names = snapshot.names(CONFLICTS)
        stored = (snapshot.get(Key(CONFLICTS, name)) for name in names[:most])
        found = map(read_conflict, stored)
        lines = [
            readable(conflict.summary(), 300) for conflict in found if conflict
        ]
        more = len(names) - most
        return [*lines, f"and {more:,} more"] if more > 0 else lines

    def parked(self) -> list[ParkedEdit]:
        """The edits that the remote declined."""
        reasons = self._store.sync_status.reasons
        return [
            self._parked(op, commit, reasons.get(op, ""))
            for op, commit in sorted(self._store.branch.parked().items())
        ]

    def status(self) -> Status:
        """Answer of `csc-git status`."""
        cost = (0, 0)
        if self._store.syncs:
            cost = requests_per_hour(self._poll)
        snapshot = self._store.snapshot()
        until = clock.instant().seconds + _LOOK_SECONDS
        files = snapshot.foreign(lambda: clock.instant().seconds < until)
        found = [*files, *_nobodys(snapshot)]
        foreign = [
            f"{entry.path.decode(errors='replace')}: {entry.why}"
            for entry in found[:_MOST_FOREIGN]
        ]
        alive = self._sessions.presence.alive(snapshot)
        return Status(
            project=self._project,
            machine=self._clone.machine,
            clone=self._clone.id,
            repository=str(self._store.repository.path),
            branch=self._store.branch.name,
            remote=readable(self._remote) if self._remote else None,
            sync=self.sync_state(),
            parked=self.parked(),
            active=self._summaries(snapshot, alive[:_MOST_LISTED]),
            active_count=len(alive),
            claims=self._claims.active(snapshot, _MOST_LISTED),
            conflicts=self.conflicts(snapshot),
            keys=self._store.count_keys(snapshot),
            foreign=[printable(line) for line in foreign],
            foreign_count=len(found),
            clocks=self.clocks(),
            requests_per_hour=cost,
        )

    def clocks(self) -> list[str]:
        """Which machines' clocks are wrong by more than minutes, a line each."""
        return wrong_clocks(self._store, self._clone.machine)

    def _parked(self, op: str, commit: str, reason: str) -> ParkedEdit:
        record = Record.parse(
            self._store.repository.objects.commit(commit).message
        )
        return ParkedEdit(
            op=op,
            subject=readable(record.subject if record else ""),
            session=readable(record.session if record else ""),
            reason=readable(reason),
        )

    def summary(self, snapshot: Snapshot, session: str) -> SessionSummary:
        """One session, as others see it."""
        stored = snapshot.get(lease_key(session))
        lease = read_lease(stored)
        scope = ("session", session)
        said = {name: snapshot.get(Key(scope, name)) for name in _SAID}
        newest = max(
            (one.entry for one in said.values() if one), key=_time, default=None
        )
        issue, status, todos = (
            one.entry.value if one else None for one in said.values()
        )
        return SessionSummary(
            session=printable(session),
            active=stored is not None
            and self._sessions.presence.is_active(session, stored),
            here=stored is not None and self._sessions.presence.is_here(stored),
            since=readable(lease.since, 40) if lease else "",
            current_issue=cut(issue),
            status=cut(status),
            open_todos=open_todos(todos),
            stored_by=readable(newest.session, _LONGEST) if newest else None,
            stored_at=format_time(newest.time) if newest else None,
        )

    def _gone(self, snapshot: Snapshot, session: str) -> str:
        lease = read_lease(snapshot.get(lease_key(session)))
        return (
            "signed_off"
            if lease is not None and lease.state == "signed_off"
            else "gone"
        )

    def _next(self, here: list[str], others: bool, conflicts: int) -> list[str]:  # noqa: FBT001
        steps = [] if here else ["Call sign_on before you write anything."]
        if others:
            steps.append(
                "See what the active sessions do before you choose your own work."
            )
        steps.append(
            "Store current_issue, status and todos in your own scope as you go."
        )
        if conflicts:
            steps.append(
                f"Resolve the open conflicts ({conflicts}) or tell the user: list_conflicts."
            )
        status = self._store.sync_status
        if status.state not in {RemoteState.OK, RemoteState.NEVER}:
            steps.append(
                " ".join(f"{part}." for part in status.describe() if part)
            )
        return steps


def _nobodys(snapshot: Snapshot) -> list[Foreign]:
    return [
        Foreign(str(key).encode(), "no session can be called so")
        for key in nobodys(snapshot)
    ]


def _lost_edit(commit: CommitInfo) -> LostEdit:
    record = Record.parse(commit.message)
    return LostEdit(
        commit=commit.id,
        time=format_time(record.clock if record else commit.author_time),
        session=readable(record.session if record else commit.author, 80),
        subject=readable(record.subject if record else commit.message, 120),
    )


def _time(entry: Entry) -> datetime:
    return entry.time


def _rounded(age: float | None) -> float | None:
    return None if age is None else round(age, 1)
