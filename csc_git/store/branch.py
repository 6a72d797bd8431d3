"""The branch in this clone: its tip, its base, and the queue between them.

`tip` is the newest state in this clone, `base` the last commit that the remote confirmed, the queue
`base..tip`: the edits it has not confirmed. Beside them are the *parked* edits, which the remote
declined for what they contain, and the tips that replays replaced, kept for thirty days.
"""

import time
import uuid
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

from csc_git.core.edit import Outcome, Record
from csc_git.git.objects.batch import Batch
from csc_git.git.objects.commit import CommitInfo
from csc_git.git.remote import FETCHED
from csc_git.git.repository import Repository
from csc_git.store.commit_walk import lineage, record_of, since

_PARKED: Final = (
    "refs/csc/held/"  # the name that clones have had since they were made
)
_KEPT: Final = "refs/csc/kept/"
_KEEP_SECONDS: Final = 30 * 24 * 3600
_FATE_SEARCH: Final = 5000


@dataclass(frozen=True)
class Fate:
    """What became of an edit.

    Attributes:
        where: `local` (queued), `synced` (confirmed by the remote), `parked`, or `unknown`.
        outcome: How it was replayed, if it was.
    """

    where: Literal["local", "synced", "parked", "unknown"]
    outcome: Outcome | None = None


class Branch:
    """Reads and moves the refs that make up the branch. Moving needs the repository's lock."""

    def __init__(self, repository: Repository, name: str) -> None:
        self._repository = repository
        self.name = name
        self.ref = f"refs/heads/{name}"
        self._base_ref = f"refs/csc/base/{name}"

    @property
    def tip(self) -> str | None:
        """The newest state in this clone."""
        return self._repository.read_ref(self.ref)

    @property
    def base(self) -> str | None:
        """The last commit that the remote confirmed."""
        return self._repository.read_ref(self._base_ref)

    def queue(self, tip: str | None = None) -> list[CommitInfo]:
        """The edits that the remote has not confirmed, oldest first, without the root."""
        return self._edits(self.base, tip or self.tip)

    def unbased_queue(self, tip: str) -> list[CommitInfo]:
        """All edits up to `tip`, for a remote that has none of them."""
        return self._edits(None, tip)

    def after(self, seen: str | None) -> list[CommitInfo]:
        """The edits made since the tip was `seen`."""
        return [] if self.tip == seen else self._edits(seen, self.tip)

    def parked(self) -> dict[str, str]:
        """The edits set aside: op to commit."""
        return self._repository.refs(_PARKED)

    def queued_ops(self) -> set[str]:
        """The ops of the queue."""
        return {record_of(commit).op for commit in self.queue()}

    def keep_tip(self) -> None:
        """Keep what the tip names now for a while."""
        if tip := self.tip:
            self._keep(tip)

    def fate(self, op: str) -> Fate:
        """What became of an edit, by what this clone knows."""
        for commit in reversed(self.queue()):
            if (record := _record_of(op, commit)) is not None:
                return Fate("local", record.outcome)
        if op in self.parked():
            return Fate("parked")
        for commit in islice(
            lineage(self._repository.objects, self.base), _FATE_SEARCH
        ):
            if (record := _record_of(op, commit)) is not None:
                return Fate("synced", record.outcome)
        return Fate("unknown")

    def name_for_now(self, commit: str, batch: Batch) -> None:
        """Put a batch on disk, and name a commit of it until `tidy`: it is about to be pushed."""
        self._repository.set_ref(
            FETCHED + uuid.uuid4().hex, None, commit, batch
        )

    def move(
        self, tip: str, base: str, batch: Batch, *, rewritten: bool
    ) -> None:
        """Put a batch on disk, and move tip and base together to what it and the disk have.

        A crash in between must leave a queue without confirmed edits. Base first does that:
        `base..tip` then still is what only this clone has. After an accepted rewrite it would
        take confirmed edits for queued ones, so then it is tip first.
        """
        try:
            batch.flush()
            self._move(tip, base, rewritten=rewritten)
        finally:
            batch.release()

    def _move(self, tip: str, base: str, *, rewritten: bool) -> None:
        old, known = (
            self.tip,
            {commit.id for commit in self._edits(self.base, tip)},
        )
        if (
            old not in {None, tip, base}
            and old not in known
            and (rewritten or self.queue())
        ):
            self._keep(str(old))
        steps = [(self._base_ref, base), (self.ref, tip)]
        for ref, target in reversed(steps) if rewritten else steps:
            self._repository.set_ref(
                ref, self._repository.read_ref(ref), target
            )

    def confirm(self, commit: str) -> None:
        """Note that the remote has `commit`."""
        self._repository.set_ref(self._base_ref, self.base, commit)

    def park(self, op: str, commit: str) -> None:
        """Set an edit aside."""
        self._repository.set_ref(
            _PARKED + op, self._repository.read_ref(_PARKED + op), commit
        )

    def unpark(self, op: str) -> None:
        """Stop parking an edit; its commit is kept a while."""
        if commit := self._repository.read_ref(_PARKED + op):
            self._keep(commit)
            self._repository.delete_ref(_PARKED + op)

    def tidy(self) -> None:
        """Drop refs that have served their time."""
        for name in self._repository.refs(FETCHED):
            self._repository.delete_ref(FETCHED + name)
        if self.queue():
            return  # replaying it may need the originals, however old
        for name in self._repository.refs(_KEPT):
            stamp = name.partition("-")[0]
            if not stamp.isdigit() or time.time() - int(stamp) > _KEEP_SECONDS:
                self._repository.delete_ref(_KEPT + name)

    def _edits(self, base: str | None, tip: str | None) -> list[CommitInfo]:
        commits = since(self._repository.objects, base, tip)
        return [commit for commit in commits if commit.parent is not None]

    def _keep(self, commit: str) -> None:
        name = f"{_KEPT}{int(time.time())}-{commit[:16]}"
        self._repository.set_ref(name, self._repository.read_ref(name), commit)


def _record_of(op: str, commit: CommitInfo) -> Record | None:
    """A commit's record, if it is of the edit `op`."""
    record = Record.parse(commit.message) if op in commit.message else None
    return record if record is not None and record.op == op else None
