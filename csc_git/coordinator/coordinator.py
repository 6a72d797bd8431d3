"""The coordinator: every operation of the tools and the command line, in plain calls.

One coordinator serves one process. Reads are local; writes are durable when they return; what
the remote has to say comes with the answer, never in its way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from csc_git.config import Settings
from csc_git.coordinator import clock, results
from csc_git.coordinator.background import Background
from csc_git.coordinator.overview import Overview
from csc_git.coordinator.sessions import Held, Sessions
from csc_git.core.edit import Kind, Outcome
from csc_git.core.key import RESERVED, Key, format_scope, parse_key, parse_scope
from csc_git.core.lease import SESSIONS, Instant, Lease
from csc_git.core.pattern import compile_pattern
from csc_git.core.session import resolve_scope
from csc_git.core.value import Json, check_value
from csc_git.errors import ReservedScope
from csc_git.git.failure import RemoteState
from csc_git.git.project import Project
from csc_git.store.attempt import Permit, Progress
from csc_git.store.clone import Clone
from csc_git.store.snapshot import Snapshot
from csc_git.store.status import SyncStatus
from csc_git.store.store import Store
from csc_git.store.transaction import Draft, Receipt

_LAST_PUSH: Final = 1.5
"""Seconds for a last push at the end of the process; clients kill a server that lingers."""


@dataclass(frozen=True)
class Author:
    """Who makes an edit.

    Attributes:
        name: As it stands in the value and the commit.
        fence: The session's, if it is one.
        check: Raises if this author may not write any more.
    """

    name: str
    fence: int | None
    check: Callable[[Snapshot], None]


class Coordinator:
    """Every operation on one project.

    Args:
        store: The clone's store.
        project: The user's repository.
        clone: Who this clone is.
        settings: The settings that hold here.
        remote_url: The remote's URL as configured, or None; the project is named after it.
    """

    def __init__(
        self,
        store: Store,
        project: Project,
        clone: Clone,
        settings: Settings,
        remote_url: str | None,
    ) -> None:
        self.store = store
        self.sessions = Sessions(store, clone, store.directory, settings.lease)
        self.overview = Overview(store, self.sessions, clone, project.name(remote_url), remote_url)
        self.project = project
        self.clone = clone
        self._settings = settings
        self._background: Background | None = None
        self.progress: Progress = lambda _: None
        """Told what a sync is doing; for whoever waits for one in the foreground."""

    # Sessions

    def sign_on(self, session_id: str | None = None) -> results.SignedOn:
        """Claim a session's name; see `Sessions.sign_on`."""
        held = self.sessions.sign_on(session_id, clock.now())
        self._wrote()
        return self.overview.signed_on(held.name)

    def sign_off(self, session: str | None = None) -> results.SignedOff:
        """Give a session's name back."""
        name = self.sessions.sign_off(session, clock.now())
        self._wrote()
        return results.SignedOff(session=str(name))

    def author(self, session: str | None) -> Author:
        """The session as an author of edits."""
        held: Held = self.sessions.find(session)
        return Author(
            str(held.name),
            held.lease.fence,
            lambda snapshot: self.sessions.check(held, snapshot),
        )

    def person(self, user: str) -> Author:
        """Somebody at the command line, `user@machine`, as an author of edits."""
        return Author(f"{user}@{self.clone.machine}", None, lambda _: None)

    # Reading

    def retrieve(self, scope: str, key: str, *, fresh: bool = False) -> results.Retrieved:
        """A key's value; with `fresh` the remote is asked first, as far as it answers."""
        if fresh:
            self._refresh()
        return self.overview.retrieved(self.store.snapshot(), self._key(scope, key))

    def list_keys(self, scope: str) -> results.Keys:
        """The keys of a scope."""
        scope = self._scope(scope)
        keys = self.store.snapshot().keys(parse_scope(scope))
        return results.Keys(scope=scope, keys=[key.name for key in keys])

    def list_scopes(self, pattern: str | None = None) -> results.Scopes:
        """The scopes that hold keys, all or those that a glob matches."""
        matches = compile_pattern(pattern).match if pattern is not None else lambda _: True
        scopes = map(format_scope, self.store.snapshot().scopes())
        return results.Scopes(scopes=[scope for scope in scopes if matches(scope)])

    def status(self) -> results.Status:
        """Everything worth knowing at a look."""
        return self.overview.status()

    # Writing

    def put(
        self, author: Author, scope: str, key: str, value: Json, *, confirm: bool = False
    ) -> results.Stored:
        """Store a value under a key, in place of any other."""
        place = self._own_key(scope, key)
        check_value(value, self._settings.limit)
        receipt = self._edit(author, f"store {place}", puts={place: value})
        where, reason = self._where(receipt, confirm=confirm)
        return results.Stored(
            scope=format_scope(place.scope),
            key=key,
            revision=receipt.revisions[place],
            op=receipt.op,
            status=where,
            reason=reason,
        )

    def delete(self, author: Author, scope: str, key: str) -> results.Deleted:
        """Remove a key."""
        place = self._own_key(scope, key)
        receipt = self._edit(author, f"delete {place}", deletes=lambda _: (place,))
        return results.Deleted(
            scope=format_scope(place.scope),
            key=key,
            deleted=bool(receipt.removed),
            op=receipt.op,
            status=self._where(receipt)[0],
        )

    def delete_scope(self, author: Author, scope: str) -> results.DeletedScope:
        """Remove all keys of a scope, in one edit; scopes below it stay."""
        segments = self._own_scope(scope)
        name = format_scope(segments)
        receipt = self._edit(
            author,
            f"delete {name}",
            deletes=lambda snapshot: tuple(snapshot.keys(segments)),
            kind=Kind.DELETE_SCOPE,
        )
        return results.DeletedScope(
            scope=name,
            deleted=bool(receipt.removed),
            count=len(receipt.removed),
            op=receipt.op,
            status=self._where(receipt)[0],
        )

    # Syncing

    def sync(
        self,
        *,
        permit: Permit = Permit(),  # noqa: B008  immutable
        began: Instant | None = None,
    ) -> SyncStatus:
        """Bring this clone and the remote together once, and do what follows from it."""
        status = self.store.sync(
            clock.now(), began or clock.instant(), permit=permit, progress=self.progress
        )
        self._observe(status)
        self.sessions.settle(clock.now())
        return status

    def release(self, op: str) -> Outcome | None:
        """Queue a held edit again; None if it isn't held."""
        outcome = self.store.release(op, clock.now())
        self._wrote()
        return outcome

    def start(self) -> None:
        """Sync and renew leases in the background from now on."""
        self._background = Background(self._tick, self._settings.poll, self.store.stop)
        self._background.start()

    def close(self) -> None:
        """End the background, let go of locks, close files. Sessions are not signed off."""
        if self._background is not None:
            if self.store.status.state is RemoteState.OK:
                self._background.wait_until(lambda: not self.store.branch.queue(), _LAST_PUSH)
            self._background.stop()
        self.sessions.release_all()
        self.store.close()

    def _tick(self, began: Instant) -> SyncStatus:
        self.sessions.renew(clock.now(), clock.instant())
        return self.sync(began=began)

    def _observe(self, status: SyncStatus) -> None:
        """Note when other clones' leases were first seen as they are now."""
        if status.state is not RemoteState.OK:
            return
        snapshot = self.store.snapshot()
        leases = ((key.name, snapshot.get(key)) for key in snapshot.keys(SESSIONS))
        others = [
            (name, stored.revision)
            for name, stored in leases
            if stored is not None and _is_others(Lease.from_json(stored.entry.value), self.clone)
        ]
        self.sessions.sightings.note(others, clock.instant())

    def _refresh(self) -> None:
        began = clock.instant()

        def asked() -> bool:
            contact = self.store.status.contact
            return contact is not None and contact.seconds >= began.seconds

        if self._background is None:
            self.sync()
        else:
            self._background.wait_until(asked, self._settings.confirm)

    def _where(self, receipt: Receipt, *, confirm: bool = False) -> tuple[results.Where, str]:
        """Whether the remote has an edit, and if that was asked for, why not."""
        if confirm and not self._is_synced(receipt):
            self._confirm(receipt)
        if (confirm or receipt.op is None) and self._is_synced(receipt):
            return "synced", ""
        return "local", self._why_local(receipt) if confirm else ""

    def _confirm(self, receipt: Receipt) -> None:
        if self._background is None:
            self.sync()
        else:
            self._background.wait_until(lambda: self._is_synced(receipt), self._settings.confirm)

    def _is_synced(self, receipt: Receipt) -> bool:
        if receipt.op is not None:
            return self.store.fate(receipt.op).where == "synced"
        return self.store.is_confirmed(receipt.standing)

    def _why_local(self, receipt: Receipt) -> str:
        if receipt.op is not None and self.store.fate(receipt.op).where == "held":
            return "The remote declined this edit for what it contains; see csc-git status"
        status = self.store.status
        what, then = status.describe()
        if status.state is RemoteState.OK:
            what, then = "The remote has not confirmed it in time", "It is retried by itself"
        return f"{what}. The edit is safe here and queued. {then}".rstrip()

    def _edit(
        self,
        author: Author,
        subject: str,
        *,
        puts: Mapping[Key, Json] | None = None,
        deletes: Callable[[Snapshot], tuple[Key, ...]] = lambda _: (),
        kind: Kind = Kind.EDIT,
    ) -> Receipt:
        def decide(snapshot: Snapshot) -> Draft:
            author.check(snapshot)
            return Draft(
                subject=subject,
                session=author.name,
                puts=puts or {},
                deletes=deletes(snapshot),
                fence=author.fence,
                kind=kind,
            )

        receipt = self.store.transact(decide, clock.now())
        self._wrote()
        return receipt

    def _wrote(self) -> None:
        if self._background is not None:
            self._background.wrote()

    def _scope(self, scope: str) -> str:
        return resolve_scope(scope, self.clone.machine)

    def _key(self, scope: str, key: str) -> Key:
        return parse_key(self._scope(scope), key)

    def _own_scope(self, scope: str) -> tuple[str, ...]:
        segments = parse_scope(self._scope(scope))
        if segments[0] in RESERVED:
            raise ReservedScope(
                f"The scope {segments[0]} is kept by csc-git itself",
                then="Use another first segment, or the tool that is made for it",
            )
        return segments

    def _own_key(self, scope: str, key: str) -> Key:
        self._own_scope(scope)
        return self._key(scope, key)


def _is_others(lease: Lease | None, clone: Clone) -> bool:
    return lease is not None and lease.state == "active" and lease.clone != clone.id
