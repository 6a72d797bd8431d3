"""Transactions: one edit, decided on the newest local state and made durable before it returns.

Under the repository's lock: read the tip, let the caller decide what to change on a snapshot of
it, check the conditions, write blobs, trees and the commit, move the ref. A caller that raises,
and a process that dies, leave nothing behind but unreferenced objects.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, NamedTuple, TypeVar

from csc_git.core.clock import format_time, tick
from csc_git.core.edit import ABSENT, Kind, Record, path_text
from csc_git.core.key import Key, format_scope
from csc_git.core.value import Entry, Json, canonical, is_same
from csc_git.errors import ConditionFailed
from csc_git.git.objects.batch import Batch
from csc_git.git.objects.commit import Signature
from csc_git.git.objects.tree import FILE_MODE, TREE_MODE, TreeEntry
from csc_git.git.repository import Repository
from csc_git.store.commit_walk import high_water
from csc_git.store.layout import apply
from csc_git.store.snapshot import DATA, FORMAT, FORMAT_FILE, Snapshot
from csc_git.text import quoted

_MOST_SHOWN: Final = 1000
"""Characters of a value that an error still carries."""

_MOST_EXPLAINED: Final = 5
"""Conditions that an error explains; of the others only the number."""

_LONGEST_NAME: Final = 80

README: Final = b"""# Shared state of coding agents

This branch is the data of csc-git, an MCP server through which coding sessions that work on this
repository know of each other: who is here, who works on what, notes, queues, hand-offs.

It shares no history with the project and is not meant to be merged, built or checked out. Each
commit is one edit that a session made; `git log` here is the record of what they agreed.

`data/<scope>/<key>.json` holds one value each. Please change them through csc-git only.
"""


@dataclass(frozen=True)
class Identity:
    """Who places commits: this clone, on behalf of its user."""

    machine: str
    clone: str
    email: str

    def committer(self, now: datetime) -> Signature:
        """The committer of a commit placed now."""
        return Signature(self.machine, self.email, now)


@dataclass(frozen=True)
class Draft:
    """An edit that somebody wants to make.

    Attributes:
        subject: One line for people.
        session: Whose edit it is.
        puts: New values.
        deletes: Keys to remove; absent ones are ignored.
        requires: The revision each of these keys must have; None: it must have no value.
        fence: The session's fence, if it has one.
        kind: See `core.edit.Kind`.
        secret: What seemed to be a credential, and why it was allowed.
        extras: Members of a new value's file that only a later csc-git knows.
    """

    subject: str
    session: str
    puts: Mapping[Key, Json] = field(default_factory=dict)
    deletes: tuple[Key, ...] = ()
    requires: Mapping[Key, str | None] = field(default_factory=dict)
    fence: int | None = None
    kind: Kind = Kind.EDIT
    secret: str | None = None
    extras: Mapping[Key, Mapping[str, Json]] = field(default_factory=dict)


D = TypeVar("D", bound=Draft)
"""The kind of draft that a caller makes; it may carry more than what is written."""


@dataclass(frozen=True)
class Receipt(Generic[D]):
    """What a transaction did.

    Attributes:
        draft: The edit as it was decided on the state that it was made on.
        op: Id of the edit; None if nothing was written because it was all there already.
        commit: The local tip that holds it.
        revisions: Revisions of the keys put.
        removed: The keys that were removed.
        unchanged: Where nothing was written: each key asked for with what stands there.
        time: The edit's time, or None if nothing was written.
    """

    draft: D
    op: str | None
    commit: str | None
    revisions: Mapping[Key, str]
    removed: tuple[Key, ...] = ()
    unchanged: Mapping[Key, str | None] = field(default_factory=dict)
    time: datetime | None = None


Decide = Callable[[Snapshot], D]
"""Looks at the newest state and returns what to change, or raises to change nothing.

It has no side effects, and may be called more than once for one edit.
"""


def new_op() -> str:
    """A new edit's unique id."""
    return uuid.uuid4().hex


