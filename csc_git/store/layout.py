"""Layout: directories of the branch, and their fan-out.

A directory of more than 256 entries splits into `~xx` directories by the first byte of the
SHA-256 of the encoded name, those again by the next byte past 256, and it stays split until it is
empty. Readers take both layouts: where a name stands in both, the split one wins and the other is
reported. An encoded name never begins with `~`, so the two can't be confused.

Names here are encoded ones, as `core.key` makes them. What is not one of ours (a mode other than
100644 or 40000, a name that encodes nothing) is foreign: listed as such, and left where it is.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, Protocol

from csc_git.core.key import decode
from csc_git.git.objects.database import ListedLine
from csc_git.git.objects.tree import TREE_MODE, Tree, TreeEntry

SPLIT_PAST: Final = 256
_LISTED_FILE: Final = b"100644"
_LISTED_TREE: Final = b"040000"
"""Modes as git-ls-tree writes them."""

FAN_NAMES: Final = frozenset(b"~%02x" % byte for byte in range(256))
_MAX_FAN_DEPTH: Final = 31
_MOST_SPELLINGS: Final = 729

Changes = Mapping[bytes, "TreeEntry | Changes | None"]
"""New content of a directory: an entry, changes of a subdirectory, or None to remove."""


class Trees(Protocol):
    """Where trees are read from."""

    def tree(self, tree_id: str) -> Tree:
        """The lines of a tree."""


class TreeWriter(Trees, Protocol):
    """Where trees are read from and written to."""

    def add_tree(
        self, lines: Iterable[TreeEntry], like: str | None = None
    ) -> str:
        """Write a tree, made from another one; its id."""


class Shape(NamedTuple):
    """What a directory has, apart from the names of its keys.

    Attributes:
        holds_keys: Whether there are keys in it.
        below: The directories in it, with their trees; those of its fan-out taken together.
    """

    holds_keys: bool
    below: tuple[tuple[bytes, str], ...]


_PLAIN: Final = {
    holds_keys: Shape(holds_keys, ()) for holds_keys in (False, True)
}


class Foreign(NamedTuple):
    """An entry of the branch that is not one of ours."""

    path: bytes
    why: str


def find(trees: Trees, tree_id: str, name: bytes) -> TreeEntry | None:
    """The entry called `name` in a directory, wherever the fan-out put it."""
    found: TreeEntry | None = None
    for byte in hashlib.sha256(name).digest():
        lines = trees.tree(tree_id).ours
        found = lines.get(name, found)
        fan = lines.get(b"~%02x" % byte)
        if fan is None or not fan.is_tree:
            break
        tree_id = fan.id
    return found


def entries(
    trees: Trees,
    tree_id: str,
    foreign: list[Foreign] | None = None,
    path: bytes = b"",
) -> Iterator[TreeEntry]:
    """All entries of a directory that are ours, in the order of their names.

    Args:
        trees: Where to read.
        tree_id: The directory.
        foreign: Gets what was skipped, if given.
        path: The directory's path, for reports.
    """
    found: dict[bytes, TreeEntry] = {}
    skipped = foreign if foreign is not None else []
    for entry in _walk(trees, tree_id, 0, skipped, path):
        if entry.name in found:
            skipped.append(
                Foreign(path + entry.name, "stands twice; the split one counts")
            )
        else:
            found[entry.name] = entry
    yield from (found[name] for name in sorted(found))


def files_below(lines: Iterable[ListedLine]) -> dict[bytes, str]:
    """The files of a directory with their blobs, of all that stands below it.

    Args:
        lines: Of the directory and of those below it.
    """
    found: dict[bytes, tuple[int, str]] = {}
    for mode, blob_id, path in lines:
        *fans, name = path.split(b"/")
        if (
            mode == _LISTED_FILE
            and _is_listed(name)
            and all(map(is_fan_name, fans))
        ):
            depth, _ = found.get(name, (-1, ""))
            if (
                len(fans) > depth
            ):  # where a name stands twice, the split one counts
                found[name] = len(fans), blob_id
    return {name: blob_id for name, (_, blob_id) in found.items()}


def shapes_below(
    tree_id: str, lines: Iterable[ListedLine]
) -> Iterator[tuple[str, Shape]]:
    """The shape of a directory and of each below it, the inner ones first.

    Args:
        tree_id: The directory.
        lines: What stands below it, each directory before what is in it.
    """
    trees, full = {b"": tree_id}, set[bytes]()
    inside: dict[bytes, list[bytes]] = {}
    for mode, object_id, path in lines:
        parent, _, name = path.rpartition(b"/")
        if mode == _LISTED_TREE and (
            is_fan_name(name) or _is_listed(name, directory=True)
        ):
            trees[path] = object_id
            inside.setdefault(parent, []).append(path)
        elif mode == _LISTED_FILE and _is_listed(name):
            full.add(parent)
    made: dict[bytes, Shape] = {}
    for path in reversed(trees):
        holds_keys, below = path in full, list[tuple[bytes, str]]()
        for child in inside.get(path, ()):
            name = child.rpartition(b"/")[2]
            if is_fan_name(name):
                holds_keys = holds_keys or made[child].holds_keys
                below += made[child].below
            else:
                below.append((name, trees[child]))
        made[path] = (
            Shape(holds_keys, tuple(below)) if below else _PLAIN[holds_keys]
        )
        yield trees[path], made[path]


def _is_listed(name: bytes, *, directory: bool = False) -> bool:
    """Whether a name is one that csc-git may have made."""
    try:
        decode(name, directory=directory)
    except ValueError:
        return False
    return True


def spellings(path: tuple[bytes, ...], depth: int = 2) -> list[bytes]:
    """Every path at which a name may stand, with each component up to `depth` fans deep.

    Components too many to list in full are taken to be flat.
    """
    found = [b""]
    for component in path:
        digest = hashlib.sha256(component).digest()
        path_of_fans = [b"~%02x/" % byte for byte in digest[:depth]]
        fans = [b"".join(path_of_fans[:n]) for n in range(depth + 1)]
        fans = fans if len(found) * len(fans) <= _MOST_SPELLINGS else fans[:1]
        found = [
            start + fan + component + b"/" for start in found for fan in fans
        ]
    return [path.rstrip(b"/") for path in found]


def apply(
    trees: TreeWriter,
    tree_id: str | None,
    changes: Changes,
    replaced: list[TreeEntry],
) -> str | None:
    """A directory with changes made to it; None if nothing is left.

    Args:
        trees: Where to read and write.
        tree_id: The directory; None for one that isn't there yet.
        changes: What is to change.
        replaced: Gets the foreign entries that stood in the way of a change.
    """
    resolved: dict[bytes, TreeEntry | None] = {}
    for name, change in changes.items():
        if change is None or isinstance(change, TreeEntry):
            resolved[name] = change
        else:
            old = find(trees, tree_id, name) if tree_id else None
            below = apply(
                trees, old.id if old and old.is_tree else None, change, replaced
            )
            resolved[name] = (
                TreeEntry.of(name, TREE_MODE, below) if below else None
            )
    return _Rewriting(trees, replaced).level(tree_id, resolved, 0)


class _Rewriting(NamedTuple):
    """One directory being rewritten: the flat part of each level, then each touched fan."""

    trees: TreeWriter
    replaced: list[TreeEntry]

    def level(
        self,
        tree_id: str | None,
        changes: Mapping[bytes, TreeEntry | None],
        depth: int,
    ) -> str | None:
        lines = self._untouched(tree_id, changes)
        fans = {line.name: line for line in lines if _is_fan(line)}
        here = [entry for entry in changes.values() if entry is not None]
        if not fans and _fit(lines, here):
            return self._write(lines + here, tree_id)
        moved = (
            {}
            if fans
            else {line.name: line for line in lines if not why_foreign(line)}
        )
        kept = [
            line
            for line in lines
            if line.name not in moved and line.name not in fans
        ]
        for name, inside in _by_fan({**moved, **changes}, depth).items():
            old = fans.pop(name, None)
            below = self.level(old.id if old else None, inside, depth + 1)
            if below:
                kept.append(TreeEntry.of(name, TREE_MODE, below))
        return self._write(kept + list(fans.values()), tree_id)

    def _untouched(
        self, tree_id: str | None, changes: Mapping[bytes, TreeEntry | None]
    ) -> list[TreeEntry]:
        kept: list[TreeEntry] = []
        for line in self.trees.tree(tree_id) if tree_id else ():
            if line.name not in changes:
                kept.append(line)
            elif why_foreign(line):
                self.replaced.append(line)
        return kept

    def _write(self, lines: list[TreeEntry], like: str | None) -> str | None:
        return self.trees.add_tree(lines, like) if lines else None


def _by_fan(
    changes: Mapping[bytes, TreeEntry | None], depth: int
) -> dict[bytes, dict[bytes, TreeEntry | None]]:
    fans: dict[bytes, dict[bytes, TreeEntry | None]] = {}
    for name, entry in changes.items():
        fan = b"~%02x" % hashlib.sha256(name).digest()[depth]
        fans.setdefault(fan, {})[name] = entry
    return fans


def _walk(
    trees: Trees, tree_id: str, depth: int, foreign: list[Foreign], path: bytes
) -> Iterator[TreeEntry]:
    """Ours in one level: what stands deeper first, since that is what counts."""
    lines = trees.tree(tree_id)
    for line in lines:
        if _is_fan(line) and depth < _MAX_FAN_DEPTH:
            yield from _walk(
                trees, line.id, depth + 1, foreign, path + line.name + b"/"
            )
    for line in lines:
        if _is_fan(line):
            continue
        if why := why_foreign(line):
            foreign.append(Foreign(path + line.name, why))
        else:
            yield line


def is_fan_name(name: bytes) -> bool:
    """Whether a directory called so is part of the fan-out of the one it is in."""
    return name in FAN_NAMES


def _is_fan(entry: TreeEntry) -> bool:
    return entry.name in FAN_NAMES and entry.is_tree


def _fit(lines: list[TreeEntry], here: list[TreeEntry]) -> bool:
    """Whether a directory with both is not past the limit, for which foreign ones don't count."""
    room = SPLIT_PAST - len(here)
    return len(lines) <= room or sum(line.is_ours for line in lines) <= room


def why_foreign(entry: TreeEntry) -> str:
    """Why an entry is not one of ours; empty if it may be one."""
    if not entry.is_ours:
        return f"mode {entry.mode:06o}"
    if _is_fan(entry):
        return ""
    try:
        decode(entry.name, directory=entry.is_tree)
    except ValueError:
        return "the name encodes nothing"
    return ""
