"""Layout: how the directories of the branch are split into smaller ones (the fan-out).

A directory of more than 256 entries is split into directories `~00` to `~ff` by the first byte of
the SHA-256 of the encoded name. If a directory of the fan-out has more than 256 entries, it is
split again by the next byte, and so on. A directory stays split until it is empty.

Readers accept split and unsplit directories. If a name is found both inside and outside the
fan-out, the entry deeper in the fan-out is used, and the other entry is reported. An encoded name
never begins with `~`, so it can't be confused with a part of the fan-out.

All names in this module are encoded as `core.key` encodes them. An entry is foreign if csc-git
can't have made it: its mode is not 100644 or 40000, or its name is not a valid encoded name.
Foreign entries are reported, and stay where they are.
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
"""The modes of files and directories, as `git ls-tree` prints them."""

FAN_NAMES: Final = frozenset(b"~%02x" % byte for byte in range(256))
_MAX_FAN_DEPTH: Final = 31
_MOST_SPELLINGS: Final = 729

Components = tuple[bytes, ...]
"""A path on the branch, as a tuple of encoded components without the fan-out directories."""

Changes = Mapping[bytes, "TreeEntry | Changes | None"]
"""For each name in a directory: the entry to write, the changes below it, or None to delete it."""

_Lines = dict[bytes, TreeEntry | None]
"""Changes of the lines of one tree, by name: the new line, or None to remove the line."""


class Trees(Protocol):
    """An object from which trees can be read."""

    def tree(self, tree_id: str) -> Tree:
        """Return the lines of a tree."""


class TreeWriter(Trees, Protocol):
    """An object from which trees can be read, and to which trees can be written."""

    def add_tree(
        self,
        lines: Iterable[TreeEntry],
        like: str | None = None,
    ) -> str:
        """Write a tree and return its id.

        Args:
            lines: The tree's lines.
            like: A similar older tree. The new tree may be stored as a difference from the
                older tree. None if there is no older tree.
        """


class Shape(NamedTuple):
    """The subdirectories of a directory, and whether the directory contains any keys.

    Attributes:
        holds_keys: Whether the directory contains keys.
        below: The names and trees of the subdirectories, including those inside the fan-out.
    """

    holds_keys: bool
    below: tuple[tuple[bytes, str], ...]


_PLAIN: Final = {
    True: Shape(holds_keys=True, below=()),
    False: Shape(holds_keys=False, below=()),
}


class Foreign(NamedTuple):
    """An entry of the branch that csc-git can't have made.

    Attributes:
        path: The path of the entry on the branch.
        why: The reason why csc-git can't have made the entry.
    """

    path: bytes
    why: str


def find(trees: Trees, tree_id: str, name: bytes) -> TreeEntry | None:
    """Find the entry with a given name in a directory, inside or outside the fan-out.

    Args:
        trees: The trees to read from.
        tree_id: The directory's tree.
        name: The encoded name.
    """
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
    """Yield the entries of a directory that are not foreign, sorted by name.

    Args:
        trees: The trees to read from.
        tree_id: The directory's tree.
        foreign: A list to which foreign entries are added; None if the caller does not need them.
        path: The directory's path, with a `/` at the end. The paths in `foreign` begin with this
            path.
    """
    if foreign is None:
        foreign = []
    found: dict[bytes, TreeEntry] = {}
    for entry in _walk(trees, tree_id, 0, foreign, path):
        if entry.name in found:
            why = "the name is there twice; the entry deeper in the fan-out is used"
            foreign.append(Foreign(path + entry.name, why))
        else:
            found[entry.name] = entry
    for name in sorted(found):
        yield found[name]


def files_below(lines: Iterable[ListedLine]) -> dict[bytes, str]:
    """Return the blobs of a directory's files, by file name.

    Args:
        lines: The lines of the directory and of all directories below it.
    """
    found: dict[bytes, str] = {}
    depths: dict[bytes, int] = {}
    for mode, blob_id, path in lines:
        *fans, name = path.split(b"/")
        if mode != _LISTED_FILE or not _is_listed(name):
            continue
        if not all(map(is_fan_name, fans)):
            continue
        depth = len(fans)
        known_depth = depths.get(name, -1)
        if depth > known_depth:  # deeper in the fan-out
            depths[name] = depth
            found[name] = blob_id
    return found


def shapes_below(
    tree_id: str,
    lines: Iterable[ListedLine],
) -> Iterator[tuple[str, Shape]]:
    """Yield the tree id and shape of a directory and of all its subdirectories, deepest first.

    Args:
        tree_id: The directory's tree.
        lines: The tree lines of everything below the directory, with each directory listed before
            its content.
    """
    trees = {b"": tree_id}
    with_keys: set[bytes] = set()
    inside: dict[bytes, list[bytes]] = {}
    for mode, object_id, path in lines:
        parent, _, name = path.rpartition(b"/")
        if mode == _LISTED_TREE and _is_listed_directory(name):
            trees[path] = object_id
            inside.setdefault(parent, []).append(path)
        elif mode == _LISTED_FILE and _is_listed(name):
            with_keys.add(parent)
    made: dict[bytes, Shape] = {}
    for path in reversed(trees):
        holds_keys = path in with_keys
        below: list[tuple[bytes, str]] = []
        for child in inside.get(path, ()):
            _, _, name = child.rpartition(b"/")
            if is_fan_name(name):
                part = made[child]
                holds_keys = holds_keys or part.holds_keys
                below += part.below
            else:
                below.append((name, trees[child]))
        shape = _PLAIN[holds_keys]
        if below:
            shape = Shape(holds_keys, tuple(below))
        made[path] = shape
        yield trees[path], shape


def _is_listed(name: bytes, *, directory: bool = False) -> bool:
    """Return whether csc-git can have made a file or directory of this name."""
    try:
        decode(name, directory=directory)
    except ValueError:
        return False
    return True


def _is_listed_directory(name: bytes) -> bool:
    return is_fan_name(name) or _is_listed(name, directory=True)


def spellings(path: Components, depth: int = 2) -> list[bytes]:
    """Return every path at which a key or a scope may be stored.

    There are paths with fan-out directories and a path without them.

    Args:
        path: The components of the key's or the scope's path, without the fan-out.
        depth: The largest number of fan-out directories directly above a component. If there would
            be too many paths, the remaining components are assumed to be outside the fan-out.
    """
    found = [b""]
    for component in path:
        fans = _fan_prefixes(component, depth)
        if len(found) * len(fans) > _MOST_SPELLINGS:
            fans = [b""]
        longer: list[bytes] = []
        for before in found:
            longer += [before + fan + component + b"/" for fan in fans]
        found = longer
    return [path.rstrip(b"/") for path in found]


def _fan_prefixes(name: bytes, depth: int) -> list[bytes]:
    """Return the fan-out prefixes that a name may have: zero to `depth` directories."""
    prefix = b""
    prefixes = [prefix]
    digest = hashlib.sha256(name).digest()
    for byte in digest[:depth]:
        prefix += b"~%02x/" % byte
        prefixes.append(prefix)
    return prefixes


def apply(
    trees: TreeWriter,
    tree_id: str | None,
    changes: Changes,
    replaced: list[TreeEntry],
) -> str | None:
    """Make changes to a directory, and return its new tree; None if the directory is then empty.

    Args:
        trees: Reads and writes the trees.
        tree_id: The directory's tree; None if the directory does not exist yet.
        changes: The changes to make.
        replaced: If a change replaces a foreign entry, the entry is added to this list.
    """
    resolved: _Lines = {}
    for name, change in changes.items():
        if change is None or isinstance(change, TreeEntry):
            resolved[name] = change
            continue
        old: TreeEntry | None = None
        if tree_id is not None:
            old = find(trees, tree_id, name)
        below = apply(trees, _tree_of(old), change, replaced)
        resolved[name] = _directory(name, below)
    return _Rewriting(trees, replaced).level(tree_id, resolved, 0)


def _tree_of(entry: TreeEntry | None) -> str | None:
    """Return the tree of a directory's entry; None if the entry is not a directory."""
    if entry is None or not entry.is_tree:
        return None
    return entry.id


