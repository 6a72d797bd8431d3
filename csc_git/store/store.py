"""The store: what the layers above use."""

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
    """Returns the remote as the settings have it now."""

    def __call__(self, repository: Repository, *, reread: bool) -> Remote:
        """Return the remote of our repository.

        Args:
            repository: Ours.
            reread: Whether to read the settings again, as after a failure.
        """


def no_files() -> tuple[str, ...]:
    """List no tracked files, for a store whose claims are never compared with any."""
    return ()


def no_progress(_: str) -> None:
    """Report nothing, for a sync that nobody watches."""


class Store:
    """A transactional key-value store on one branch, synced with a remote.

    Args:
        directory: The clone's `csc` directory.
        branch: Short name of the branch.
        identity: Who places commits.
        object_format: Asked when the repository is first made.
        connect: Makes the remote; None if sync is switched off.
        tracked: The files of the user's repository, for claims that are patterns.
        dedicated: Whether a remote without any branch may get ours as its first.
    """

    def __init__(  # noqa: PLR0913  each is one fact about where the store lives
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
        """Return the newest state in this clone."""
        return Snapshot(self.repository.objects, self.branch.tip)

    def count_keys(self, snapshot: Snapshot) -> int:
        """Count the keys of a snapshot, by git: it counts a hundred thousand in a moment."""
        if snapshot.commit is None:
            return 0
        counted = count_files(self.repository.path, snapshot.commit, "data")
        if counted is not None:
            return counted
        return sum(len(snapshot.names(scope)) for scope in snapshot.scopes())

    def count_commits(self, tip: str) -> int:
        """Count the commits of a history.

        Args:
            tip: Its newest commit.

        Raises:
            GitMissing: there is no git on PATH.
        """
        return count_commits(self.repository.path, tip)

    def log(self, arguments: Sequence[str]) -> Iterator[str]:
        """Yield what `git log` prints in our repository; see `git.log.log_lines`."""
        return log_lines(self.repository.path, arguments)

    def transact(
        self, decide: Decide[D], now: datetime, op: str | None = None
    ) -> Receipt[D]:
        """Make one edit; it is durable when this returns. See `transaction.transact`.

        Args:
            decide: Decides what to change.
            now: The wall clock.
            op: The edit's unique id; None: a new one.
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
        """Bring this clone and the remote together once.

        Args:
            now: The wall clock.
            began: When the caller's round began. A result of a later attempt of another process
                is taken.
            permit: What a person allows it to do beyond what is safe.
            progress: Called with what it does.
        """
        if self._sync is None:
            return self.sync_status
        return self._sync.attempt(now, began, permit, progress)

    def divergence(self) -> Divergence:
        """Ask the remote how its branch differs from what it had confirmed.

        Raises:
            RemoteFailure: it can't be asked, or there is none.
        """
        if self._sync is None:
            raise RemoteFailure(RemoteState.OFF)
        return self._sync.divergence()

    def rotate(
        self, now: datetime, began: Instant, progress: Progress = no_progress
    ) -> Rotation:
        """Go on with a new, short history; see `store.sync.rotation`.

        Args:
            now: The wall clock.
            began: When it was asked for.
            progress: Called with what it does.

        Raises:
            RemoteFailure: the remote refuses, or there is none; nothing was rotated.
        """
        if self._sync is None:
            raise RemoteFailure(RemoteState.OFF)
        return self._sync.rotate(now, began, progress)

    @property
    def sync_status(self) -> SyncStatus:
        """How the last attempt to sync ended."""
        if self._sync is None:
            return SyncStatus(state=RemoteState.OFF)
        return self._sync.status

    @property
    def syncs(self) -> bool:
        """Whether it has a remote to sync with; else sync is switched off."""
        return self._sync is not None

    @property
    def pace(self) -> Pace:
        """How this clone shares the branch with others."""
        if self._sync is None:
            return Pace()
        return self._sync.pace

    def fate(self, op: str) -> Fate:
        """Return what became of an edit."""
        return self.branch.fate(op)

    @contextmanager
    def awaiting(self, op: str) -> Iterator[Callable[[], Fate]]:
        """Wait for an edit: it is made and waited for inside the `with` block.

        The value of the `with` block is a function. Calling it ends the wait and returns what is
        then certain of the edit. A refusal at replay before that is an answer to the author, so
        it leaves no conflict record.
        """
        self.repository.check_place()
        with self._pending.for_answer(op) as done:

            def answer() -> Fate:
                with self.repository.writing():
                    done()
                    return self.fate(op)

            yield answer

    def is_confirmed(self, unchanged: Mapping[Key, str | None]) -> bool:
        """Check whether the remote has these keys at these revisions.

        Args:
            unchanged: The revision of each key; None if it has no value. If it is empty, the
                remote must have all edits of this clone.
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
            now: The wall clock.

        Returns:
            How it was replayed; None if it is not parked.
        """
        with self._alone():
            commit = self.branch.parked().get(op)
            if commit is None:
                return None
            tip = self.branch.tip
            assert tip is not None  # noqa: S101  an edit was made, so there is a branch
            # It is queued still if the attempt that parked it was cut short.
            if op not in self.branch.queued_ops():
                batch = self.repository.batch()
                edit = self.repository.objects.commit(commit)
                replay = self._replica.replay_on(batch, tip, None, now)
                self._replica.replay(replay, [edit])
                self.repository.set_ref(self.branch.ref, tip, replay.tip, batch)
            self.branch.unpark(op)
        return self.fate(op).outcome or Outcome.APPLIED

    def drop(self, op: str, now: datetime) -> bool:
        """Give up an edit that the remote declines, as a person decided.

        That is a parked one, or a queued one while the remote declines everything.

        Args:
            op: The edit's id.
            now: The wall clock.

        Returns:
            Whether there was such an edit.
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
        """Take back an edit that no remote has confirmed, and that its author no longer wants.

        Args:
            op: The edit's id.
            now: The wall clock.
        """
        with self._alone():
            if op in self.branch.queued_ops():
                self._without(op, now)
            self.branch.unpark(op)

    def _without(self, op: str, now: datetime) -> None:
        """Make the queue again as if one edit had not been made; its commit is kept for 30 days."""
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
        """Exclude syncs and writes of all processes of the clone while the block lasts."""
        without_sync: AbstractContextManager[None] = nullcontext()
        if self._sync is not None:
            without_sync = self._sync.exclusively()
        with without_sync, self.repository.writing():
            yield

    def remote_clock(self) -> datetime | None:
        """Return the remote's time, if the remote reports it."""
        if self._connect is None:
            return None
        with suppress(RemoteFailure):
            return self._connect(self.repository, reread=False).clock()
        return None

    def stop(self) -> None:
        """End a running attempt, and the git processes of this store."""
        self._stopped.set()
        self.repository.children.kill()

    def _connected(self, connect: Connect, reread: bool) -> Remote:  # noqa: FBT001
        remote = connect(self.repository, reread=reread)
        remote.gives_up = self._stopped.is_set
        return remote

    def close(self) -> None:
        """Stop, and close files."""
        self._stopped.set()
        self.repository.children.close()
        self.repository.close()
