"""The coordinator creates, starts and stops the objects that execute tool calls and commands.

Each process has one coordinator. A read returns the values that this clone has. A write is durable
when its call returns. A call waits for the remote only if the caller asks it to wait.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from csc_git.config.settings import Settings
from csc_git.coordinator import clock
from csc_git.coordinator.authors import Authors
from csc_git.coordinator.background import Background, Upkeep
from csc_git.coordinator.claims.claims import Claims
from csc_git.coordinator.conflicts import Conflicts
from csc_git.coordinator.edits import Edits
from csc_git.coordinator.reading.feed import Feed
from csc_git.coordinator.reading.past import Past
from csc_git.coordinator.reading.summary import Summary
from csc_git.coordinator.reading.values import Values
from csc_git.coordinator.sessions.sessions import Sessions
from csc_git.coordinator.syncing import Syncing
from csc_git.coordinator.writer import Writer
from csc_git.core.lease import Instant
from csc_git.core.remote_state import PASSING, RemoteState
from csc_git.errors import SessionFenced
from csc_git.project.project import Project
from csc_git.project.tracked import tracked_files
from csc_git.store.clone_id import Clone
from csc_git.store.store import Store, no_progress
from csc_git.store.sync.attempt import Progress
from csc_git.store.sync.status import SyncStatus
from csc_git.store.watch import Watch


class Coordinator:
    """The objects that one process uses to work on one project.

    Args:
        store: The clone's store.
        project: The user's repository.
        clone: The id and the machine name of this clone.
        settings: The settings of this process.
        remote_url: The configured URL of the remote, from which the project's name is derived; None
            if there is no remote.
        given: The branch, remote and sync settings that flags or the environment gave to this
            process.
        progress: A function that is called at each step of a sync, if a command waits for the sync.

    Attributes:
        authors: The part that signs sessions on and off.
        values: The part that reads values.
        edits: The part that stores and deletes values.
        claims: The part that claims and releases resources.
        conflicts: The part that lists and resolves conflicts.
        feed: The part that waits for changes.
        past: The part that reads the history of the branch.
        summary: The part that summarizes the whole state of the store.
        syncing: The part that syncs with the remote.
        sessions: The sessions of this process.
        writer: The part that makes edits and waits for the remote.
    """

    def __init__(  # noqa: PLR0913  all that a process knows at its start
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
            self._explain,
        )
        self.sessions = Sessions(
            store,
            self.writer,
            clone,
            settings.lease,
            given,
            str(project.top),
        )
        self.edits = Edits(
            store,
            self.writer,
            clone.machine,
            settings.limit,
        )
        self.claims = Claims(
            store,
            self.sessions,
            clone,
            self.writer,
            partial(tracked_files, project),
            settings.lease,
        )
        self.conflicts = Conflicts(
            store,
            self.writer,
            settings.limit,
        )
        self.past = Past(store, clone.machine)
        self.feed = Feed(
            store,
            self.watch,
            self.sessions,
            self.claims.lost,
        )
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
            store,
            self.writer,
            self.past,
            self.summary,
            clone.machine,
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
            store,
            self.sessions,
            self.claims,
            self.writer,
            clone,
            progress,
        )

    def start(self) -> None:
        """Start the background thread, which syncs and renews leases."""
        background = Background(
            self._tick,
            self._settings.poll,
            self.store.pace,
            self.store.stop,
        )
        self.writer.use_background(background)
        background.start()

    def leave(self) -> None:
        """Sign off the sessions of a server that ends, and close the store.

        Other processes of the clone see the sign-offs at once. If edits are still queued, a new
        process is started, which pushes the edits. After that push, the other clones see the
        sign-offs too.
        """
        now = clock.now()
        self.sessions.sign_off_all(now)
        syncs = self.store.syncs and self.writer.background is not None
        self.writer.stop_background()
        self._has_left = True
        can_push = syncs and self._can_sync_later()
        is_queued = can_push and self.syncing.has_queue()
        self.close()
        if is_queued:
            self.hand_over()

    def hand_over(self) -> None:
        """Start another process before this process ends.

        The new process pushes the queue and signs off dead sessions.
        """
        self.writer.push_after_exit(
            self.project.place,
            self.sessions.own_settings,
        )

    def close(self) -> None:
        """Stop the background thread, release locks and close files. Do not sign off sessions."""
        is_server = self.writer.background is not None or self._has_left
        self.watch.close()
        try:
            self.writer.finish()
            if not is_server:
                self._upkeep.run_if_due()
        finally:
            self.sessions.release_locks()
            self.store.close()

    def _can_sync_later(self) -> bool:
        """Check whether a later sync can succeed without the help of a person."""
        state = self.store.sync_status.state
        return state in PASSING or state is RemoteState.NEVER

    def _tick(self, began: Instant) -> SyncStatus:
        """Do one round of the background thread's work."""
        now = clock.now()
        instant = clock.instant()
        self.sessions.renew(now, instant)
        status = self.syncing.sync(began=began)
        self._upkeep.start_if_due()
        return status

    def _sync(self) -> SyncStatus:
        """Sync once.

        The writer gets this method because `syncing` does not exist yet when the writer is created.
        """
        return self.syncing.sync()

    def _explain(self, fenced: SessionFenced) -> SessionFenced:
        """Return the error for a refused write.

        If the session has got a new name, the error message contains this name.
        """
        now = clock.now()
        return self.sessions.explain_refusal(fenced, now)
