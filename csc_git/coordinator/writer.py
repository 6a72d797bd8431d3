"""The writer: makes edits, and waits until the remote has confirmed or refused them.

An edit is `local` when its transaction returns. A caller that asks for confirmation waits until the
fate of the edit is known, but only for a limited time. There are three fates: the remote has the
edit, a replay has refused the edit, or the remote has declined the edit because of its content.
"""

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Generic

from csc_git.coordinator import clock
from csc_git.coordinator.background import Background, Upkeep
from csc_git.coordinator.results.base import Where
from csc_git.core.edit import Outcome
from csc_git.core.lease import Instant
from csc_git.core.remote_state import UNCONFIRMED, RemoteState
from csc_git.errors import (
    CscError,
    Interrupted,
    SessionFenced,
    StorageFailed,
    as_csc_error,
)
from csc_git.processes.detached import start_detached
from csc_git.store.branch import Fate
from csc_git.store.store import Store
from csc_git.store.transaction import D, Decide, Receipt, new_op

_LAST_PUSH: Final = 1.5
"""The last push of a process may take at most this many seconds. A client kills a slower server."""

_MOMENT: Final = 0.4
"""An ending server waits at most this many seconds for a push. A quick remote needs less."""

_LONGEST_PUSH: Final = 900
"""After a server has ended, another process tries for this many seconds to push the queue."""

SHARING: Final = frozenset({"CSC_BRANCH", "CSC_REMOTE", "CSC_SYNC"})
"""The environment variables of the branch, remote and sync settings."""

_AT_ONCE: Final = 2.0
"""`fetch_if_hopeful` and `wait_for_first_contact` wait at most this many seconds."""

_LONGEST_FIRST: Final = 10.0
"""A command waits at most this many seconds for a fetch before the command makes its edit."""

_RECENT: Final = 60.0
"""Before its first read, a command syncs only if the last sync is older than this many seconds."""

_STORED: Final = "The edit is stored here. It is not known yet whether the remote has the edit"

_LOST: Final = (
    "The key has a later value now; your value is kept in full as an open conflict, "
    "see list_conflicts"
)


@dataclass(frozen=True)
class Delivered(Generic[D]):
    """The result of an edit: what was written, and whether the remote has the edit.

    Attributes:
        receipt: The result of the transaction in this clone.
        where: `synced` if the remote has the edit in its history; otherwise `local`.
        outcome: The outcome of the replay; None if the edit was not replayed.
        reason: Why the edit is not synced, or why its value is not current; otherwise empty.
    """

    receipt: Receipt[D]
    where: Where
    outcome: Outcome | None = None
    reason: str = ""


