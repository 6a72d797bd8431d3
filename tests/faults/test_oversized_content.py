"""Hostile content by size: 400 MB in one value, 100,000 foreign entries in one directory."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dulwich.object_format import DEFAULT_OBJECT_FORMAT
from dulwich.objects import RawObjectID
from dulwich.pack import Pack

from csc_git.core.value import MAX_FILE
from csc_git.errors import StoreDamaged
from csc_git.git.objects.sizes import PackedSizes, loose_size
from tests.by_hand import push_tree, tree_with_data_a
from tests.world import ROOT, World, git, put, state_of

MEGABYTES = 256


@pytest.mark.parametrize("packed", [False, True])
def test_a_value_of_400_megabytes_is_never_inflated(
    world: World, tmp_path: Path, packed: bool
) -> None:
    """It is a megabyte on the wire. Inflating it would take all memory."""
    one = world.open("one")
    put(one, "a", "good", 1)
    assert state_of(one) == "ok"
    one.close()
    blob = _huge(world, tmp_path)
    push_tree(world, tree_with_data_a(world, b"100644 big.json\0" + blob))
    if packed:
        git("config", "--global", "fetch.unpackLimit", "1", cwd=tmp_path)
    seen = _use(tmp_path / "one")
    assert seen["states"] == ["ok", "ok", "ok"]
    assert seen["keys"] == ["big", "new"]
    assert seen["unreadable"]
    assert seen["foreign"] == ["data/a/big.json: the file is not an entry"]
    assert seen["value"] == 3  # it can be written over
    assert seen["megabytes"] < MEGABYTES
    assert seen["of git"] < MEGABYTES


def _huge(world: World, directory: Path) -> bytes:
    path = directory / "huge"
    with path.open("wb") as file:
        file.write(b'{"value": "')
        for _ in range(400):
            file.write(b"0" * (1 << 20))
        file.write(b'", "session": "x", "time": "2026-01-01T00:00:00.000000Z"}')
    made = git(
        "-c",
        "core.bigFileThreshold=1m",
        "hash-object",
        "-w",
        str(path),
        cwd=world.remote,
    )
    path.unlink()
    return bytes.fromhex(made)


def _use(clone: Path) -> dict[str, Any]:
    """Fetch, read and write in a process of its own; what it saw, and how much memory it took."""
    command = [sys.executable, "-c", _USE, str(clone)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


_USE = """
import json, resource, sys
from pathlib import Path
from csc_git.coordinator.factory import open_coordinator
from csc_git.errors import UnreadableValue
one = open_coordinator(Path(sys.argv[1]), {"timeout": 120, "machine": "one"})
author, states = one.authors.person("tester"), [str(one.syncing.sync().state)]
seen = {"foreign": one.summary.status().foreign}
try:
    one.values.retrieve("a", "big")
except UnreadableValue:
    seen["unreadable"] = True
one.edits.put(author, "a", "new", 2)
states.append(str(one.syncing.sync().state))
seen["keys"] = one.values.list_keys("a").keys
one.past.history("a")
one.edits.put(author, "a", "big", 3)
states.append(str(one.syncing.sync().state))
seen |= {"value": one.values.retrieve("a", "big").value, "states": states}
for name, who in (("megabytes", resource.RUSAGE_SELF), ("of git", resource.RUSAGE_CHILDREN)):
    seen[name] = resource.getrusage(who).ru_maxrss // 1024
print(json.dumps(seen))
"""


def test_object_sizes_agree_with_git(world: World, tmp_path: Path) -> None:
    """Of whole objects, of deltas, and of small ones cut from large ones."""
    clone = world.clone("one")
    big = "\n".join(str(n * n) for n in range(40_000))
    for text in (big, big + "end", big[: len(big) // 2], "small", big[:1000]):
        (clone / "file.txt").write_text(text, "utf-8")
        git("commit", "-qam", "x", cwd=clone)
    loose = _sizes(clone)
    for name, size in loose.items():
        path = clone / ".git/objects" / name[:2] / name[2:]
        assert loose_size(path) == size
    assert loose_size(tmp_path / "nothing") == 0
    git("repack", "-adfq", "--depth=50", "--window=50", cwd=clone)
    (found,) = (clone / ".git/objects/pack").glob("*.pack")
    sizes = PackedSizes()
    chains = git("verify-pack", "-v", str(found), cwd=clone)
    with Pack(
        str(found.with_suffix("")), object_format=DEFAULT_OBJECT_FORMAT
    ) as pack:
        for name, size in _sizes(clone).items():
            inflated = sizes.inflated(pack, RawObjectID(bytes.fromhex(name)))
            line = next(
                line for line in chains.splitlines() if line.startswith(name)
            )
            is_delta = len(line.split()) > 5
            assert inflated >= size if is_delta else inflated == size
        tail = git("hash-object", str(clone / "file.txt"), cwd=clone)
        assert sizes.inflated(pack, RawObjectID(bytes.fromhex(tail))) >= 1000
    sizes.close()


def _sizes(repository: Path) -> dict[str, int]:
    listed = git(
        "cat-file", "--batch-all-objects", "--batch-check", cwd=repository
    )
    rows = (line.split() for line in listed.splitlines())
    return {name: int(size) for name, _, size in rows}


def test_a_directory_too_large_to_read_is_reported(world: World) -> None:
    one = world.open("one")
    put(one, "a", "good", 1)
    assert state_of(one) == "ok"
    nothing = bytes.fromhex(
        git("hash-object", "-w", "-t", "blob", "/dev/null", cwd=world.remote)
    )
    lines = b"".join(
        b"100644 stray%025d\0" % n + nothing for n in range(300_000)
    )
    assert len(lines) > MAX_FILE
    push_tree(world, tree_with_data_a(world, lines))
    assert state_of(one) == "ok"
    put(one, "b", "mine", 1)
    assert state_of(one) == "ok"
    assert one.values.list_scopes().scopes == ["b"]
    assert one.values.retrieve("b", "mine").value == 1
    (line,) = one.summary.status().foreign
    assert "bytes to read" in line
    with pytest.raises(StoreDamaged, match="bytes to read"):
        put(one, "a", "k", 1)


def test_100_000_foreign_entries_are_skipped_and_kept(world: World) -> None:
    one = world.open("one")
    put(one, "a", "good", 1)
    assert state_of(one) == "ok"
    nothing = bytes.fromhex(
        git("hash-object", "-w", "-t", "blob", "/dev/null", cwd=world.remote)
    )
    lines = b"".join(
        b"100644 stray%06d\0" % n + nothing for n in range(100_000)
    )
    push_tree(world, tree_with_data_a(world, lines))
    assert state_of(one) == "ok"
    assert one.values.list_keys("a").keys == []
    put(one, "a", "mine", 1)
    assert state_of(one) == "ok"
    assert one.values.retrieve("a", "mine").value == 1
    status = one.summary.status()
    assert status.foreign_count == 100_000
    assert len(status.to_text()) < 20_000
    here = git("ls-tree", "csc/state:data/a", cwd=one.store.repository.path)
    assert here.count("stray") == 100_000  # kept
