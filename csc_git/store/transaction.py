"""Transactions: making one edit on the newest local state, and making the edit durable.

All steps of a transaction are done under the repository's lock:

1. Read the tip of the branch.
2. Call the caller's function, which decides what to change.
3. Check the conditions of the edit.
4. Write the blobs, the trees and the commit.
5. Move the branch to the new commit.

If the caller's function raises an error, or if the process dies, the branch is not changed. Some
unused Git objects may remain on disk.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
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
from csc_git.store.tree.layout import apply
from csc_git.store.tree.snapshot import DATA, FORMAT, FORMAT_FILE, Snapshot
from csc_git.text import quoted

_MOST_SHOWN: Final = 1000
"""An error message quotes a value only if it has at most this many characters."""

_MOST_EXPLAINED: Final = 5
"""An error message explains at most this many failed conditions. The others are only counted."""

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
    """The name and the email address that this clone uses as the committer of new commits.

    Attributes:
        machine: The clone's machine name.
        clone: The clone's random id.
        email: The user's email address.
    """

    machine: str
    clone: str
    email: str

    def committer(self, now: datetime) -> Signature:
        """Return the committer of a commit that is made now."""
        return Signature(self.machine, self.email, now)


@dataclass(frozen=True)
class Draft:
    """An edit that a session or a person wants to make.

    Attributes:
        subject: One line that describes the edit to people.
        session: The author of the edit.
        puts: The new values, by key.
        deletes: The keys to remove. Keys that have no value are ignored.
        requires: The conditions of the edit. For each key, the revision that the key must have;
            None if the key must have no value.
        fence: The session's fence; None if the session has no fence.
        kind: The kind of the edit, see `core.edit.Kind`.
        secret: A description of a value that looked like a credential, with the reason why the
            value was allowed; None if no value looked like a credential.
        extras: For each key, additional members that are written into the key's new file. These
            members come from a later version of csc-git.
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
"""The caller's type of draft: `Draft`, or a subclass with additional attributes."""


@dataclass(frozen=True)
class Receipt(Generic[D]):
    """The result of a transaction.

    Attributes:
        draft: The draft from which the edit was made.
        op: The id of the edit; None if nothing was written because the store already had all
            values.
        commit: The commit of the edit, or the tip of the branch if nothing was written.
        revisions: For each key that the draft puts, the revision of the key after the edit.
        removed: The keys that were removed.
        unchanged: The current revision of each key of the draft, if nothing was written; otherwise
            empty.
        time: The time of the edit; None if nothing was written.
    """

    draft: D
    op: str | None
    commit: str | None
    revisions: Mapping[Key, str]
    removed: tuple[Key, ...] = ()
    unchanged: Mapping[Key, str | None] = field(default_factory=dict)
    time: datetime | None = None


Decide = Callable[[Snapshot], D]
"""A function that gets the newest snapshot and returns the draft of an edit.

If the function raises an error, nothing is changed. The function must have no side effects, because
it may be called more than once for one edit.
"""


def new_op() -> str:
    """Make an edit's unique id."""
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
        repository: The repository that contains the branch.
        ref: The branch's full name.
        identity: The committer of the new commit.
        decide: A function that returns the draft of the edit. `decide` is called once, under the
            repository's lock.
        now: The current time by this machine's clock.
        op: The edit's unique id.

    Raises:
        ConditionFailed: a key does not have the required revision.
        StorageFailed: the commit could not be written to disk.
        CscError: `decide` raised this error.
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
    """Check that keys have the required revisions.

    Args:
        snapshot: The state to check.
        requires: The required revision of each key; None if the key must have no value.

    Raises:
        ConditionFailed: a key does not have the required revision.
    """
    failed = {
        key: wanted
        for key, wanted in requires.items()
        if snapshot.revision(key) != wanted
    }
    if failed:
        raise ConditionFailed(explain(snapshot, failed))


def explain(snapshot: Snapshot, required: Mapping[Key, str | None]) -> str:
    """Describe the current values of keys that do not have the required revisions.

    Args:
        snapshot: The state to describe.
        required: The required revision of each key; None if the key must have no value.
    """
    lines: list[str] = []
    for key, revision in islice(required.items(), _MOST_EXPLAINED):
        current = describe_value(snapshot, key)
        wanted = revision or ABSENT
        lines.append(f"{current}, but {wanted} was required")
    unlisted = len(required) - len(lines)
    if unlisted:
        lines.append(f"and {unlisted} more")
    return "; ".join(lines)


def describe_value(snapshot: Snapshot, key: Key) -> str:
    """Describe the current value of a key. The value is marked as data, and omitted if it is long.

    Args:
        snapshot: The state to describe.
        key: The key.
    """
    found = snapshot.revision(key)
    if found is None:
        return f"{key} has no value"
    stored = snapshot.get(key)
    if stored is None:
        return f"{key} has revision {found} (the value can't be read)"
    value = json.dumps(stored.entry.value)
    if len(value) > _MOST_SHOWN:
        value = (
            f"{len(value):,} characters of JSON; read them with retrieve_data"
        )
    who = quoted(stored.entry.session, _LONGEST_NAME)
    when = format_time(stored.entry.time)
    return (
        f"{key} has revision {found} (data stored by {who} at {when}: {value})"
    )


