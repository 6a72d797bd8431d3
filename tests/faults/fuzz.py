"""Fuzzing the branch reader, guided by coverage: `python -m tests.faults.fuzz [OPTIONS] [CORPUS]`.

Bytes become a branch that anybody who may push could have pushed: a commit, trees, blobs. Reading
it all must end, and raise nothing but our own errors; a write on top of it must be readable.
Options and corpus are libFuzzer's. Needs `pip install atheris`. The branches that took it to new
code are kept in `corpus.json`, and run by `test_fuzz.py`.
"""

import hashlib
import sys
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from dulwich.object_format import DEFAULT_OBJECT_FORMAT
from dulwich.objects import Blob, Commit, ShaFile, Tree

from csc_git.core.claim import Claim
from csc_git.core.conflict import Conflict
from csc_git.core.edit import Record
from csc_git.core.key import Key
from csc_git.core.lease import Lease
from csc_git.core.value import Entry
from csc_git.errors import CscError, TreeNotListed
from csc_git.git.objects.batch import Batch
from csc_git.git.objects.commit import Signature
from csc_git.git.objects.database import ListedLine
from csc_git.git.objects.objects import Objects
from csc_git.git.objects.packing import NewObject
from csc_git.store.commit_walk import high_water, since
from csc_git.store.transaction import with_changes
from csc_git.store.tree.difference import changed_keys
from csc_git.store.tree.snapshot import Snapshot

CORPUS = Path(__file__).with_name("corpus.json")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
_MODES = (
    b"100644",
    b"40000",
    b"100755",
    b"120000",
    b"160000",
    b"040000",
    b"0",
    b"x",
)
_NAMES = (
    b"data", b"format.json", b"a", b"k.json", b"~00", b"~ff", b"sessions", b"claims", b"conflicts",
    b"..", b".git", b"+a.json", b"=e2=80=ae.json", b"", b"x==" + b"0" * 32,
    b"x==" + b"0" * 32 + b".json",
)  # fmt: skip
_BLOBS = (
    b'{"format": 1, "store": "s", "previous": null}\n',
    b'{"value": 1, "session": "a@b", "time": "2026-01-01T00:00:00.000000Z"}',
    b'{"value": {"a": 1}, "session": "a@b", "time": "2026-01-01T00:00:00.000000Z", '
    b'"scope": "a", "key": "k"}',
)  # fmt: skip
_ME = Signature("me", "me@example.com", NOW)
_MESSAGE = b"x\n\nCsc-Op: 1\nCsc-Session: a@b\nCsc-Clock: 2026-01-01T00:00:00.000000Z\n"


class Source:
    """Bytes, taken from the front; without more of them, zeros."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def number(self, below: int) -> int:
        """A number from 0."""
        taken, self._data = self._data[:1] or b"\0", self._data[1:]
        return taken[0] % below

    def piece(self, known: tuple[bytes, ...]) -> bytes:
        """One of the known pieces, or bytes taken from the input."""
        which = self.number(len(known) + 1)
        if which < len(known):
            return known[which]
        length = self.number(256)
        taken, self._data = self._data[:length], self._data[length:]
        return taken

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return not self._data


class Memory:
    """The part of an object store that reading needs. Like a pack, it holds bytes of any form."""

    def __init__(self) -> None:
        self.object_format = DEFAULT_OBJECT_FORMAT
        self._objects: dict[str, tuple[int, bytes]] = {}

    def add(self, kind: type[ShaFile], raw: bytes) -> str:
        """Put an object in; its id."""
        head = kind.type_name + b" %d\0" % len(raw)
        made = hashlib.sha1(head + raw).hexdigest()  # noqa: S324  as git has it
        self._objects[made] = (kind.type_num, raw)
        return made

    def read(self, object_id: str, _: int) -> tuple[int, bytes]:
        """An object's kind and bytes."""
        return self._objects[object_id]

    def has(self, object_id: str) -> bool:
        """Whether it was put in."""
        return object_id in self._objects

    def read_many(
        self, object_ids: Collection[str], kind: int
    ) -> dict[str, bytes]:
        """Those of one type."""
        found = {
            name: self._objects[name]
            for name in object_ids
            if name in self._objects
        }
        return {name: raw for name, (of, raw) in found.items() if of == kind}

    def list_below(self, tree_id: str) -> Iterator[ListedLine]:  # noqa: ARG002  a protocol's
        """Never list a tree, so that trees are read one by one."""
        raise TreeNotListed

    def write(self, objects: Sequence[NewObject], name: str) -> str:  # noqa: ARG002  a protocol's
        """Nothing is kept of what an input writes."""
        return name

    def allow_repack(self, base: str) -> None:
        """Nothing was kept."""


class Hostile:
    """A store in memory of the objects that the bytes describe."""

    def __init__(self, data: bytes) -> None:
        self._memory, self._source = Memory(), Source(data)
        self.objects = Objects(self._memory)

    def commit(self, parent: str | None) -> str:
        """A commit of a tree with as much in it as there are bytes."""
        blobs = [
            self._memory.add(Blob, self._source.piece(_BLOBS)) for _ in range(3)
        ]
        trees = [self._memory.add(Tree, b"")]
        for _ in range(4):
            trees.append(self._tree(blobs, trees))
        root = f"tree {trees[-1]}\n" + (f"parent {parent}\n" if parent else "")
        head = self._source.piece((b"author A <a@b> 1700000000 +0000\n", b""))
        return self._memory.add(
            Commit,
            root.encode() + head + b"\n" + self._source.piece((_MESSAGE,)),
        )

    def _tree(self, blobs: list[str], trees: list[str]) -> str:
        lines = []
        for _ in range(self._source.number(6)):
            mode, name = self._source.piece(_MODES), self._source.piece(_NAMES)
            targets = trees if self._source.number(2) else blobs
            target = targets[-1 - self._source.number(len(targets))]
            lines.append(mode + b" " + name + b"\0" + bytes.fromhex(target))
        return self._memory.add(
            Tree, b"".join(lines) + self._source.piece((b"",) * 7)
        )


def one_input(data: bytes) -> None:
    """Read a branch that these bytes make, and write on top of it."""
    hostile = Hostile(data)
    first = hostile.commit(None)
    second = hostile.commit(first)
    try:
        before, after = (
            Snapshot(hostile.objects, first),
            Snapshot(hostile.objects, second),
        )
    except CscError:
        return
    for act in (
        lambda: _read(after),
        lambda: [
            Record.parse(commit.message)
            for commit in since(hostile.objects, None, second)
        ],
        lambda: high_water(hostile.objects, second, NOW),
        lambda: list(changed_keys(hostile.objects, before, after)),
        lambda: _write(hostile.objects, after),
    ):
        try:
            act()
        except CscError:
            continue


def _read(snapshot: Snapshot) -> None:
    snapshot.format()
    list(snapshot.foreign())
    for scope in snapshot.scopes():
        for key in snapshot.keys(scope):
            stored = snapshot.get(key)
            if stored is not None:
                Lease.from_json(stored.entry.value)
                Claim.from_json(stored.entry.value)
                Conflict.from_json(stored.entry.value)


def _write(objects: Objects, snapshot: Snapshot) -> None:
    batch, key = Batch(objects), Key(("a",), "k")
    blob = batch.add_blob(Entry(value=1, session="me", time=NOW).encode())
    tree = with_changes(batch, snapshot, {key: blob}, [])
    written = Snapshot(batch, batch.add_commit(tree, None, _ME, _ME, "x"))
    assert written.revision(key) == blob, "what was written is not there"


def main() -> None:
    import atheris  # noqa: PLC0415  a tool, not a dependency

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
