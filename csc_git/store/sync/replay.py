"""Replay: making queued edits again on a newer base.

Each edit is replayed from its original commit, even if the edit was replayed before. Each edit
becomes exactly one commit on the newer base, and that commit records the outcome. These rules are
applied in this order:

1. If the edit was refused in an earlier replay, the edit is refused again, because the author may
   already know that the edit was refused.
2. If a condition of the edit no longer holds, the edit is refused.
3. If the edit changes several keys, and one of these keys was also changed elsewhere, the edit is
   refused. But if the edit deletes a scope or joins two stores, replay decides about each key
   separately.
4. If the edit is a claim, the edit is refused in two cases: the session of the claim has lost its
   name, or the claim overlaps another claim that the author's clone did not know.
5. Otherwise, each key that was changed both by the edit and on the newer base is merged by the
   rules of `core.merge`.

A refused edit changes nothing. The values of a refused edit, and each value that lost a merge, are
kept in full in conflict records in the same commit. There are two exceptions:

- For sessions and claims, no conflict record is made: the session is notified, and there is nothing
  to resolve.
- For an edit whose author still waits for the answer, no conflict record is made: the author gets
  the refusal as the answer (`store.sync.pending_answers`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from csc_git.core.claim import CLAIMS, Tracked
from csc_git.core.clock import EPOCH, is_ahead
from csc_git.core.commit import CommitInfo
from csc_git.core.conflict import CONFLICTS, Conflict, as_current
from csc_git.core.edit import ABSENT, Kind, Outcome, Record
from csc_git.core.key import Key
from csc_git.core.lease import SESSIONS
from csc_git.core.merge import Version, merge
from csc_git.core.value import Entry
from csc_git.git.objects.batch import Batch
from csc_git.git.objects.commit import Signature
from csc_git.store.claiming import is_contested
from csc_git.store.commit_walk import deletion, high_water
from csc_git.store.transaction import Identity, with_changes
from csc_git.store.tree.difference import Change, changed_keys
from csc_git.store.tree.snapshot import Snapshot, Stored, revision_of

_BY_KEY = frozenset({Kind.DELETE_SCOPE, Kind.JOIN})
"""Kinds of edits for which replay decides about each key separately."""

_UNRECORDED = frozenset({*SESSIONS, *CLAIMS, *CONFLICTS})

_Put = str | Entry | None
"""The new content of a key: the id of a blob, an entry, or None to delete the key."""


@dataclass(frozen=True)
class Refusal:
    """Facts about an edit that decide how a replay refuses the edit.

    Attributes:
        is_final: Whether an earlier replay refused the edit. If so, the next replay must also
            refuse the edit.
        is_answered: Whether the author still waits and gets a refusal as the answer. If so, no
            conflict record is made for the refused edit.
    """

    is_final: bool = False
    is_answered: bool = False


@dataclass(frozen=True)
class _Edit:
    """An edit that is being replayed.

    Attributes:
        original: The commit that was made when the edit was first stored.
        record: The edit's record.
        changes: The keys that the edit changed, with their entries before and after the original
            commit.
        here: The snapshot on which the edit is replayed.
    """

    original: CommitInfo
    record: Record
    changes: list[Change]
    here: Snapshot


@dataclass
class _Verdict:
    """The result of replaying an edit.

    Attributes:
        outcome: The outcome of the replay.
        puts: The new content of keys.
        conflicts: The conflict records to write, with their keys.
    """

    outcome: Outcome
    puts: dict[Key, _Put] = field(default_factory=dict)
    conflicts: list[tuple[Key, Conflict]] = field(default_factory=list)


class Replay:
    """Replays edits, oldest first, each on top of the previous edit.

    Args:
        batch: The batch to which the new objects are added.
        onto: The newer base.
        fork: The last commit that both the edits' history and the history of `onto` contain; None
            if there is no such commit.
        identity: The committer of the new commits.
        now: The current time by this machine's clock.
        tracked: A function that returns the files of the user's repository. The files are needed to
            compare claims on patterns.
    """

    def __init__(
        self,
        batch: Batch,
        onto: str,
        fork: str | None,
        identity: Identity,
        now: datetime,
        *,
        tracked: Tracked,
    ) -> None:
        self.tip = onto
        self.placed: list[str] = []
        self._batch = batch
        self._fork = fork
        self._identity = identity
        self._now = now
        self._tracked = tracked
        self._clock = high_water(batch, onto, now) or EPOCH
        self._aside: dict[Key, Stored | None] = {}
        self._chain: dict[Key, str] = {}

    def set_aside(self, original: CommitInfo) -> None:
        """Leave out an edit.

        Later edits are replayed as if the left-out edit had never been made.
        """
        for change in self._changes(original):
            self._aside.setdefault(change.key, change.before)

    def apply(
        self,
        original: CommitInfo,
        record: Record,
        refusal: Refusal = Refusal(),
    ) -> Outcome:
        """Replay one edit. The new commit becomes the tip.

        Args:
            original: The commit that was made when the edit was first stored.
            record: The edit's record.
            refusal: Facts about the edit that decide how the edit is refused.
        """
        changes = self._changes(original)
        for number, change in enumerate(changes):
            self._chain.setdefault(change.key, f"{record.op}.{number}")
        here = Snapshot(self._batch, self.tip)
        edit = _Edit(original, record, changes, here)
        verdict = self._judge(edit, refusal)
        is_refused = verdict.outcome is Outcome.REFUSED
        if is_refused and not refusal.is_answered:
            self._record_refused(edit, verdict)
        self._commit(edit, verdict)
        return verdict.outcome

    def _changes(self, original: CommitInfo) -> list[Change]:
        before = Snapshot(self._batch, original.parent)
        after = Snapshot(self._batch, original.id)
        return list(changed_keys(self._batch, before, after))

    def _judge(self, edit: _Edit, refusal: Refusal) -> _Verdict:
        """Decide about an edit by the five rules of this module."""
        record = edit.record
        touched: list[Change] = []
        untouched: list[Change] = []
        for change in edit.changes:
            if self._is_touched(change, edit.here):
                touched.append(change)
            else:
                untouched.append(change)
        is_whole = len(edit.changes) > 1 and record.kind not in _BY_KEY
        refused = _Verdict(Outcome.REFUSED)
        if refusal.is_final:  # rule 1
            return refused
        if not _conditions_hold(record.requires, edit.here):  # rule 2
            return refused
        if is_whole and touched:  # rule 3
            return refused
        if record.kind is Kind.CLAIM and self._is_contested(edit):  # rule 4
            return refused
        return self._merged(edit, touched, untouched)  # rule 5

    def _is_touched(self, change: Change, here: Snapshot) -> bool:
        """Return whether a key that the edit changed was also changed on the newer base."""
        found = here.revision(change.key)
        if found == revision_of(change.before):
            return False
        if change.key not in self._aside:
            return True
        return found != revision_of(self._aside[change.key])

    def _is_contested(self, edit: _Edit) -> bool:
        known = Snapshot(self._batch, edit.original.parent)
        after = [change.after for change in edit.changes]
        claims = [stored for stored in after if stored is not None]
        return is_contested(claims, known, edit.here, self._tracked)

    def _merged(
        self,
        edit: _Edit,
        touched: list[Change],
        untouched: list[Change],
    ) -> _Verdict:
        """Merge an edit key by key, as rule 5 requires."""
        verdict = _Verdict(Outcome.APPLIED)
        outcomes: list[Outcome] = []
        for change in untouched:
            verdict.puts[change.key] = revision_of(change.after)
            outcomes.append(Outcome.APPLIED)
        for change in touched:
            outcome = self._merge_key(edit, change, verdict)
            outcomes.append(outcome)
        verdict.outcome = _summary(outcomes)
        return verdict

    def _merge_key(
        self,
        edit: _Edit,
        change: Change,
        verdict: _Verdict,
    ) -> Outcome:
        """Merge one key that was changed both by the edit and on the newer base."""
        current = edit.here.read(change.key)
        if edit.record.kind is Kind.DELETE_SCOPE:
            if current is None:
                return Outcome.EQUAL
            return Outcome.LOST
        base: Entry | None = None
        if change.before is not None:
            base = change.before.entry
        ours = _ours(edit, change)
        theirs = self._theirs(change, current)
        decision = merge(base, ours, theirs)
        if decision.outcome in {Outcome.APPLIED, Outcome.MERGED}:
            verdict.puts[change.key] = decision.entry
        if decision.lost is None:
            return decision.outcome
        if decision.outcome is Outcome.APPLIED:
            winner = as_current(revision_of(change.after), ours)
        else:
            winner = as_current(revision_of(current), theirs)
        conflict = Conflict(change.key, Outcome.LOST, decision.lost, *winner)
        self._record(conflict, verdict)
        return decision.outcome

    def _record_refused(self, edit: _Edit, verdict: _Verdict) -> None:
        """Keep the values of a refused edit in conflict records."""
        for change in edit.changes:
            if change.key.scope[0] in _UNRECORDED:
                continue
            current = edit.here.read(change.key)
            theirs = self._theirs(change, current)
            winner = as_current(revision_of(current), theirs)
            lost = _ours(edit, change)
            conflict = Conflict(change.key, Outcome.REFUSED, lost, *winner)
            self._record(conflict, verdict)

    def _record(self, conflict: Conflict, verdict: _Verdict) -> None:
        name = self._chain[conflict.key]
        verdict.conflicts.append((Key(CONFLICTS, name), conflict))

    def _theirs(self, change: Change, current: Stored | None) -> Version:
        """Return the version of a key on the newer base.

        If the key was deleted, the version has the author and the time of the deletion.
        """
        if current is not None:
            return Version.of(current.entry)
        since = self._now
        if change.before is not None:
            since = change.before.entry.time
        removed = deletion(self._batch, change.key, self.tip, self._fork, since)
        if removed is None:
            return Version(None, "", EPOCH)
        author = removed.author
        record = Record.parse(removed.message)
        if record is not None:
            author = record.session
        return Version(None, author, removed.author_time)

    def _commit(self, edit: _Edit, verdict: _Verdict) -> None:
        record = edit.record
        if not is_ahead(record.clock, self._now):
            self._clock = max(self._clock, record.clock)
        for key, conflict in verdict.conflicts:
            value = conflict.to_json()
            verdict.puts[key] = Entry(value, record.session, self._clock)
        blobs = {key: self._blob(put) for key, put in verdict.puts.items()}
        tree = with_changes(self._batch, edit.here, blobs, [])
        placed = record.replayed(
            record.origin or edit.original.id,
            verdict.outcome,
            self._clock,
        )
        self.tip = self._batch.add_commit(
            tree,
            self.tip,
            _author(edit),
            self._identity.committer(self._now),
            placed.message(),
        )
        self.placed.append(self.tip)
        self._batch.relieve()

    def _blob(self, put: _Put) -> str | None:
        if isinstance(put, Entry):
            return self._batch.add_blob(put.encode())
        return put


def _conditions_hold(requires: Mapping[str, str], here: Snapshot) -> bool:
    for path, wanted in requires.items():
        components = tuple(path.encode().split(b"/"))
        found = here.revision_at(components)
        if (found or ABSENT) != wanted:
            return False
    return True


def _author(edit: _Edit) -> Signature:
    """Return the author and the time of an edit, from the original commit."""
    original = edit.original
    name, _, email = original.author.rpartition(" <")
    return Signature(
        name or edit.record.session,
        email.rstrip(">"),
        original.author_time,
    )


def _ours(edit: _Edit, change: Change) -> Version:
    """Return the version of a key after an edit."""
    if change.after is not None:
        return Version.of(change.after.entry)
    return Version(None, edit.record.session, edit.original.author_time)


def _summary(outcomes: list[Outcome]) -> Outcome:
    """Return one outcome for an edit of several keys.

    The result is the first outcome in this list that at least one key has: applied, merged, lost,
    equal.
    """
    for outcome in (Outcome.APPLIED, Outcome.MERGED, Outcome.LOST):
        if outcome in outcomes:
            return outcome
    return Outcome.EQUAL
