"""The writer: makes edits, and waits until the remote has confirmed or refused them.

An edit is `local` when its transaction returns. A caller that asks for confirmation waits, at most
for a set time, until the remote has the edit, a replay has refused it, or the remote has declined
it for its content.
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
"""Seconds for a last push at the end of the process; clients kill a server that takes longer."""

_MOMENT: Final = 0.4
"""Seconds that a server which ends waits for a push, in case the remote is quick."""

_LONGEST_PUSH: Final = 900
"""Seconds for which a process that was started to push the rest keeps trying."""

SHARING: Final = frozenset({"CSC_BRANCH", "CSC_REMOTE", "CSC_SYNC"})
"""Environment variables of the branch, remote and sync settings."""

_AT_ONCE: Final = 2.0
"""Most seconds that `fetch_if_hopeful` and `wait_for_first_contact` wait."""

_LONGEST_FIRST: Final = 10.0
"""Most seconds that a command waits for a fetch before it stores; the sync itself continues."""

_RECENT: Final = 60.0
"""Seconds after an attempt to sync during which a first read does not ask the remote."""

_STORED: Final = "The edit is stored here. Whether the remote has it is unknown at the moment"

_LOST: Final = (
    "A later value of the same key is the current one; yours is kept in full as an open "
    "conflict, see list_conflicts"
)


@dataclass(frozen=True)
class Delivered(Generic[D]):
    """An edit, and whether the remote has it.

    Attributes:
        receipt: What the transaction did in this clone.
        where: `synced` only if the remote has the edit in its history.
        outcome: How it was replayed; None if it was not.
        reason: Why it is not synced, or why its value is not the current one; else empty.
    """

    receipt: Receipt[D]
    where: Where
    outcome: Outcome | None = None
    reason: str = ""


class Writer:
    """Makes edits and waits for the remote, by the background thread or in the foreground.

    Args:
        store: The clone's store.
        patience: Most seconds to wait for the remote.
        upkeep: Counts the edits that a server makes.
        sync: Syncs once, for a process without a background thread.
        explain: Returns the error to raise for a session that lost its name.
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
        """Make one edit; with `confirm`, wait until its fate is certain or time runs out.

        Args:
            decide: See `store.transaction.Decide`.
            confirm: Whether to wait.

        Raises:
            ConditionFailed: a condition does not hold in this clone. (A refusal at replay is
                returned as the outcome.)
            Interrupted: a person interrupted the wait.
            CscError: any error that `decide` raises.
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
        """Make one edit that nobody waits for, such as a sign-on.

        Args:
            decide: See `store.transaction.Decide`.
            now: The wall clock.
            op: The edit's id; None for a new one.
            wakes: Whether the background thread is to sync the edit soon; otherwise its next sync
                pushes it.

        Raises:
            ConditionFailed: a condition does not hold in this clone.
            CscError: any error that `decide` raises.
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

        An edit that changes nothing in this clone may still change something on the remote, which
        may have another value by now. So the remote is asked, and the edit is decided again on what
        the remote has.
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
        """Return what became of an edit, after waiting for the remote if `asks`."""
        try:
            if asks:
                self._wait_until(lambda: _is_decided(self._store.fate(op)))
            fate = answer()
            return self._answered(receipt, fate)
        except (StorageFailed, OSError) as error:
            what = as_csc_error(error).what
            raise StorageFailed(what, safe=_STORED) from error

    def _reach_first(self) -> bool:
        """Fetch before an edit, if this is a command that a person typed.

        Such a process knows only what the last sync fetched. Without a new fetch it could replace
        values that it has never seen, or conflict with them. False if the remote could not be
        reached: then it is not asked a second time.
        """
        if not self.fetches_first:
            return True
        if not self._store.syncs:
            return False
        began = clock.instant()
        self._sync_aside(_LONGEST_FIRST)
        return self._was_reached_since(began)

    def _ask(self) -> bool:
        """Ask the remote once, and return whether it answered in time."""
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
        """Return the error for an edit whose author did not wait for the answer."""
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
            then="A running server pushes it, or csc-git sync",
        )

    def fetch_if_hopeful(self) -> None:
        """Wait briefly for what others did until now, if the remote answered when last asked.

        Only a server does so.
        """
        if self.background is None or not self._store.syncs:
            return
        if self._is_hopeful():
            self.refresh(_AT_ONCE)

    def wait_for_first_contact(self) -> None:
        """Wait briefly, before the first read of a process, until the remote was reached once.

        A clone that was not synced for a long time lacks most of what others stored.
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
        # A read continues without the remote.
        with suppress(CscError, OSError):
            self._sync_aside(_AT_ONCE)

    def _was_asked_recently(self) -> bool:
        """Check whether this clone reached the remote, or tried to, a short time ago."""
        now = clock.instant()
        status = self._store.sync_status
        for asked in (status.contact, status.attempt):
            if asked is not None and now.since(asked) < _RECENT:
                return True
        return False

    def _sync_aside(self, seconds: float) -> None:
        """Sync in a thread and wait for it; an error that it raises by then is raised here.

        Args:
            seconds: How long to wait; after that the sync continues in its thread.
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
        """Check whether the remote answered when it was last asked, or was never asked."""
        status = self._store.sync_status
        return status.state in {RemoteState.OK, RemoteState.NEVER}

    def refresh(self, patience: float | None = None) -> None:
        """Ask the remote once, and wait for the answer.

        Args:
            patience: Most seconds to wait; None for as long as an edit waits.
        """
        began = clock.instant()
        self._wait_until(
            lambda: self._was_reached_since(began),
            patience,
        )

    def use_background(self, background: Background) -> None:
        """Leave syncing to a background thread from now on."""
        self.background = background
        self._began = clock.instant()

    def request_sync(self) -> None:
        """Have the background thread sync soon what was written."""
        if self.background is not None and self._store.syncs:
            self.background.request_sync()

    def stop_background(self) -> None:
        """Stop the background thread of a server that ends.

        It gets a moment to push the queue. Another process pushes what is left.
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
        """Start a process that pushes the queue, and continues after this process has ended.

        Args:
            place: A directory of the repository.
            settings: Branch, remote and sync settings given to this process by flag or
                environment. The new process gets the same ones.
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
        """Wait briefly for a last push, and stop the background thread."""
        if self._asking is not None and self._asking.is_alive():
            self._store.stop()
            self._asking.join(_LAST_PUSH)
        if self.background is None:
            return
        # A store that is gone has nothing to push.
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
        """Sync until `enough` or until time runs out; without a background thread, sync once."""
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
        """Result of an edit that changed nothing: does the remote have the same values?"""
        if self._store.is_confirmed(receipt.unchanged):
            return Delivered(receipt, "synced")
        snapshot = self._store.snapshot()
        for key, revision in receipt.unchanged.items():
            if snapshot.revision(key) != revision:
                reason = "Somebody has changed it meanwhile"
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
        """Result of an edit by its fate."""
        lost = ""
        if fate.outcome is Outcome.LOST:
            lost = _LOST
        if fate.where == "synced":
            return Delivered(receipt, "synced", fate.outcome, lost)
        if fate.where == "parked":
            why = "The remote declined this edit for what it contains; see csc-git status"
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