class _Written(NamedTuple):
    """A commit that was written, its time, and the new revisions of the keys that were put."""

    commit: str
    revisions: Mapping[Key, str]
    time: datetime


@dataclass(frozen=True)
class _Edit:
    """A draft without the puts and deletes that would change nothing in the snapshot."""

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
            if stored is None or draft.requires:
                puts[key] = value
            elif is_same(stored.entry.value, value):
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
        """The keys of the draft that need no change, with their current revisions.

        The new tree does not show that the edit depends on these unchanged keys. But a replay must
        make the whole edit or no part of it. So the unchanged keys become conditions of the edit.
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
        blobs: dict[Key, str] = {}
        for key in self.puts:
            content = self._entry(key, time).encode()
            blobs[key] = batch.add_blob(content)
        changes: dict[Key, str | None] = {
            **blobs,
            **dict.fromkeys(self.deletes),
        }
        replaced: list[TreeEntry] = []
        tree = with_changes(batch, self.snapshot, changes, replaced)
        conditions = {**self._restated, **draft.requires}
        requires = {
            path_text(key): revision or ABSENT
            for key, revision in conditions.items()
        }
        record = Record(
            subject=draft.subject + _note(replaced),
            op=op,
            session=draft.session,
            clock=time,
            fence=draft.fence,
            requires=requires,
            kind=draft.kind,
            secret=draft.secret,
        )
        author = Signature(draft.session, identity.email, time)
        committer = identity.committer(now)
        commit = batch.add_commit(
            tree, parent, author, committer, record.message()
        )
        return _Written(commit, blobs, time)

    def _time(self, batch: Batch, parent: str, now: datetime) -> datetime:
        seen: list[datetime] = []
        reached = high_water(batch, parent, now)
        if reached is not None:
            seen.append(reached)
        replaced: list[datetime] = []
        for key in (*self.puts, *self.deletes):
            old = self.snapshot.get(key)
            if old is not None:
                replaced.append(old.entry.time)
        return tick(now, seen, replaced)

    def _entry(self, key: Key, time: datetime) -> Entry:
        extra: dict[str, Json] = {}
        old = self.snapshot.get(key)
        if old is not None:
            extra |= old.entry.extra
        extra |= self.draft.extras.get(key, {})
        full_name: tuple[str, str] | None = None
        if key.is_cut:
            full_name = (format_scope(key.scope), key.name)
        return Entry(
            value=self.puts[key],
            session=self.draft.session,
            time=time,
            full_name=full_name,
            extra=extra,
        )


def _note(replaced: list[TreeEntry]) -> str:
    """Return the text that names replaced foreign entries at the end of a commit's subject."""
    if not replaced:
        return ""
    names: list[str] = []
    for entry in replaced:
        name = entry.name.decode(errors="replace")
        names.append(f"{entry.mode:06o} {name}")
    return f" (in place of {', '.join(names)})"


def with_changes(
    batch: Batch,
    snapshot: Snapshot,
    changes: Mapping[Key, str | None],
    replaced: list[TreeEntry],
) -> str:
    """Write a tree that has the content of a snapshot, but with some keys changed.

    Args:
        batch: The batch to which the new trees are added.
        snapshot: The state to change.
        changes: The new blob of each key; None means that the key is removed.
        replaced: A list. Foreign entries that a change replaces are added to this list.

    Returns:
        The new tree's id.
    """
    nested: dict[bytes, Any] = {}
    for key, blob in changes.items():
        *directories, file = key.path
        place = nested
        for directory in directories:
            place = place.setdefault(directory, {})
        place[file] = None
        if blob is not None:
            place[file] = TreeEntry.of(file, FILE_MODE, blob)
    data = apply(batch, snapshot.data, nested, replaced)
    lines: list[TreeEntry] = []
    if snapshot.tree is not None:
        old_lines = batch.tree(snapshot.tree)
        lines = [line for line in old_lines if line.name != DATA]
    if data is not None:
        lines.append(TreeEntry.of(DATA, TREE_MODE, data))
    return batch.add_tree(lines, snapshot.tree)


def root_commit(batch: Batch, identity: Identity, now: datetime) -> str:
    """Write the first commit of a new store.

    Args:
        batch: The batch to which the new objects are added.
        identity: The committer of the new commit.
        now: The current time by this machine's clock.

    Returns:
        The commit's id.
    """
    content = {"format": FORMAT, "store": uuid.uuid4().hex, "previous": None}
    format_file = batch.add_blob(canonical(content) + b"\n")
    readme = batch.add_blob(README)
    lines = (
        TreeEntry.of(b"README.md", FILE_MODE, readme),
        TreeEntry.of(FORMAT_FILE, FILE_MODE, format_file),
    )
    tree = batch.add_tree(lines)
    record = Record("create the store", new_op(), identity.machine, now)
    signature = identity.committer(now)
    return batch.add_commit(tree, None, signature, signature, record.message())
