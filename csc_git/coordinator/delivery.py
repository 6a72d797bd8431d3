"""Delivery: what becomes of an edit once it is durable here, and waiting for that.

An edit is `local` when its transaction returns. Who asks for more waits, bounded, until the remote
has it, has refused it at replay, or declined it for what it contains.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from csc_git.coordinator import clock
from csc_git.coordinator.background import Background
from csc_git.coordinator.results import Where
from csc_git.coordinator.upkeep import Upkeep
from csc_git.core.edit import Outcome
from csc_git.errors import SessionFenced, StorageFailed, as_told
from csc_git.git.failure import RemoteState
from csc_git.store.branch import Fate
from csc_git.store.snapshot import Snapshot
from csc_git.store.store import Store
from csc_git.store.transaction import Draft, Receipt

_LAST_PUSH: Final = 1.5
"""Seconds for a last push at the end of the process; clients kill a server that lingers."""

_AT_ONCE: Final = 2.0
"""Seconds that `hear` waits at most."""

_STORED: Final = "The edit is stored here; what the remote made of it can't be told now"

_LOST: Final = (
    "A later value of the same key stands; yours is kept in full as an open conflict, see "
    "list_conflicts"
)


@dataclass(frozen=True)
class Delivered:
    """An edit, and what is true of it.

    Attributes:
        receipt: What the transaction did here.
        where: `synced` only if the remote has it in its history.
        outcome: How it was replayed, if it was.
        reason: Why it is not what was hoped for.
    """

    receipt: Receipt
    where: Where
    outcome: Outcome | None = None
    reason: str = ""


class Delivery:
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
        explained: Callable[[SessionFenced, datetime], SessionFenced],
    ) -> None:
        self._store = store
        self._upkeep = upkeep
        self._patience = patience
        self._sync = sync
        self._explained = explained
        self.background: Background | None = None

    def make(
        self, decide: Callable[[Snapshot], Draft], op: str = "", *, confirm: bool = False
    ) -> Delivered:
        """Make one edit; with `confirm`, wait until its fate is certain or time runs out.

        Args:
            decide: See `store.transaction.Decide`; the draft it gives has this `op`.
            op: The edit's id, needed only to wait for it.
            confirm: Whether to wait.

        Raises:
            ConditionFailed: refused here. (What is refused at replay comes back as an outcome.)
            CscError: whatever `decide` raises.
        """
        if not confirm:
            receipt = self._transact(decide)
            return self._standing(receipt) if receipt.op is None else Delivered(receipt, "local")
        with self._store.awaiting(op) as answer:
            receipt = self._transact(decide)
            try:
                return self._awaited(receipt, op, answer)
            except (StorageFailed, OSError) as error:
                raise StorageFailed(as_told(error).what, safe=_STORED) from error

    def hear(self) -> None:
        """What others did until now, if the remote answers at once; for a server only."""
        hopeful = self._store.status.state in {RemoteState.OK, RemoteState.NEVER}
        if self.background is not None and self._store.syncs and hopeful:
            self.refresh(_AT_ONCE)

    def refresh(self, patience: float | None = None) -> None:
        """Ask the remote once, as far as it answers in time.

        Args:
            patience: Seconds; None for as long as for an edit.
        """
        began = clock.instant()

        def asked() -> bool:
            contact = self._store.status.contact
            return contact is not None and contact.is_after(began)

        self._wait_until(asked, patience)

    def wrote(self) -> None:
        """Say that something was written here."""
        if self.background is not None and self._store.syncs:
            self.background.wrote()

    def finish(self) -> None:
        """Give queued edits a last chance, and end the background."""
        if self.background is None:
            return
        if self._store.status.state is RemoteState.OK:
            self.background.wait_until(lambda: not self._store.branch.queue(), _LAST_PUSH)
        self.background.stop()

    def _transact(self, decide: Callable[[Snapshot], Draft]) -> Receipt:
        now = clock.now()
        try:
            receipt = self._store.transact(decide, now)
        except SessionFenced as fenced:
            raise self._explained(fenced, now) from None
        self.wrote()
        if self.background is not None:
            self._upkeep.wrote()
        return receipt

    def _awaited(self, receipt: Receipt, op: str, answer: Callable[[], Fate]) -> Delivered:
        if receipt.op is None:
            self._wait_until(lambda: self._store.is_confirmed(receipt.standing))
            return self._standing(receipt, explained=True)
        self._wait_until(lambda: _is_decided(self._store.fate(op)))
        return self._answered(receipt, answer())

    def _wait_until(self, enough: Callable[[], bool], patience: float | None = None) -> None:
        if self.background is not None:
            self.background.wait_until(enough, self._patience if patience is None else patience)
        elif not enough():
            self._sync()

    def _standing(self, receipt: Receipt, *, explained: bool = False) -> Delivered:
        """Of an edit that had nothing to change: whether the remote has what stands here."""
        if self._store.is_confirmed(receipt.standing):
            return Delivered(receipt, "synced")
        snapshot = self._store.snapshot()
        if any(snapshot.revision(key) != rev for key, rev in receipt.standing.items()):
            return Delivered(receipt, "local", reason="Somebody has changed it meanwhile")
        return Delivered(receipt, "local", reason=self._why_local() if explained else "")

    def _answered(self, receipt: Receipt, fate: Fate) -> Delivered:
        lost = _LOST if fate.outcome is Outcome.LOST else ""
        if fate.where == "synced":
            return Delivered(receipt, "synced", fate.outcome, lost)
        if fate.where == "held":
            why = "The remote declined this edit for what it contains; see csc-git status"
            return Delivered(receipt, "local", None, why)
        return Delivered(receipt, "local", fate.outcome, lost or self._why_local())

    def _why_local(self) -> str:
        status = self._store.status
        what, then = status.describe()
        if status.state is RemoteState.OK:
            what, then = "The remote has not confirmed it in time", "It is retried by itself"
        return f"{what}. The edit is safe here and queued. {then}".rstrip()


def _is_decided(fate: Fate) -> bool:
    return fate.where in {"synced", "held"} or fate.outcome is Outcome.REFUSED
