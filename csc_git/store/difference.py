"""The difference between two snapshots, at the cost of the difference.

Directories that are the same are never entered.
"""

from collections.abc import Iterator

from csc_git.core.key import Key
from csc_git.store.layout import is_fan_name, why_foreign
from csc_git.store.snapshot import Reads, Snapshot, Stored


def changed_keys(
    objects: Reads, before: Snapshot, after: Snapshot
) -> Iterator[tuple[Key, Stored | None, Stored | None]]:
    """The keys in which two snapshots differ, with their entries on both sides."""
    for key in changed_places(objects, before, after):
        yield key, before.look(key), after.look(key)


def changed_places(
    objects: Reads, before: Snapshot, after: Snapshot
) -> Iterator[Key]:
    """The keys in which two snapshots differ; no value is read."""
    for path in sorted(set(changed_files(objects, before.data, after.data))):
        key = after.key_at(path) or before.key_at(path)
        if key is not None and before.revision(key) != after.revision(key):
            yield key


def changed_files(
    objects: Reads,
    before: str | None,
    after: str | None,
    path: tuple[bytes, ...] = (),
    *,
    below: bool = True,
) -> Iterator[tuple[bytes, ...]]:
    """Paths, without fan-out, of the files that differ; a few more where the fan-out does.

    A line that stands in both trees is the same in both, so only the others are looked at.

    Args:
        objects: Where to read.
        before: A directory's tree; None: no such directory.
        after: Another one.
        path: Where the directory is.
        below: Whether to look into directories below it, apart from its own fan-out.
    """
    old = set(objects.tree(before)) if before else set()
    new = set(objects.tree(after)) if after else set()
    lines = [line for line in old ^ new if not why_foreign(line)]
    for name in {line.name for line in lines if line.is_file}:
        yield (*path, name)
    for name in {line.name for line in lines if line.is_tree}:
        if not below and not is_fan_name(name):
            continue
        was = next(
            (line.id for line in old if line.name == name and line.is_tree),
            None,
        )
        now = next(
            (line.id for line in new if line.name == name and line.is_tree),
            None,
        )
        place = path if is_fan_name(name) else (*path, name)
        yield from changed_files(objects, was, now, place, below=below)
