"""The difference between two snapshots.

Directories that are equal in both snapshots are not read, so a small difference is found fast.
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
        before: The key's entry before the change; None if the key had no value.
        after: The key's entry after the change; None if the key has no value.
    """

    key: Key
    before: Stored | None
    after: Stored | None


def changed_keys(
    objects: Reads,
    before: Snapshot,
    after: Snapshot,
) -> Iterator[Change]:
    """Yield the keys in which two snapshots differ, with the entries from both snapshots.

    Args:
        objects: The Git objects to read from.
        before: The first snapshot.
        after: The second snapshot.
    """
    for key in changed_places(objects, before, after):
        yield Change(key, before.look(key), after.look(key))


def changed_places(
    objects: Reads,
    before: Snapshot,
    after: Snapshot,
) -> Iterator[Key]:
    """Yield the keys in which two snapshots differ, without reading any values.

    Args:
        objects: The Git objects to read from.
        before: The first snapshot.
        after: The second snapshot.
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
    """Yield the paths of the files that differ between two trees of a directory.

    The paths have no fan-out directories. Where the fan-out differs, some paths are yielded twice,
    and some paths are yielded although their files are equal. Tree lines that are equal in both
    trees are skipped.

    Args:
        objects: The Git objects to read from.
        before: The directory's tree in one snapshot; None if the directory is not there.
        after: The directory's tree in the other snapshot; None if the directory is not there.
        path: The directory's path.
        below: Whether to read subdirectories too. The directory's own fan-out is always read.
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
    """Return the tree of the directory with this name; None if there is no such directory."""
    for line in lines:
        if line.name == name and line.is_tree:
            return line.id
    return None
