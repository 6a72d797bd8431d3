"""The coordinator: the parts that carry out what tools and commands ask for, and their life cycle.

One coordinator serves one process. Reads are local; writes are durable when they return; what
the remote has to report comes with the answer, never in its way.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from csc_git.config.settings import Settings
from csc_git.coordinator import clock
from csc_git.coordinator.authors import Authors
from csc_git.coordinator.background import Background, Upkeep
from csc_git.coordinator.claims import Claims
from csc_git.coordinator.conflicts import Conflicts
from csc_git.coordinator.edits import Edits
from csc_git.coordinator.feed import Feed
from csc_git.coordinator.past import Past
from csc_git.coordinator.sessions import Sessions
from csc_git.coordinator.summary import Summary
from csc_git.coordinator.syncing import Syncing, no_progress
from csc_git.coordinator.values import Values
from csc_git.coordinator.writer import Writer
from csc_git.core.lease import Instant
from csc_git.core.remote_state import PASSING, RemoteState
from csc_git.errors import SessionFenced
from csc_git.project.project import Project
from csc_git.project.tracked import tracked_files
from csc_git.store.attempt import Progress
from csc_git.store.clone_id import Clone
from csc_git.store.store import Store
from csc_git.store.sync_status import SyncStatus
from csc_git.store.watch import Watch


class Coordinator:
    """The parts of one process that works on one project.

    Args:
        store: The clone's store.
        project: The user's repository.
        clone: Who this clone is.
        settings: The settings that hold here.
        remote_url: The remote's URL as configured, or None; the project is named after it.
        given: Branch, remote and sync settings given to this process by flag or environment.
        progress: Called with what a sync does, where a command waits for it.

    Attributes:
        authors: Sessions sign on and off.
        values: Reads.
        edits: Writes values.
        claims: Claims and releases.
        conflicts: Lists and resolves.
        feed: Waits for changes.
        past: Reads history.
        summary: The state as a whole.
        syncing: Syncs with the remote.
        sessions: The sessions of this process.
        writer: Makes edits, and asks the remote.
    """

    def __init__(  # noqa: PLR0913  what a process knows when it starts
        self,
        store: Store,
        project: Project,
        clone: Clone,
        settings: Settings,
        remote_url: str | None,
        *,
        given: Mapping[str, Any] | None = None,
        progress: Progress = no_progress,
    ) -> None:
        self.store = store
        self.project = project
        self.clone = clone
        self.watch = Watch(store.repository.path / "refs")
        self._settings = settings
        self._upkeep = Upkeep(store)
        self._has_left = False
        self.writer = Writer(
            store,
            settings.confirm,
            self._upkeep,
            self._sync,
            self._explained,
        )
        self.sessions = Sessions(
            store,
            self.writer,
            clone,
            settings.lease,
            given,
            str(project.top),
        )
        self.edits = Edits(store, self.writer, clone.machine, settings.limit)
        self.claims = Claims(
            store,
            self.sessions,
            clone,
            self.writer,
            partial(tracked_files, project),
            settings.lease,
        )
        self.conflicts = Conflicts(store, self.writer, settings.limit)
        self.past = Past(store, clone.machine)
        self.feed = Feed(store, self.watch, self.sessions, self.claims.lost)
        self.summary = Summary(
            store,
            self.sessions,
            self.claims,
            clone,
            project.name(remote_url),
            remote_url,
            poll=settings.poll,
        )
        self.values = Values(
            store, self.writer, self.past, self.summary, clone.machine
        )
        self.authors = Authors(
            self.sessions,
            self.claims,
            self.writer,
            self.feed,
            self.summary,
            clone.machine,
        )
        self.syncing = Syncing(
            store, self.sessions, self.claims, self.writer, clone, progress
        )

    def start(self) -> None:
        """Sync and renew leases in the background from now on."""
        background = Background(
            self._tick, self._settings.poll, self.store.pace, self.store.stop
        )
        self.writer.begin(background)
        background.start()

    def leave(self) -> None:
        """End a server: its sessions are signed off here at once, and for others soon after.

        What is queued is pushed by a process that goes on, however slow the remote is.
        """
        self.sessions.leave(clock.now())
        syncs = self.store.syncs and self.writer.background is not None
        self.writer.abandon()
        self._has_left = True
        hopeful = self.store.sync_status.state in PASSING | {RemoteState.NEVER}
        queued = syncs and hopeful and self.syncing.has_queue()
        self.close()
        if queued:
            self.hand_over()

    def hand_over(self) -> None:
        """Have a process that goes on push what is queued, and sign dead sessions off."""
        self.writer.go_on(self.project.place, self.sessions.own_settings)

    def close(self) -> None:
        """End the background, let go of locks, close files. Sessions are not signed off."""
        is_server = self.writer.background is not None or self._has_left
        self.watch.close()
        try:
            self.writer.finish()
            if not is_server:
                self._upkeep.catch_up()
        finally:
            self.sessions.release_all()
            self.store.close()

    def _tick(self, began: Instant) -> SyncStatus:
        self.sessions.renew(clock.now(), clock.instant())
        status = self.syncing.sync(began=began)
        self._upkeep.begin()
        return status

    def _sync(self) -> SyncStatus:
        """Sync for the writer, which is made before `syncing`."""
        return self.syncing.sync()

    def _explained(self, fenced: SessionFenced) -> SessionFenced:
        """A refused write, with what became of the session since."""
        return self.sessions.explained(fenced, clock.now())
