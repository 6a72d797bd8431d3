"""The difference between two snapshots, at the cost of the difference.

Directories that are the same in both are not read.
"""

from collections.abc import Iterator
from typing import NamedTuple

from csc_git.core.key import Key
from csc_git.git.objects.tree import TreeEntry
from csc_git.store.tree.layout import Components, is_fan_name, why_foreign
from csc_git.store.tree.snapshot import Reads, Snapshot, Stored


class Change(NamedTuple):
    """One key that was changed.

    Attributes:
        key: The key.
        before: What it held before.
        after: What it held after.
    """

    key: Key
    before: Stored | None
    after: Stored | None


def changed_keys(
    objects: Reads,
    before: Snapshot,
    after: Snapshot,
) -> Iterator[Change]:
    """Yield the keys in which two snapshots differ, with their entries in both.

    Args:
        objects: Where to read.
        before: One snapshot.
        after: The other.
    """
    for key in changed_places(objects, before, after):
        yield Change(key, before.look(key), after.look(key))


def changed_places(
    objects: Reads,
    before: Snapshot,
    after: Snapshot,
) -> Iterator[Key]:
    """Yield the keys in which two snapshots differ; no value is read.

    Args:
        objects: Where to read.
        before: One snapshot.
        after: The other.
    """
    paths = set(changed_files(objects, before.data, after.data))
    for path in sorted(paths):
        key = after.key_at(path) or before.key_at(path)
        if key is None:
            continue
        if before.revision(key) != after.revision(key):
            yield key


def changed_files(
    objects: Reads,
    before: str | None,
    after: str | None,
    path: Components = (),
    *,
    below: bool = True,
) -> Iterator[Components]:
    """Yield the paths, without fan-out, of the files that differ.

    Where the fan-out differs, some files that are the same are among them, and some twice. A line
    that is in both trees is the same in both, so only the others are read.

    Args:
        objects: Where to read.
        before: A directory's tree; None if there is no such directory.
        after: Another one.
        path: Where the directory is.
        below: Whether to read the directories below it too. Its own fan-out is always read.
    """
    old = _lines(objects, before)
    new = _lines(objects, after)
    lines = [line for line in old ^ new if not why_foreign(line)]
    files = {line.name for line in lines if line.is_file}
    directories = {line.name for line in lines if line.is_tree}
    for name in files:
        yield (*path, name)
    for name in directories:
        place = path
        if not is_fan_name(name):
            if not below:
                continue
            place = (*path, name)
        yield from changed_files(
            objects,
            _directory(old, name),
            _directory(new, name),
            place,
            below=below,
        )


def _lines(objects: Reads, tree: str | None) -> set[TreeEntry]:
    if tree is None:
        return set()
    return set(objects.tree(tree))


def _directory(lines: set[TreeEntry], name: bytes) -> str | None:
    """Return the tree of a directory among some lines; None if there is none."""
    for line in lines:
        if line.name == name and line.is_tree:
            return line.id
    return None
