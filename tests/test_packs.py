"""Packs that we write and read: git agrees with every byte of them."""

import os
from pathlib import Path

import pytest
from dulwich.object_format import DEFAULT_OBJECT_FORMAT
from dulwich.pack import apply_delta
from hypothesis import given
from hypothesis import strategies as st

from csc_git.core.value import MAX_FILE
from csc_git.errors import ValueTooLarge
from csc_git.git.objects.database import ObjectDatabase
from csc_git.git.objects.packing import (
    BLOB,
    COMMIT,
    TREE,
    NewObject,
    object_id,
    pack_up,
    splice,
    unpack,
)
from csc_git.git.objects.tree import FILE_MODE, TreeEntry
from csc_git.git.repository import Repository
from tests.world import git


@given(
    st.binary(max_size=300),
    st.binary(max_size=300),
    st.binary(max_size=300),
    st.binary(),
)
def test_a_splice_turns_the_old_text_into_the_new(
    start: bytes, old: bytes, new: bytes, end: bytes
) -> None:
    before, after = start + old + end, start + new + end
    assert b"".join(apply_delta(before, splice(before, after))) == after


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 65_535, 65_536, 200_000])
def test_a_splice_works_at_any_length(size: int) -> None:
    same, other = os.urandom(size), os.urandom(size)
    for before, after in (
        (same + b"x", same + b"y"),
        (b"x" + same, b"y" + same),
        (same, other),
    ):
        assert b"".join(apply_delta(before, splice(before, after))) == after


@given(
    st.lists(
        st.tuples(st.sampled_from([BLOB, TREE, COMMIT]), st.binary()),
        min_size=1,
    )
)
def test_a_pack_unpacks_to_its_objects(
    contents: list[tuple[int, bytes]],
) -> None:
    objects = {
        object_id(kind, raw, DEFAULT_OBJECT_FORMAT): (kind, raw)
        for kind, raw in contents
    }
    new = [NewObject(name, kind, raw) for name, (kind, raw) in objects.items()]
    assert (
        unpack(pack_up(new, DEFAULT_OBJECT_FORMAT).data, DEFAULT_OBJECT_FORMAT)
        == new
    )


@pytest.mark.parametrize("form", ["sha1", "sha256"])
def test_git_reads_our_packs_and_we_read_gits(
    tmp_path: Path, form: str
) -> None:
    repository = Repository.open(tmp_path, lambda: form, "csc/state")
    batch, like, trees = repository.batch(), None, list[str]()
    for number in range(120):  # more than the longest chain of deltas
        name = b"k%d.json" % (number % 30)
        lines = {line.name: line for line in batch.tree(like)} if like else {}
        lines[name] = TreeEntry.of(
            name, FILE_MODE, batch.add_blob(b"%d" % number)
        )
        like = batch.add_tree(lines.values(), like)
        trees.append(like)
    batch.flush()
    (pack,) = (repository.path / "objects/pack").glob("*.pack")
    git("verify-pack", str(pack), cwd=repository.path)
    listing = git("verify-pack", "-v", str(pack), cwd=repository.path)
    assert (
        max(
            int(line.split()[5])
            for line in listing.splitlines()
            if len(line.split()) == 7
        )
        == 40
    )
    for tree in trees:
        listed = git("ls-tree", tree, cwd=repository.path).splitlines()
        read = ObjectDatabase(
            repository.path / "objects", repository.objects.object_format
        )
        assert len(listed) == len(repository.objects.tree(tree).lines)
        assert read.read(tree, MAX_FILE)[0] == TREE
        read.close()
    repository.close()


def test_a_pack_that_inflates_to_a_huge_size_is_not_read(
    tmp_path: Path,
) -> None:
    repository = Repository.open(tmp_path, lambda: "sha1", "csc/state")
    batch = repository.batch()
    bomb = batch.add_blob(bytes(MAX_FILE + 1))
    other = batch.add_blob(b"beside it")
    batch.flush()
    (pack,) = (repository.path / "objects/pack").glob("*.pack")
    assert pack.stat().st_size < 256 << 10
    assert unpack(pack.read_bytes(), DEFAULT_OBJECT_FORMAT) is None
    fresh = Repository.open(tmp_path, lambda: "sha1", "csc/state")
    with pytest.raises(ValueTooLarge):
        fresh.objects.blob(bomb)
    assert fresh.objects.blob(other) == b"beside it"
    fresh.close()
    repository.close()


@pytest.mark.parametrize("at", [4, 11, 12, 13, 20])
def test_a_corrupt_pack_is_reported_as_damaged(at: int) -> None:
    data = bytearray(
        pack_up(
            [NewObject("0" * 40, BLOB, b"x" * 50)], DEFAULT_OBJECT_FORMAT
        ).data
    )
    data[at] ^= 0xFF
    try:
        unpack(bytes(data), DEFAULT_OBJECT_FORMAT)
    except ValueError as error:
        assert "can't be read" in str(error)  # noqa: PT017  some corrupt packs contain other valid objects


def test_trees_take_little_more_than_their_ids(tmp_path: Path) -> None:
    """An edit among 256 keys takes about as much as its tree, whose ids don't compress."""
    repository = Repository.open(tmp_path, lambda: "sha1", "csc/state")
    batch = repository.batch()
    lines = [
        TreeEntry.of(b"k%d.json" % n, FILE_MODE, os.urandom(20).hex())
        for n in range(256)
    ]
    batch.add_tree(lines)
    batch.flush()
    (pack,) = (repository.path / "objects/pack").glob("*.pack")
    assert pack.stat().st_size < 1.1 * sum(len(line.encoded) for line in lines)
    repository.close()