def _directory(name: bytes, tree_id: str | None) -> TreeEntry | None:
    """Return the entry of a directory; None if the directory has no tree."""
    if tree_id is None:
        return None
    return TreeEntry.of(name, TREE_MODE, tree_id)


class _Rewriting(NamedTuple):
    """One directory that is being rewritten.

    Attributes:
        trees: Reads and writes the trees.
        replaced: If a change replaces a foreign entry, the entry is added to this list.
    """

    trees: TreeWriter
    replaced: list[TreeEntry]

    def level(
        self,
        tree_id: str | None,
        changes: _Lines,
        depth: int,
    ) -> str | None:
        """Rewrite one level of the fan-out, and return its tree; None if the level is then empty.

        Args:
            tree_id: The level's tree; None if the level does not exist yet.
            changes: The changes to make on this level and below.
            depth: The number of fan-out directories above this level.
        """
        lines = self._untouched(tree_id, changes)
        fans = {line.name: line for line in lines if _is_fan(line)}
        added = [entry for entry in changes.values() if entry is not None]
        if not fans and _fit(lines, added):
            return self._write([*lines, *added], tree_id)
        moved: _Lines = {}
        if not fans:  # split the level; only foreign entries stay
            moved = {line.name: line for line in lines if not why_foreign(line)}
        leaving = moved.keys() | fans.keys()
        kept = [line for line in lines if line.name not in leaving]
        moved.update(changes)
        for name, inside in _by_fan(moved, depth).items():
            old = fans.pop(name, None)
            below = self.level(_tree_of(old), inside, depth + 1)
            fan = _directory(name, below)
            if fan is not None:
                kept.append(fan)
        return self._write([*kept, *fans.values()], tree_id)

    def _untouched(
        self,
        tree_id: str | None,
        changes: _Lines,
    ) -> list[TreeEntry]:
        """Return the lines of a level whose names are not among the changes."""
        if tree_id is None:
            return []
        kept: list[TreeEntry] = []
        for line in self.trees.tree(tree_id):
            if line.name not in changes:
                kept.append(line)
            elif why_foreign(line):
                self.replaced.append(line)
        return kept

    def _write(self, lines: list[TreeEntry], like: str | None) -> str | None:
        if not lines:
            return None
        return self.trees.add_tree(lines, like)