class Writer:
    """Makes edits and waits for the remote, with or without a background thread.

    Args:
        store: The clone's store.
        patience: An edit waits at most this many seconds for the remote.
        upkeep: The object that does maintenance after a number of edits.
        sync: A function that syncs once, for a process without a background thread.
        explain: A function that returns the error to raise when a session has lost its name.
    """

    def __init__(
        self,
        store: Store,
        patience: float,
        upkeep: Upkeep,
        sync: Callable[[], object],
        explain: Callable[[SessionFenced], SessionFenced],
    ) -> None:
        self._store = store
        self._upkeep = upkeep
        self._patience = patience
        self._sync = sync
        self._explain = explain
        self.background: Background | None = None
        self.fetches_first = False
        self._began: Instant | None = None
        self._has_waited = False
        self._asking: threading.Thread | None = None

    def make(
        self,
        decide: Decide[D],
        *,
        confirm: bool = False,
    ) -> Delivered[D]:
        """Make one edit.

        With `confirm`, wait until the fate of the edit is known, but only for a limited time.

        Args:
            decide: The function that decides on the edit; see `store.transaction.Decide`.
            confirm: Whether to wait until the remote has confirmed the edit.

        Raises:
            ConditionFailed: a condition of the edit is not true in this clone. If a replay refuses
                the edit later, no error is raised, but the outcome is `refused`.
            Interrupted: a person interrupted the call.
            CscError: `decide` raised this error.
        """
        op = new_op()
        try:
            if confirm:
                return self._confirmed(decide, op)
            receipt = self._transact(decide, op)
            if receipt.op is None:
                return self._unchanged(receipt)
            return Delivered(receipt, "local")
        except KeyboardInterrupt:
            raise self._interrupted(op) from None

    def write(
        self,
        decide: Decide[D],
        now: datetime,
        op: str | None = None,
        *,
        wakes: bool = True,
    ) -> Receipt[D]:
        """Make one edit without waiting for the remote, such as a sign-on.

        Args:
            decide: The function that decides on the edit; see `store.transaction.Decide`.
            now: The wall time.
            op: The id of the edit. If None, a new id is made.
            wakes: If true, the background thread syncs soon. If false, the next regular sync pushes
                the edit.

        Raises:
            ConditionFailed: a condition of the edit is not true in this clone.
            CscError: `decide` raised this error.
        """
        receipt = self._store.transact(decide, now, op)
        if wakes:
            self.request_sync()
        if self.background is not None:
            self._upkeep.count_edit()
        return receipt

    def _confirmed(
        self,
        decide: Decide[D],
        op: str,
    ) -> Delivered[D]:
        """Make an edit and wait for the remote.

        If an edit changes nothing in this clone, the remote may still have another value of the
        key. In this case, fetch from the remote and decide the edit a second time.
        """
        is_reached = self._reach_first()
        with self._store.awaiting(op) as answer:
            receipt = self._transact(decide, op)
            if receipt.op is None:
                if not is_reached or not self._ask():
                    reason = self._why_local()
                    return Delivered(receipt, "local", reason=reason)
                receipt = self._transact(decide, op)
            if receipt.op is None:
                return self._unchanged(receipt, explained=True)
            return self._answered_in_time(
                receipt,
                op,
                answer,
                asks=is_reached,
            )

    def _answered_in_time(
        self,
        receipt: Receipt[D],
        op: str,
        answer: Callable[[], Fate],
        *,
        asks: bool,
    ) -> Delivered[D]:
        """Return the result of an edit. If `asks` is true, wait for the remote first."""
        try:
            if asks:
                self._wait_until(lambda: _is_decided(self._store.fate(op)))
            fate = answer()
            return self._answered(receipt, fate)
        except (StorageFailed, OSError) as error:
            what = as_csc_error(error).what
            raise StorageFailed(what, safe=_STORED) from error

    def _reach_first(self) -> bool:
        """Fetch before an edit, if this process is a command that a person typed.

        A command knows only the values that the last sync fetched. Without a new fetch, the edit
        could replace newer values that the person has never seen, or cause a conflict.

        Returns:
            False if the fetch failed. In this case, the caller need not try again. Else True.
        """
        if not self.fetches_first:
            return True
        if not self._store.syncs:
            return False
        began = clock.instant()
        self._sync_aside(_LONGEST_FIRST)
        return self._was_reached_since(began)

    def _ask(self) -> bool:
        """Sync with the remote once, and return whether the remote answered in time."""
        if not self._store.syncs:
            return False
        began = clock.instant()
        self.refresh()
        return self._was_reached_since(began)

    def _was_reached_since(self, began: Instant) -> bool:
        contact = self._store.sync_status.contact
        if contact is None:
            return False
        return contact.is_after(began)

    def _interrupted(self, op: str) -> Interrupted:
        """Return the error for an edit whose author interrupted the call."""
        fate = self._store.fate(op)
        if fate.where == "unknown":
            return Interrupted("Interrupted before the edit was stored")
        if fate.where == "synced":
            return Interrupted(
                "Interrupted",
                safe="The edit is stored, and the remote has it",
            )
        return Interrupted(
            "Interrupted while waiting for the remote",
            safe="The edit is stored here and queued",
            then="A running server pushes the edit; if no server runs, run csc-git sync",
        )

    def fetch_if_hopeful(self) -> None:
        """Fetch the newest edits of other clones, unless the last sync failed.

        Wait only briefly for the remote. In a command, do nothing, because a command has no
        background thread.
        """
        if self.background is None or not self._store.syncs:
            return
        if self._is_hopeful():
            self.refresh(_AT_ONCE)

    def wait_for_first_contact(self) -> None:
        """Before the first read of a process, wait briefly until the remote has answered once.

        A clone that was not synced for a long time may lack many values that others have stored.
        """
        if self._has_waited or not self._store.syncs:
            return
        self._has_waited = True
        if not self._is_hopeful():
            return
        if self.background is not None:
            began = self._began or clock.instant()
            self._wait_until(
                lambda: self._was_reached_since(began),
                _AT_ONCE,
            )
            return
        if self._was_asked_recently():
            return
        # If the remote can't be reached, the read still returns the local values.
        with suppress(CscError, OSError):
            self._sync_aside(_AT_ONCE)

    def _was_asked_recently(self) -> bool:
        """Check whether this clone tried to contact the remote in the last minute."""
        now = clock.instant()
        status = self._store.sync_status
        for asked in (status.contact, status.attempt):
            if asked is not None and now.since(asked) < _RECENT:
                return True
        return False

    def _sync_aside(self, seconds: float) -> None:
        """Sync in a new thread, and wait until the sync ends, but only for a limited time.

        If the sync fails within that time, raise the error of the sync in the caller's thread.

        Args:
            seconds: Wait at most this many seconds. After that, the sync continues in its thread.
        """
        raised: list[Exception] = []

        def run() -> None:
            try:
                self._sync()
            except Exception as error:  # noqa: BLE001  raised below, in the caller's thread
                raised.append(error)

        self._asking = threading.Thread(
            target=run, name="csc-git first sync", daemon=True
        )
        self._asking.start()
        self._asking.join(seconds)
        if raised:
            raise raised[0]

    def _is_hopeful(self) -> bool:
        """Return true if the last sync reached the remote, or if no sync has been tried yet."""
        status = self._store.sync_status
        return status.state in {RemoteState.OK, RemoteState.NEVER}

    def refresh(self, patience: float | None = None) -> None:
        """Sync with the remote once, and wait for the remote's answer.

        Args:
            patience: Wait at most this many seconds. If None, wait as long as an edit does.
        """
        began = clock.instant()
        self._wait_until(
            lambda: self._was_reached_since(began),
            patience,
        )

    def use_background(self, background: Background) -> None:
        """Use a background thread for all syncs from now on."""
        self.background = background
        self._began = clock.instant()

    def request_sync(self) -> None:
        """Make the background thread sync soon, because this process wrote something."""
        if self.background is not None and self._store.syncs:
            self.background.request_sync()

    def stop_background(self) -> None:
        """Stop the background thread of a server that ends.

        The thread gets less than a second to push the queue. Another process pushes the remaining
        edits.
        """
        if self.background is None:
            return
        with suppress(CscError, OSError):
            if self._store.syncs and self._is_hopeful():
                self.background.wait_until(self._is_pushed, _MOMENT)
        self.background.stop(_LAST_PUSH)
        self.background = None

    def push_after_exit(
        self,
        place: Path,
        settings: Mapping[str, Any],
    ) -> None:
        """Start a process that pushes the queue and continues after this process has ended.

        Args:
            place: A directory of the repository.
            settings: The branch, remote and sync settings that flags or the environment gave to
                this process. The new process gets the same settings.
        """
        environment = dict(os.environ)
        for name in SHARING:
            environment.pop(name, None)
        for name, value in settings.items():
            variable = f"CSC_{name.upper()}"
            environment[variable] = str(value)
        arguments = [
            "sync",
            "-C",
            str(place),
            f"--until-pushed={_LONGEST_PUSH}",
        ]
        start_detached("csc_git", arguments, environment)

    def finish(self) -> None:
        """Give the background thread a short time for a last push, and then stop the thread."""
        if self._asking is not None and self._asking.is_alive():
            self._store.stop()
            self._asking.join(_LAST_PUSH)
        if self.background is None:
            return
        # If the store was deleted, there is nothing to push.
        with suppress(CscError, OSError):
            status = self._store.sync_status
            if status.state is RemoteState.OK:
                self.background.wait_until(self._is_pushed, _LAST_PUSH)
        self.background.stop()

    def _is_pushed(self) -> bool:
        queue = self._store.branch.queue()
        return not queue

    def _transact(
        self,
        decide: Decide[D],
        op: str,
    ) -> Receipt[D]:
        now = clock.now()
        try:
            return self.write(decide, now, op)
        except SessionFenced as fenced:
            raise self._explain(fenced) from None

    def _wait_until(
        self,
        enough: Callable[[], bool],
        patience: float | None = None,
    ) -> None:
        """Sync until `enough` returns true, or until the time limit has passed.

        Without a background thread, sync only once.
        """
        if not self._store.syncs:
            return
        if patience is None:
            patience = self._patience
        if self.background is not None:
            self.background.wait_until(enough, patience)
        elif not enough():
            self._sync()

    def _unchanged(
        self,
        receipt: Receipt[D],
        *,
        explained: bool = False,
    ) -> Delivered[D]:
        """Return the result of an edit that changed nothing in this clone."""
        if self._store.is_confirmed(receipt.unchanged):
            return Delivered(receipt, "synced")
        snapshot = self._store.snapshot()
        for key, revision in receipt.unchanged.items():
            if snapshot.revision(key) != revision:
                reason = "Somebody has changed the key in the meantime"
                return Delivered(receipt, "local", reason=reason)
        reason = ""
        if explained:
            reason = self._why_local()
        return Delivered(receipt, "local", reason=reason)

    def _answered(
        self,
        receipt: Receipt[D],
        fate: Fate,
    ) -> Delivered[D]:
        """Return the result of an edit with a known fate."""
        lost = ""
        if fate.outcome is Outcome.LOST:
            lost = _LOST
        if fate.where == "synced":
            return Delivered(receipt, "synced", fate.outcome, lost)
        if fate.where == "parked":
            why = "The remote declined this edit because of its content; see csc-git status"
            return Delivered(receipt, "local", None, why)
        reason = lost or self._why_local()
        return Delivered(receipt, "local", fate.outcome, reason)

    def _why_local(self) -> str:
        """Explain why an edit is not confirmed."""
        status = self._store.sync_status
        what, then = status.describe()
        if status.state is RemoteState.OK:
            what, then = UNCONFIRMED
        return f"{what}. The edit is safe here and queued. {then}".rstrip()


def _is_decided(fate: Fate) -> bool:
    if fate.outcome is Outcome.REFUSED:
        return True
    return fate.where in {"synced", "parked"}