def transact(
    repository: Repository,
    ref: str,
    identity: Identity,
    decide: Decide[D],
    now: datetime,
    op: str,
) -> Receipt[D]:
    """Make one edit.

    Args:
        repository: Where.
        ref: The branch's full name.
        identity: Who places the commit.
        decide: Decides what to change; called once, under the lock.
        now: The wall clock.
        op: The edit's unique id.

    Raises:
        ConditionFailed: a required revision is not what stands there.
        StorageFailed: the disk refused.
        CscError: whatever `decide` raises.
    """
    with repository.writing():
        tip = repository.read_ref(ref)
        batch = repository.batch()
        parent = tip or root_commit(batch, identity, now)
        snapshot = Snapshot(batch, parent)
        draft = decide(snapshot)
        check_conditions(snapshot, draft.requires)
        edit = _Edit.of(draft, snapshot)
        if edit.is_empty and not draft.requires:
            unchanged = {**dict.fromkeys(draft.deletes), **edit.unchanged}
            return Receipt(
                draft, None, tip, edit.unchanged, unchanged=unchanged
            )
        written = edit.write(batch, parent, identity, now, op)
        repository.set_ref(ref, tip, written.commit, batch)
        return Receipt(
            draft,
            op,
            written.commit,
            {**edit.unchanged, **written.revisions},
            edit.deletes,
            time=written.time,
        )


def check_conditions(
    snapshot: Snapshot, requires: Mapping[Key, str | None]
) -> None:
    """Raise ConditionFailed where a key does not have the revision required of it."""
    failed = {
        key: wanted
        for key, wanted in requires.items()
        if snapshot.revision(key) != wanted
    }
    if failed:
        raise ConditionFailed(explain(snapshot, failed))


def explain(snapshot: Snapshot, required: Mapping[Key, str | None]) -> str:
    """The current values of keys where other revisions were required, for the author's decision."""
    shown = list(required.items())[:_MOST_EXPLAINED]
    lines = [
        f"{describe_value(snapshot, key)}, but {wanted or ABSENT} was required"
        for key, wanted in shown
    ]
    if len(required) > len(shown):
        lines.append(f"and {len(required) - len(shown)} more")
    return "; ".join(lines)


def describe_value(snapshot: Snapshot, key: Key) -> str:
    """Describe the current value of a key: marked as data, and left out if it is long."""
    found = snapshot.revision(key)
    if found is None:
        return f"{key} has no value"
    stored = snapshot.get(key)
    if stored is None:
        return f"{key} has revision {found} (it can't be read)"
    value = json.dumps(stored.entry.value)
    if len(value) > _MOST_SHOWN:
        value = (
            f"{len(value):,} characters of JSON, to be read with retrieve_data"
        )
    who, when = (
        quoted(stored.entry.session, _LONGEST_NAME),
        format_time(stored.entry.time),
    )
    return (
        f"{key} has revision {found} (data stored by {who} at {when}: {value})"
    )


class _Written(NamedTuple):
    """A commit that was written, with the revisions of the keys put in it."""

    commit: str
    revisions: Mapping[Key, str]
    time: datetime


