"""Replay: making queued edits again on a newer base.

Each edit is replayed from the commit that was first acknowledged, however often its base moved
since, and becomes exactly one commit there, saying what became of it:

1. It was refused before: so it stays, since its author may have seen that.
2. A condition no longer holds: refused whole.
3. It changes several keys, and one of them was changed elsewhere: refused whole. (A deletion of a
   scope, and a join of two stores, are judged key by key.)
4. It is a claim, and its session is superseded or a claim unknown to it overlaps: refused whole.
5. Otherwise each key changed on both sides is merged, by the rules of `core.merge`.

What lost or was refused stands in full in a conflict record, written in the same commit. Leases
and claims leave none: their holder is notified, and there is nothing in them to resolve. An edit
whose author still waits for its answer leaves none either: the answer is the refusal, so nothing
was acknowledged (`store.pending_answers`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from csc_git.core.claim import CLAIMS, Tracked
from csc_git.core.clock import EPOCH, is_ahead
from csc_git.core.conflict import CONFLICTS, Conflict, stands
from csc_git.core.edit import ABSENT, Kind, Outcome, Record
from csc_git.core.key import Key
from csc_git.core.lease import SESSIONS
from csc_git.core.merge import Merge, Version, merge
from csc_git.core.value import Entry
from csc_git.git.objects.batch import Batch
from csc_git.git.objects.commit import CommitInfo, Signature
from csc_git.store.claiming import is_contested
from csc_git.store.commit_walk import deletion, high_water
from csc_git.store.difference import changed_keys
from csc_git.store.snapshot import Snapshot, Stored, revision_of
from csc_git.store.transaction import Identity, with_changes

_BY_KEY = frozenset({Kind.DELETE_SCOPE, Kind.JOIN})
"""Edits of several keys that are judged key by key."""

_UNRECORDED = frozenset({*SESSIONS, *CLAIMS, *CONFLICTS})


@dataclass(frozen=True)
class Change:
    """One key that an edit changed: before and after, in its own history."""

    key: Key
    before: Stored | None
    after: Stored | None


@dataclass(frozen=True)
class Refusal:
    """What must be kept of an earlier replay of an edit.

    Attributes:
        stays: It was refused there, so it is refused here.
        is_answered: Its author has the refusal as an answer, or will have it: no conflict record.
    """

    stays: bool = False
    is_answered: bool = False


@dataclass
class _Verdict:
    """What an edit comes to on the new base."""

    outcome: Outcome
    puts: dict[Key, str | Entry | None] = field(default_factory=dict)
    conflicts: list[tuple[Key, Conflict]] = field(default_factory=list)


class Replay:
    """Replays edits, oldest first, one on top of the other.

    Args:
        batch: Takes the new objects.
        onto: The newer base.
        fork: The last commit both sides have, or None.
        identity: Who places the commits.
        now: The wall clock.
        tracked: The files of the user's repository, for claims that are patterns.
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
        """Pass over an edit that is held back; later ones don't take its absence for a change."""
        for change in self._changes(original):
            self._aside.setdefault(change.key, change.before)

    def apply(
        self, original: CommitInfo, record: Record, refusal: Refusal = Refusal()
    ) -> Outcome:
        """Make one edit again; its commit becomes the tip."""
        changes = self._changes(original)
        for number, change in enumerate(changes):
            self._chain.setdefault(change.key, f"{record.op}.{number}")
        here = Snapshot(self._batch, self.tip)
        verdict = self._judge(
            record, original, changes, here, stays=refusal.stays
        )
        if verdict.outcome is Outcome.REFUSED and not refusal.is_answered:
            self._record(verdict, original, record, changes, here)
        self._commit(original, record, here, verdict)
        return verdict.outcome

    def _changes(self, original: CommitInfo) -> list[Change]:
        before = Snapshot(self._batch, original.parent)
        after = Snapshot(self._batch, original.id)
        return [
            Change(*found) for found in changed_keys(self._batch, before, after)
        ]

    def _judge(
        self,
        record: Record,
        original: CommitInfo,
        changes: list[Change],
        here: Snapshot,
        *,
        stays: bool,
    ) -> _Verdict:
        touched = [
            change for change in changes if self._changed_here(change, here)
        ]
        several = len(changes) > 1 and record.kind not in _BY_KEY
        if (
            stays
            or not _conditions_hold(record.requires, here)
            or (several and touched)
        ):
            return _Verdict(Outcome.REFUSED)
        if record.kind is Kind.CLAIM and self._is_contested(
            original, changes, here
        ):
            return _Verdict(Outcome.REFUSED)
        verdict = _Verdict(Outcome.APPLIED)
        outcomes = [Outcome.APPLIED] * (len(changes) - len(touched))
        for change in changes:
            if change not in touched:
                verdict.puts[change.key] = revision_of(change.after)
        for change in touched:
            outcomes.append(
                self._settle(verdict, original, record, change, here)
            )
        verdict.outcome = _summary(outcomes)
        return verdict

    def _changed_here(self, change: Change, here: Snapshot) -> bool:
        found = here.revision(change.key)
        known = [change.before]
        if change.key in self._aside:
            known.append(self._aside[change.key])
        return all(
            found != (stored.revision if stored else None) for stored in known
        )

    def _settle(
        self,
        verdict: _Verdict,
        original: CommitInfo,
        record: Record,
        change: Change,
        here: Snapshot,
    ) -> Outcome:
        """Decide one key that was changed on both sides."""
        current = here.read(change.key)
        ours = _ours(change, original, record)
        theirs = self._theirs(change, current)
        if record.kind is Kind.DELETE_SCOPE:
            return Outcome.LOST if current else Outcome.EQUAL
        decision = merge(
            change.before.entry if change.before else None, ours, theirs
        )
        if decision.outcome in {Outcome.APPLIED, Outcome.MERGED}:
            verdict.puts[change.key] = decision.entry
        if decision.lost is not None:
            stood = _current_after(decision, change, current, ours, theirs)
            conflict = Conflict(change.key, Outcome.LOST, decision.lost, *stood)
            verdict.conflicts.append((self._conflict_key(change.key), conflict))
        return decision.outcome

    def _is_contested(
        self, original: CommitInfo, changes: list[Change], here: Snapshot
    ) -> bool:
        known = Snapshot(self._batch, original.parent)
        claims = [
            change.after for change in changes if change.after is not None
        ]
        return is_contested(claims, known, here, self._tracked)

    def _record(
        self,
        verdict: _Verdict,
        original: CommitInfo,
        record: Record,
        changes: list[Change],
        here: Snapshot,
    ) -> None:
        """Keep what a refused edit would have changed."""
        for change in changes:
            if change.key.scope[0] in _UNRECORDED:
                continue
            current = here.read(change.key)
            stood = stands(revision_of(current), self._theirs(change, current))
            lost = _ours(change, original, record)
            conflict = Conflict(change.key, Outcome.REFUSED, lost, *stood)
            verdict.conflicts.append((self._conflict_key(change.key), conflict))

    def _theirs(self, change: Change, current: Stored | None) -> Version:
        if current is not None:
            return Version.of(current.entry)
        since = change.before.entry.time if change.before else self._now
        removed = deletion(self._batch, change.key, self.tip, self._fork, since)
        if removed is None:
            return Version(None, "", EPOCH)
        record = Record.parse(removed.message)
        return Version(
            None,
            record.session if record else removed.author,
            removed.author_time,
        )

    def _conflict_key(self, key: Key) -> Key:
        return Key(CONFLICTS, self._chain[key])

    def _commit(
        self,
        original: CommitInfo,
        record: Record,
        here: Snapshot,
        verdict: _Verdict,
    ) -> None:
        if not is_ahead(record.clock, self._now):
            self._clock = max(self._clock, record.clock)
        for key, conflict in verdict.conflicts:
            verdict.puts[key] = Entry(
                conflict.to_json(), record.session, self._clock
            )
        blobs = {key: self._blob(put) for key, put in verdict.puts.items()}
        tree = with_changes(self._batch, here, blobs, [])
        placed = record.replayed(
            record.origin or original.id, verdict.outcome, self._clock
        )
        name, _, email = original.author.rpartition(" <")
        author = Signature(
            name or record.session, email.rstrip(">"), original.author_time
        )
        committer = self._identity.committer(self._now)
        self.tip = self._batch.add_commit(
            tree, self.tip, author, committer, placed.message()
        )
        self.placed.append(self.tip)
        self._batch.relieve()

    def _blob(self, put: str | Entry | None) -> str | None:
        return (
            self._batch.add_blob(put.encode())
            if isinstance(put, Entry)
            else put
        )


def _conditions_hold(requires: Mapping[str, str], here: Snapshot) -> bool:
    found = {
        path: here.revision_at(tuple(path.encode().split(b"/")))
        for path in requires
    }
    return all(
        (found[path] or ABSENT) == wanted for path, wanted in requires.items()
    )


def _ours(change: Change, original: CommitInfo, record: Record) -> Version:
    if change.after is not None:
        return Version.of(change.after.entry)
    return Version(None, record.session, original.author_time)


def _current_after(
    decision: Merge,
    change: Change,
    current: Stored | None,
    ours: Version,
    theirs: Version,
) -> tuple[str, str, datetime]:
    """Revision, author and time of the version that won."""
    if decision.outcome is Outcome.APPLIED:
        return stands(revision_of(change.after), ours)
    return stands(revision_of(current), theirs)


def _summary(outcomes: list[Outcome]) -> Outcome:
    """One word for an edit of several keys: the most that any of them came to."""
    for outcome in (Outcome.APPLIED, Outcome.MERGED, Outcome.LOST):
        if outcome in outcomes:
            return outcome
    return Outcome.EQUAL
