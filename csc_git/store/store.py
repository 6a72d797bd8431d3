"""The store: the interface that the higher layers of csc-git use."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractContextManager,
    contextmanager,
    nullcontext,
    suppress,
)
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from csc_git.core.claim import Tracked
from csc_git.core.edit import Outcome
from csc_git.core.key import Key
from csc_git.core.lease import Instant
from csc_git.core.pace import Pace
from csc_git.core.remote_failure import RemoteFailure
from csc_git.core.remote_state import RemoteState
from csc_git.git.log import count_commits, count_files, log_lines
from csc_git.git.remote import Remote
from csc_git.git.repository import Repository
from csc_git.store.branch import Branch, Fate
from csc_git.store.sync.attempt import Progress
from csc_git.store.sync.pending_answers import PendingAnswers
from csc_git.store.sync.recovery import Divergence, Permit
from csc_git.store.sync.replica import Replica
from csc_git.store.sync.rotation import Rotation
from csc_git.store.sync.status import SyncStatus
from csc_git.store.sync.sync import Sync
from csc_git.store.transaction import (
    D,
    Decide,
    Identity,
    Receipt,
    new_op,
    transact,
)
from csc_git.store.tree.snapshot import Snapshot


class Connect(Protocol):
    """A function that returns the remote from the current settings."""

    def __call__(self, repository: Repository, *, reread: bool) -> Remote:
        """Return the remote for the store's own repository.

        Args:
            repository: The store's own repository.
            reread: Whether to read the settings again, for instance after a failed attempt.
        """


def no_files() -> tuple[str, ...]:
    """Return no tracked files, for a store whose claims are never compared with files."""
    return ()


def no_progress(_: str) -> None:
    """Ignore progress messages, for a sync that nobody watches."""


class Store:
    """A transactional key-value store on one branch, synced with a remote.

    Args:
        directory: The clone's `csc` directory.
        branch: The short name of the branch.
        identity: The committer of new commits.
        object_format: A function that returns the Git object format (`sha1` or `sha256`). This
            function is called only when the store's own repository is made.
        connect: A function that returns the remote; None if sync is switched off.
        tracked: A function that returns the files of the user's repository. The files are needed to
            compare claims on patterns.
        dedicated: Whether our branch may be the first branch of a remote that has no branches.
    """

    def __init__(  # noqa: PLR0913  each is one fact about the store
        self,
        directory: Path,
        branch: str,
        identity: Identity,
        object_format: Callable[[], str],
        connect: Connect | None,
        *,
        tracked: Tracked = no_files,
        dedicated: bool = False,
    ) -> None:
        self.directory = directory
        self.repository = Repository.open(directory, object_format, branch)
        self.branch = Branch(self.repository, branch)
        self._pending = PendingAnswers(directory)
        self._replica = Replica(
            self.repository,
            self.branch,
            identity,
            self._pending,
            tracked,
            dedicated,
        )
        self._stopped = threading.Event()
        self._sync: Sync | None = None
        self._connect = connect
        if connect is not None:
            remote = partial(self._connected, connect)
            self._sync = Sync(self._replica, remote, directory, self._stopped)

    def snapshot(self) -> Snapshot:
        """Return a snapshot of the newest commit in this clone."""
        return Snapshot(self.repository.objects, self.branch.tip)

    def count_keys(self, snapshot: Snapshot) -> int:
        """Count the keys of a snapshot. Git counts them, because git is faster than Python code."""
        if snapshot.commit is None:
            return 0
        counted = count_files(self.repository.path, snapshot.commit, "data")
        if counted is not None:
            return counted
        return sum(len(snapshot.names(scope)) for scope in snapshot.scopes())

    def count_commits(self, tip: str) -> int:
        """Count the commits of a history.

        Args:
            tip: The newest commit of the history.

        Raises:
            GitMissing: no `git` command was found on PATH.
        """
        return count_commits(self.repository.path, tip)

    def log(self, arguments: Sequence[str]) -> Iterator[str]:
        """Yield the output lines of `git log` in the store's repository; see `git.log`."""
        return log_lines(self.repository.path, arguments)

    def transact(
        self, decide: Decide[D], now: datetime, op: str | None = None
    ) -> Receipt[D]:
        """Make one edit, and return when the edit is durable; see `transaction.transact`.

        Args:
            decide: A function that returns the draft of the edit.
            now: The current time by this machine's clock.
            op: The edit's unique id. If None, a new id is made.
        """
        return transact(
            self.repository,
            self.branch.ref,
            self._replica.identity,
            decide,
            now,
            op or new_op(),
        )

    def sync(
        self,
        now: datetime,
        began: Instant,
        *,
        permit: Permit = Permit(),  # noqa: B008  immutable
        progress: Progress = no_progress,
    ) -> SyncStatus:
        """Sync once: exchange edits between this clone and the remote.

        Args:
            now: The current time by this machine's clock.
            began: The time of the caller's request. No attempt is made if nothing is queued and a
                successful attempt of another process began after this time. Then the result of that
                other attempt is returned.
            permit: A person's decisions on what to do if the remote has lost commits.
            progress: A function that is called with a short text about each step.
        """
        if self._sync is None:
            return self.sync_status
        return self._sync.attempt(now, began, permit, progress)

    def divergence(self) -> Divergence:
        """Fetch the remote's branch, and compare it with the commits that the remote had confirmed.

        Raises:
            RemoteFailure: the fetch failed, or sync is switched off.
        """
        if self._sync is None:
            raise RemoteFailure(RemoteState.OFF)
        return self._sync.divergence()

    def rotate(
        self, now: datetime, began: Instant, progress: Progress = no_progress
    ) -> Rotation:
        """Replace the history by a new, short history; see `store.sync.rotation`.

        Args:
            now: The current time by this machine's clock.
            began: The time of the request.
            progress: A function that is called with a short text about each step.

        Raises:
            RemoteFailure: the remote refused the push, or sync is switched off. The branch was not
                rotated.
        """
        if self._sync is None:
            raise RemoteFailure(RemoteState.OFF)
        return self._sync.rotate(now, began, progress)

    @property
    def sync_status(self) -> SyncStatus:
        """The outcome of the last attempt to sync."""
        if self._sync is None:
            return SyncStatus(state=RemoteState.OFF)
        return self._sync.status

    @property
    def syncs(self) -> bool:
        """Whether the store syncs with a remote. False if sync is switched off."""
        return self._sync is not None

    @property
    def pace(self) -> Pace:
        """The pace at which this clone syncs. The pace depends on how often other clones write."""
        if self._sync is None:
            return Pace()
        return self._sync.pace

    def fate(self, op: str) -> Fate:
        """Return the current state of an edit, from the data in this clone."""
        return self.branch.fate(op)

    @contextmanager
    def awaiting(self, op: str) -> Iterator[Callable[[], Fate]]:
        """Mark an edit whose author will wait for the outcome.

        The caller makes the edit, and waits for the outcome, inside the `with` block.

        The value of the `with` block is a function that ends the wait and returns the state of the
        edit. If the edit is refused at replay during the wait, the author gets the refusal as the
        answer, so no conflict record is made.
        """
        self.repository.check_place()
        with self._pending.for_answer(op) as done:

            def answer() -> Fate:
                with self.repository.writing():
                    done()
                    return self.fate(op)

            yield answer

    def is_confirmed(self, unchanged: Mapping[Key, str | None]) -> bool:
        """Return whether the remote has confirmed the given revisions of some keys.

        Args:
            unchanged: The revision of each key; None if the key has no value. If there are no keys,
                the result is whether the remote has all edits of this clone.
        """
        base = self.branch.base
        if base is None:
            return False
        if not unchanged:
            return not self.branch.queue()
        confirmed = Snapshot(self.repository.objects, base)
        return all(
            confirmed.revision(key) == revision
            for key, revision in unchanged.items()
        )

    def requeue(self, op: str, now: datetime) -> Outcome | None:
        """Queue a parked edit again, for the next attempt to push.

        Args:
            op: The edit's id.
            now: The current time by this machine's clock.

        Returns:
            The outcome of the replay; None if the edit was not parked.
        """
        with self._alone():
            commit = self.branch.parked().get(op)
            if commit is None:
                return None
            tip = self.branch.tip
            assert tip is not None  # noqa: S101  an edit was made, so there is a branch
            # If the attempt that parked the edit was interrupted, the edit is still queued.
            if op not in self.branch.queued_ops():
                batch = self.repository.batch()
                edit = self.repository.objects.commit(commit)
                replay = self._replica.replay_on(batch, tip, None, now)
                self._replica.replay(replay, [edit])
                self.repository.set_ref(self.branch.ref, tip, replay.tip, batch)
            self.branch.unpark(op)
        return self.fate(op).outcome or Outcome.APPLIED

    def drop(self, op: str, now: datetime) -> bool:
        """Delete an edit that the remote declines, because a person decided to delete the edit.

        Normally, only a parked edit can be deleted. While the remote declines all edits, a queued
        edit can also be deleted.

        Args:
            op: The edit's id.
            now: The current time by this machine's clock.

        Returns:
            Whether the edit was found and deleted.
        """
        with self._alone():
            is_queued = op in self.branch.queued_ops()
            is_parked = op in self.branch.parked()
            declines_all = self.sync_status.state is RemoteState.DECLINED
            if not is_parked and not (is_queued and declines_all):
                return False
            if is_queued:
                self._without(op, now)
            self.branch.unpark(op)
        return True

    def withdraw(self, op: str, now: datetime) -> None:
        """Delete an edit that the remote has not confirmed and that the author no longer wants.

        Args:
            op: The edit's id.
            now: The current time by this machine's clock.
        """
        with self._alone():
            if op in self.branch.queued_ops():
                self._without(op, now)
            self.branch.unpark(op)

    def _without(self, op: str, now: datetime) -> None:
        """Replay the queue without one edit. The old commits are kept for 30 days."""
        queue = self.branch.queue()
        tip = self.branch.tip
        onto = queue[0].parent
        assert onto is not None  # noqa: S101  every queued edit has a parent
        batch = self.repository.batch()
        replay = self._replica.replay_on(batch, onto, onto, now)
        self._replica.replay(replay, queue, aside=frozenset({op}))
        self.branch.keep_tip()
        self.repository.set_ref(self.branch.ref, tip, replay.tip, batch)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Prevent all other syncs and writes in this clone while the `with` block runs."""
        without_sync: AbstractContextManager[None] = nullcontext()
        if self._sync is not None:
            without_sync = self._sync.exclusively()
        with without_sync, self.repository.writing():
            yield

    def remote_clock(self) -> datetime | None:
        """Return the remote's current time; None if the remote does not report the time."""
        if self._connect is None:
            return None
        with suppress(RemoteFailure):
            return self._connect(self.repository, reread=False).clock()
        return None

    def stop(self) -> None:
        """Stop a running attempt, and end the git processes of this store."""
        self._stopped.set()
        self.repository.children.kill()

    def _connected(self, connect: Connect, reread: bool) -> Remote:  # noqa: FBT001
        remote = connect(self.repository, reread=reread)
        remote.gives_up = self._stopped.is_set
        return remote

    def close(self) -> None:
        """Stop a running attempt, and close all files of the store."""
        self._stopped.set()
        self.repository.children.close()
        self.repository.close()