def _by_fan(
    changes: _Lines,
    depth: int,
) -> dict[bytes, _Lines]:
    """Group changes by the fan-out directory to which each name belongs at a given depth."""
    fans: dict[bytes, _Lines] = {}
    for name, entry in changes.items():
        digest = hashlib.sha256(name).digest()
        fan = b"~%02x" % digest[depth]
        fans.setdefault(fan, {})[name] = entry
    return fans


def _walk(
    trees: Trees,
    tree_id: str,
    depth: int,
    foreign: list[Foreign],
    path: bytes,
) -> Iterator[TreeEntry]:
    """Yield the entries on and below one level, deeper entries first, without foreign entries.

    If two entries have the same name, callers use the first entry, which is the deeper entry.
    """
    lines = trees.tree(tree_id)
    for line in lines:
        if _is_fan(line) and depth < _MAX_FAN_DEPTH:
            place = path + line.name + b"/"
            yield from _walk(trees, line.id, depth + 1, foreign, place)
    for line in lines:
        if _is_fan(line):
            continue
        why = why_foreign(line)
        if why:
            foreign.append(Foreign(path + line.name, why))
        else:
            yield line


def is_fan_name(name: bytes) -> bool:
    """Return whether a directory of this name is part of its parent's fan-out."""
    return name in FAN_NAMES


def _is_fan(entry: TreeEntry) -> bool:
    return entry.name in FAN_NAMES and entry.is_tree


def _fit(lines: list[TreeEntry], added: list[TreeEntry]) -> bool:
    """Return whether a level has room for more lines. Foreign entries are not counted."""
    room = SPLIT_PAST - len(added)
    if len(lines) <= room:
        return True
    return sum(line.is_ours for line in lines) <= room


def why_foreign(entry: TreeEntry) -> str:
    """Return why csc-git can't have made an entry; empty if csc-git can have made it."""
    if not entry.is_ours:
        return f"mode {entry.mode:06o}"
    if _is_fan(entry):
        return ""
    try:
        decode(entry.name, directory=entry.is_tree)
    except ValueError:
        return "the name is not an encoded name"
    return ""