@dataclass(frozen=True)
class _Edit:
    """A draft held against the state it meets: only what changes anything is left."""

    draft: Draft
    snapshot: Snapshot
    puts: Mapping[Key, Json]
    deletes: tuple[Key, ...]
    unchanged: Mapping[Key, str]

    @classmethod
    def of(cls, draft: Draft, snapshot: Snapshot) -> "_Edit":
        puts: dict[Key, Json] = {}
        unchanged: dict[Key, str] = {}
        for key, value in draft.puts.items():
            stored = snapshot.get(key)
            if (
                stored is not None
                and not draft.requires
                and is_same(stored.entry.value, value)
            ):
                unchanged[key] = stored.revision
            else:
                puts[key] = value
        deletes = tuple(
            key for key in draft.deletes if snapshot.revision(key) is not None
        )
        return cls(draft, snapshot, puts, deletes, unchanged)

    @property
    def is_empty(self) -> bool:
        return not self.puts and not self.deletes

    @property
    def _restated(self) -> dict[Key, str | None]:
        """What an edit of several keys only repeats.

        It leaves no trace in the tree, and yet all of the edit shall stand or nothing, so it is a
        condition when the edit is replayed.
        """
        if self.draft.kind is not Kind.EDIT:
            return {}
        gone = (key for key in self.draft.deletes if key not in self.deletes)
        return {**dict.fromkeys(gone), **self.unchanged}

    def write(
        self,
        batch: Batch,
        parent: str,
        identity: Identity,
        now: datetime,
        op: str,
    ) -> _Written:
        draft = self.draft
        time = self._time(batch, parent, now)
        blobs = {
            key: batch.add_blob(self._entry(key, time).encode())
            for key in self.puts
        }
        changes: dict[Key, str | None] = {
            **blobs,
            **dict.fromkeys(self.deletes),
        }
        replaced: list[TreeEntry] = []
        tree = with_changes(batch, self.snapshot, changes, replaced)
        requires = {**self._restated, **draft.requires}
        record = Record(
            subject=draft.subject + _note(replaced),
            op=op,
            session=draft.session,
            clock=time,
            fence=draft.fence,
            requires={
                path_text(key): rev or ABSENT for key, rev in requires.items()
            },
            kind=draft.kind,
            secret=draft.secret,
        )
        author = Signature(draft.session, identity.email, time)
        commit = batch.add_commit(
            tree, parent, author, identity.committer(now), record.message()
        )
        return _Written(commit, blobs, time)

    def _time(self, batch: Batch, parent: str, now: datetime) -> datetime:
        seen = high_water(batch, parent, now)
        stored = (self.snapshot.get(key) for key in (*self.puts, *self.deletes))
        return tick(
            now,
            [seen] if seen else [],
            [old.entry.time for old in stored if old],
        )

    def _entry(self, key: Key, time: datetime) -> Entry:
        old = self.snapshot.get(key)
        return Entry(
            value=self.puts[key],
            session=self.draft.session,
            time=time,
            full_name=(format_scope(key.scope), key.name)
            if key.is_cut
            else None,
            extra={
                **(old.entry.extra if old else {}),
                **self.draft.extras.get(key, {}),
            },
        )


def _note(replaced: list[TreeEntry]) -> str:
    """The part of a commit's subject that names the foreign entries in its way."""
    names = ", ".join(
        f"{e.mode:06o} {e.name.decode(errors='replace')}" for e in replaced
    )
    return f" (in place of {names})" if names else ""


def with_changes(
    batch: Batch,
    snapshot: Snapshot,
    changes: Mapping[Key, str | None],
    replaced: list[TreeEntry],
) -> str:
    """The tree of a snapshot with keys set to blobs, or removed for None."""
    nested: dict[bytes, Any] = {}
    for key, blob in changes.items():
        *directories, file = key.path
        place = nested
        for directory in directories:
            place = place.setdefault(directory, {})
        place[file] = TreeEntry.of(file, FILE_MODE, blob) if blob else None
    data = apply(batch, snapshot.data, nested, replaced)
    lines = (
        [line for line in batch.tree(snapshot.tree) if line.name != DATA]
        if snapshot.tree
        else []
    )
    if data is not None:
        lines.append(TreeEntry.of(DATA, TREE_MODE, data))
    return batch.add_tree(lines, snapshot.tree)


def root_commit(batch: Batch, identity: Identity, now: datetime) -> str:
    """The first commit of a new store."""
    content = {"format": FORMAT, "store": uuid.uuid4().hex, "previous": None}
    lines = (
        TreeEntry.of(b"README.md", FILE_MODE, batch.add_blob(README)),
        TreeEntry.of(
            FORMAT_FILE, FILE_MODE, batch.add_blob(canonical(content) + b"\n")
        ),
    )
    record = Record("create the store", new_op(), identity.machine, now)
    signature = identity.committer(now)
    return batch.add_commit(
        batch.add_tree(lines), None, signature, signature, record.message()
    )
