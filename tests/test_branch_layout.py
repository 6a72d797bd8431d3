"""The layout of the branch: fan-out, foreign entries, and the exact files and bytes."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from csc_git.core.edit import Record
from csc_git.core.key import Key
from csc_git.core.value import Entry
from csc_git.errors import UnreadableValue
from csc_git.git.objects.batch import Batch
from csc_git.git.objects.commit import Signature
from csc_git.git.objects.tree import FILE_MODE, TreeEntry
from csc_git.git.repository import Repository
from csc_git.store.transaction import with_changes
from csc_git.store.tree.layout import Foreign, apply, entries, find, spellings
from csc_git.store.tree.snapshot import Snapshot
from tests.by_hand import check_out_branch
from tests.credentials import AWS_KEY_ID
from tests.world import (
    REF,
    World,
    check_pushed_objects,
    git,
    put,
    state_of,
)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.open(tmp_path / "csc", lambda: "sha1", "csc/state")


def _file(number: int) -> bytes:
    return b"k%d.json" % number


def _put_files(
    batch: Batch, tree: str | None, numbers: range, blob: str
) -> str | None:
    files = {_file(n): TreeEntry.of(_file(n), FILE_MODE, blob) for n in numbers}
    return apply(batch, tree, files, [])


def test_a_directory_splits_past_256_names(
    repository: Repository,
) -> None:
    batch = repository.batch()
    blob = batch.add_blob(b"x")
    tree = _put_files(batch, None, range(256), blob)
    assert tree
    assert len(batch.tree(tree).lines) == 256
    tree = _put_files(batch, tree, range(256, 257), blob)
    assert tree
    assert all(line.name.startswith(b"~") for line in batch.tree(tree))
    assert sum(1 for _ in entries(batch, tree)) == 257
    gone = dict.fromkeys(map(_file, range(256)))
    tree = apply(batch, tree, gone, [])
    assert tree
    assert [line.name[:1] for line in batch.tree(tree)] == [b"~"]
    assert apply(batch, tree, {_file(256): None}, []) is None


def test_a_big_directory_splits_twice(repository: Repository) -> None:
    batch = repository.batch()
    blob = batch.add_blob(b"x")
    tree = _put_files(batch, None, range(70_000), blob)
    assert tree
    assert len(batch.tree(tree).lines) == 256
    depths = {_depth(batch, tree, _file(n)) for n in range(0, 70_000, 997)}
    assert depths == {
        1,
        2,
    }  # some first bytes have more than 256 names, others have not
    for number in (0, 1, 69_999):
        assert find(batch, tree, _file(number))
    assert find(batch, tree, b"absent.json") is None
    assert sum(1 for _ in entries(batch, tree)) == 70_000


def _depth(batch: Batch, tree: str, name: bytes) -> int:
    for depth, spelling in enumerate(spellings((name,), 3)):
        place: str | None = tree
        for part in spelling.split(b"/"):
            lines = (
                {line.name: line for line in batch.tree(place)} if place else {}
            )
            place = lines[part].id if part in lines else None
        if place:
            return depth
    raise AssertionError(name)


def test_both_layouts_are_read_and_duplicates_reported(
    repository: Repository,
) -> None:
    batch = repository.batch()
    old, new = batch.add_blob(b"flat"), batch.add_blob(b"split")
    tree = _put_files(batch, None, range(300), new)
    assert tree
    flat = TreeEntry.of(_file(7), FILE_MODE, old)
    mixed = batch.add_tree((flat, *batch.tree(tree)))
    found = find(batch, mixed, _file(7))
    assert found
    assert found.id == new
    foreign: list[Foreign] = []
    assert len(list(entries(batch, mixed, foreign))) == 300
    assert len(foreign) == 1
    removed = apply(batch, mixed, {_file(7): None}, [])
    assert removed
    assert (
        find(batch, removed, _file(7)) is None
    )  # the flat one doesn't come back


awkward_keys = st.builds(
    Key,
    st.lists(
        st.sampled_from(["a", "B", "ü", ".x", "con", "z" * 120]),
        min_size=1,
        max_size=3,
    ).map(tuple),
    st.sampled_from(
        ["k", "K", "k.json", "~ab", "y" * 200, *map(str, range(20))]
    ),
)

changes = st.lists(
    st.dictionaries(awkward_keys, st.booleans(), max_size=30), max_size=6
)


@given(changes)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
    max_examples=60,
)
def test_a_tree_behaves_like_a_dictionary(
    repository: Repository, edits: list[dict[Key, bool]]
) -> None:
    """After any puts and removals, a snapshot has what a plain dictionary has."""
    batch, model = repository.batch(), dict[Key, int]()
    who = Signature("a", "b", datetime(2026, 1, 1, tzinfo=UTC))
    snapshot = Snapshot(batch, None)
    for number, edit in enumerate(edits):
        blobs: dict[Key, str | None] = {}
        for key, present in edit.items():
            full = (":".join(key.scope), key.name) if key.is_cut else None
            entry = Entry(number, "s", who.time, full_name=full)
            blobs[key] = batch.add_blob(entry.encode()) if present else None
            model.pop(key, None)
            if present:
                model[key] = number
        tree = with_changes(batch, snapshot, blobs, [])
        commit = batch.add_commit(tree, snapshot.commit, who, who, "x")
        snapshot = Snapshot(batch, commit)
    found = {key for scope in snapshot.scopes() for key in snapshot.keys(scope)}
    assert found == set(model)
    for key, number in model.items():
        stored = snapshot.get(key)
        assert stored
        assert stored.entry.value == number
    assert not list(snapshot.foreign())


def test_the_branch_has_these_files_and_bytes(world: World) -> None:
    one = world.open("one")
    put(one, "issue:15", "Status", {"b": 1, "a": "é"})
    assert state_of(one) == "ok"
    files = git(
        "ls-tree", "-r", "--name-only", REF, cwd=world.remote
    ).splitlines()
    assert files == ["README.md", "data/issue/15/+status.json", "format.json"]
    content = json.loads(git("show", f"{REF}:format.json", cwd=world.remote))
    assert content["format"] == 1
    assert content["previous"] is None
    text = git("show", f"{REF}:data/issue/15/+status.json", cwd=world.remote)
    lines = text.splitlines()
    assert lines[:6] == [
        "{", '  "value": {', '    "a": "é",', '    "b": 1', "  },", '  "session": "tester@one",',
    ]  # fmt: skip
    assert lines[6].startswith('  "time": "20')
    message = git("log", "-1", "--format=%an|%ae|%cn|%B", REF, cwd=world.remote)
    assert message.startswith(
        "tester@one|test@example.com|one|store issue:15/Status\n\nCsc-Op: "
    )
    root = git("rev-list", "--max-parents=0", REF, cwd=world.remote)
    assert git("ls-tree", "--name-only", root, cwd=world.remote).splitlines() == [
        "README.md", "format.json",
    ]  # fmt: skip


def test_foreign_entries_are_skipped_reported_and_kept(world: World) -> None:
    one = world.open("one")
    put(one, "a", "b", 1)
    assert state_of(one) == "ok"
    hand = world.directory / "hand"
    check_out_branch(world, hand)
    data = hand / "data" / "a"
    (data / "not json.json").write_text("x")
    (data / "UPPER.json").write_text("{}")
    (data / "broken.json").write_text("{")
    (data / "nan.json").write_text(
        '{"value": NaN, "session": "x", "time": "y"}'
    )
    (data / "run.json").write_text("{}")
    (data / "run.json").chmod(0o755)
    (data / "link.json").symlink_to("/etc/passwd")
    (data / "\u202egpj.json").write_text("{}")
    (hand / "data" / "a.b").mkdir()
    (hand / "data" / "a.b" / "x.json").write_text("{}")
    git("add", "-A", cwd=hand)
    git("commit", "-q", "-m", "\x1b[31mhand made", cwd=hand)
    git("push", "-q", cwd=hand)

    assert state_of(one) == "ok"
    assert one.values.list_keys("a").keys == ["b", "broken", "nan"]
    with pytest.raises(UnreadableValue):
        one.values.retrieve("a", "broken")
    report = "\n".join(one.summary.status().foreign)
    for name in (
        "not json.json",
        "UPPER.json",
        "broken.json",
        "nan.json",
        "run.json",
        "link.json",
    ):
        assert name in report
    assert "data/a.b" in report
    assert "\u202e" not in report
    assert one.summary.status().keys == 3
    put(one, "a", "c", 2)
    assert state_of(one) == "ok"
    kept = git(
        "ls-tree", "-r", "--name-only", "-z", REF, cwd=world.remote
    ).split("\0")
    assert "data/a/link.json" in kept
    assert "data/a/run.json" in kept
    put(
        one, "a", "link", 3
    )  # a write replaces a foreign entry at its path, and its subject names it
    assert state_of(one) == "ok"
    assert "in place of 120000 link.json" in git(
        "log", "-1", "--format=%s", REF, cwd=world.remote
    )
    assert one.values.retrieve("a", "link").value == 3


def test_an_edit_names_the_foreign_entry_it_replaces(
    world: World,
) -> None:
    one = world.open("one")
    put(one, "z", "k", 0, confirm=True)
    place = world.directory / "hand"
    check_out_branch(world, place)
    (place / "data" / "issue").write_text("a note of a person")
    (place / "data" / "z" / "status.json").mkdir()
    (place / "data" / "z" / "status.json" / "deep").write_text("precious")
    git("add", ".", cwd=place)
    git("commit", "-qm", "by hand", cwd=place)
    git("push", "-q", cwd=place)
    assert state_of(one) == "ok"
    for scope, name in (
        ("issue:15", "100644 issue"),
        ("z", "040000 status.json"),
    ):
        put(one, scope, "status", 1, confirm=True)
        assert f"in place of {name}" in git(
            "log", "-1", "--format=%s", REF, cwd=world.remote
        )


@pytest.mark.parametrize(
    "character", ["\0", "\x1b", "\x07", "\n", "\x85", "\u2028", "\x7f"]
)
def test_no_control_character_gets_into_a_commit(
    world: World, character: str
) -> None:
    check_pushed_objects(world)
    one = world.open("one")
    one.authors.sign_on()
    author = one.authors.session(None)
    reason = f"from{character}the docs\nCsc-Kind: claim"
    one.edits.put(author, "s", "b", AWS_KEY_ID, allow_secret=reason)
    one.claims.claim(None, ["src"], note=f"a note{character}that goes on")
    assert state_of(one) == "ok"
    assert not one.store.branch.parked()
    messages = git("log", "--format=%B", "-z", REF, cwd=world.remote).split(
        "\0"
    )
    for raw in filter(str.strip, messages):
        record = Record.parse(raw)
        assert record is not None
        assert record.kind != "claim" or record.subject.startswith("claim ")
        assert not any(ord(c) < 32 and c != "\n" for c in raw)
