"""The writer: makes edits, and waits for what becomes of them.

An edit is `local` when its transaction returns. A caller that asks for more waits, bounded, until
the remote has it, replay has refused it, or the remote has declined it for its content.
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
"""Seconds for a last push at the end of the process; clients kill a server that lingers."""

_MOMENT: Final = 0.4
"""Seconds that the end of a server waits for a remote that is quick."""

_LONGEST_PUSH: Final = 900
"""Seconds for which the process that pushes the rest tries again."""

SHARING: Final = frozenset({"CSC_BRANCH", "CSC_REMOTE", "CSC_SYNC"})
"""Environment variables of the branch, remote and sync settings."""

_AT_ONCE: Final = 2.0
"""Seconds that `hear` and `hear_first` wait at most."""

_LONGEST_FIRST: Final = 10.0
"""Seconds that a command waits for the remote before it stores; it syncs on meanwhile."""

_RECENT: Final = 60.0
"""Seconds since the last contact below which a first read asks nobody."""

_STORED: Final = "The edit is stored here. Whether the remote has it is unknown at the moment"

_LOST: Final = (
    "A later value of the same key stands; yours is kept in full as an open conflict, see "
    "list_conflicts"
)


@dataclass(frozen=True)
class Delivered(Generic[D]):
    """An edit, and what is true of it.

    Attributes:
        receipt: What the transaction did here.
        where: `synced` only if the remote has it in its history.
        outcome: How it was replayed, if it was.
        reason: Why it is not what was hoped for.
    """

    receipt: Receipt[D]
    where: Where
    outcome: Outcome | None = None
    reason: str = ""


class Writer:
    """Makes edits and waits for the remote, by the background thread or in the foreground.

    Args:
        store: The clone's store.
        patience: Seconds to wait for the remote at most.
        upkeep: Told of each edit that a server makes.
        sync: Syncs once, for a process without a background thread.
        explained: Says what became of a session that may not write any more.
    """

    def __init__(
        self,
        store: Store,
        patience: float,
        upkeep: Upkeep,
        sync: Callable[[], object],
        explained: Callable[[SessionFenced], SessionFenced],
    ) -> None:
        self._store = store
        self._upkeep = upkeep
        self._patience = patience
        self._sync = sync
        self._explained = explained
        self.background: Background | None = None
        self.fetches_first = False
        self._began: Instant | None = None
        self._has_heard = False
        self._asking: threading.Thread | None = None

    def make(self, decide: Decide[D], *, confirm: bool = False) -> Delivered[D]:
        """Make one edit; with `confirm`, wait until its fate is certain or time runs out.

        Args:
            decide: See `store.transaction.Decide`.
            confirm: Whether to wait.

        Raises:
            ConditionFailed: refused here. (What is refused at replay comes back as an outcome.)
            CscError: whatever `decide` raises.
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
            op: The edit's id; None: a new one.
            wakes: Whether the background shall sync it soon; else its next sync pushes it.

        Raises:
            ConditionFailed: refused here.
            CscError: whatever `decide` raises.
        """
        receipt = self._store.transact(decide, now, op)
        if wakes:
            self.wrote()
        if self.background is not None:
            self._upkeep.wrote()
        return receipt

    def _confirmed(self, decide: Decide[D], op: str) -> Delivered[D]:
        """Make an edit and wait for the remote.

        An edit that changes nothing here shows nothing of the remote, which may have another value
        by now. So the remote is asked, and the edit is decided again on what it has.
        """
        reached = self._reach_first()
        with self._store.awaiting(op) as answer:
            receipt = self._transact(decide, op)
            if receipt.op is None:
                if not (reached and self._ask()):
                    return Delivered(receipt, "local", reason=self._why_local())
                receipt = self._transact(decide, op)
            if receipt.op is None:
                return self._unchanged(receipt, explained=True)
            return self._answered_in_time(receipt, op, answer, asks=reached)

    def _answered_in_time(
        self,
        receipt: Receipt[D],
        op: str,
        answer: Callable[[], Fate],
        *,
        asks: bool,
    ) -> Delivered[D]:
        try:
            if asks:
                self._wait_until(lambda: _is_decided(self._store.fate(op)))
            return self._answered(receipt, answer())
        except (StorageFailed, OSError) as error:
            raise StorageFailed(
                as_csc_error(error).what, safe=_STORED
            ) from error

    def _reach_first(self) -> bool:
        """Fetch before an edit, if this is a command that a person typed.

        Such a process knows only what the last sync brought, and would store over, or conflict
        with, values that have been there for long. False if the remote could not be reached: then
        it is not asked a second time.
        """
        if not self.fetches_first:
            return True
        if not self._store.syncs:
            return False
        began = clock.instant()
        self._sync_aside(_LONGEST_FIRST)
        return self._was_reached_since(began)

    def _ask(self) -> bool:
        """Ask the remote once; whether it answered in time."""
        if not self._store.syncs:
            return False
        began = clock.instant()
        self.refresh()
        return self._was_reached_since(began)

    def _was_reached_since(self, began: Instant) -> bool:
        contact = self._store.sync_status.contact
        return contact is not None and contact.is_after(began)

    def _interrupted(self, op: str) -> Interrupted:
        """What is true of an edit whose author did not wait for the answer."""
        where = self._store.fate(op).where
        if where == "unknown":
            return Interrupted("Interrupted before the edit was stored")
        if where == "synced":
            return Interrupted(
                "Interrupted", safe="The edit is stored, and the remote has it"
            )
        return Interrupted(
            "Interrupted while waiting for the remote",
            safe="The edit is stored here and queued",
            then="A running server pushes it, or csc-git sync",
        )

    def hear(self) -> None:
        """What others did until now, if the remote answers at once; for a server only."""
        if (
            self.background is not None
            and self._store.syncs
            and self._is_hopeful()
        ):
            self.refresh(_AT_ONCE)

    def hear_first(self) -> None:
        """Before the first read of a process: wait briefly for a first contact with the remote.

        A clone that has not been synced for long knows little of what others stored.
        """
        if self._has_heard or not self._store.syncs:
            return
        self._has_heard = True
        if not self._is_hopeful():
            return
        if self.background is not None:
            began = self._began or clock.instant()
            self._wait_until(lambda: self._was_reached_since(began), _AT_ONCE)
            return
        now, status = clock.instant(), self._store.sync_status
        asked = [
            at for at in (status.contact, status.attempt) if at is not None
        ]
        if any(now.since(at) < _RECENT for at in asked):
            return
        with suppress(CscError, OSError):  # a read goes on without the remote
            self._sync_aside(_AT_ONCE)

    def _sync_aside(self, seconds: float) -> None:
        """Sync in a thread and wait for it; an error that it raises meanwhile is raised here.

        Args:
            seconds: How long to wait; the sync then goes on.
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
        """Whether the remote answered when it was last asked."""
        return self._store.sync_status.state in {
            RemoteState.OK,
            RemoteState.NEVER,
        }

    def refresh(self, patience: float | None = None) -> None:
        """Ask the remote once, and wait for the answer, bounded.

        Args:
            patience: Seconds; None for as long as for an edit.
        """
        began = clock.instant()
        self._wait_until(lambda: self._was_reached_since(began), patience)

    def begin(self, background: Background) -> None:
        """Leave syncing to a thread from now on."""
        self.background, self._began = background, clock.instant()

    def wrote(self) -> None:
        """Say that something was written here."""
        if self.background is not None and self._store.syncs:
            self.background.wrote()

    def abandon(self) -> None:
        """End the background; what it could not push in a moment another process pushes."""
        if self.background is None:
            return
        with suppress(CscError, OSError):
            if self._store.syncs and self._is_hopeful():
                self.background.wait_until(
                    lambda: not self._store.branch.queue(), _MOMENT
                )
        self.background.stop(_LAST_PUSH)
        self.background = None

    def go_on(self, place: Path, settings: Mapping[str, Any]) -> None:
        """Start a process that pushes what is queued, and goes on when this one has ended.

        Args:
            place: A directory of the repository.
            settings: Branch, remote and sync settings given to this process by flag or
                environment. The new process gets the same ones.
        """
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in SHARING
        }
        given = {
            f"CSC_{name.upper()}": str(value)
            for name, value in settings.items()
        }
        arguments = [
            "sync",
            "-C",
            str(place),
            f"--until-pushed={_LONGEST_PUSH}",
        ]
        start_detached("csc_git", arguments, kept | given)

    def finish(self) -> None:
        """Give queued edits a last chance, and end the background."""
        if self._asking is not None and self._asking.is_alive():
            self._store.stop()
            self._asking.join(_LAST_PUSH)
        if self.background is None:
            return
        with suppress(
            CscError, OSError
        ):  # a store that is gone has nothing to push
            if self._store.sync_status.state is RemoteState.OK:
                self.background.wait_until(
                    lambda: not self._store.branch.queue(), _LAST_PUSH
                )
        self.background.stop()

    def _transact(self, decide: Decide[D], op: str) -> Receipt[D]:
        try:
            return self.write(decide, clock.now(), op)
        except SessionFenced as fenced:
            raise self._explained(fenced) from None

    def _wait_until(
        self, enough: Callable[[], bool], patience: float | None = None
    ) -> None:
        if not self._store.syncs:
            return
        if self.background is not None:
            self.background.wait_until(
                enough, self._patience if patience is None else patience
            )
        elif not enough():
            self._sync()

    def _unchanged(
        self, receipt: Receipt[D], *, explained: bool = False
    ) -> Delivered[D]:
        """Result of an edit that changed nothing: does the remote have the same values?"""
        if self._store.is_confirmed(receipt.unchanged):
            return Delivered(receipt, "synced")
        snapshot = self._store.snapshot()
        if any(
            snapshot.revision(key) != rev
            for key, rev in receipt.unchanged.items()
        ):
            return Delivered(
                receipt, "local", reason="Somebody has changed it meanwhile"
            )
        return Delivered(
            receipt, "local", reason=self._why_local() if explained else ""
        )

    def _answered(self, receipt: Receipt[D], fate: Fate) -> Delivered[D]:
        lost = _LOST if fate.outcome is Outcome.LOST else ""
        if fate.where == "synced":
            return Delivered(receipt, "synced", fate.outcome, lost)
        if fate.where == "parked":
            why = "The remote declined this edit for what it contains; see csc-git status"
            return Delivered(receipt, "local", None, why)
        return Delivered(
            receipt, "local", fate.outcome, lost or self._why_local()
        )

    def _why_local(self) -> str:
        status = self._store.sync_status
        what, then = status.describe()
        if status.state is RemoteState.OK:
            what, then = UNCONFIRMED
        return f"{what}. The edit is safe here and queued. {then}".rstrip()


def _is_decided(fate: Fate) -> bool:
    return fate.where in {"synced", "parked"} or fate.outcome is Outcome.REFUSED
