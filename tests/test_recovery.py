"""The remote's branch was rewound, rewritten, deleted or replaced: what was confirmed is not lost.

Nothing is decided without a person. Each decision keeps the values of both sides, or names the
commit that has those of the other side.
"""

import shutil
import time
from pathlib import Path

import pytest

from csc_git.coordinator.coordinator import Coordinator
from csc_git.store.sync.recovery import Permit
from tests.by_hand import check_out_branch
from tests.inside import fail_pushes
from tests.world import REF, World, git, put, state_of


def remote_tip(world: World) -> str:
    return git("rev-parse", REF, cwd=world.remote)


def rewound(world: World, *clones: Coordinator) -> str:
    """Have two keys confirmed, and rewind the remote by the second one's edit; its old tip."""
    one = clones[0]
    put(one, "s", "old", 1)
    assert [state_of(clone) for clone in clones] == ["ok"] * len(clones)
    backup = remote_tip(world)
    put(one, "s", "today", "confirmed")
    assert [state_of(clone) for clone in clones] == ["ok"] * len(clones)
    lost = remote_tip(world)
    git("update-ref", REF, backup, cwd=world.remote)
    return lost


def read(coordinator: Coordinator, key: str, scope: str = "s") -> object:
    return coordinator.values.retrieve(scope, key).value


def test_a_rewound_remote_is_reported_as_behind(world: World) -> None:
    one, two = world.open("one"), world.open("two")
    rewound(world, one, two)
    for clone in (one, two):
        status = clone.syncing.sync()
        assert (status.state, "1 confirmed edit" in status.detail) == (
            "remote-behind",
            True,
        )
        assert read(clone, "today") == "confirmed"
    shown = one.summary.decision(one.store.divergence())
    assert (shown.lost_count, shown.only_here) == (1, ["s/today"])
    assert shown.lost[0].subject == "store s/today"


def test_restoring_pushes_the_same_commits_again(world: World) -> None:
    one, two = world.open("one"), world.open("two")
    lost = rewound(world, one, two)
    assert one.syncing.sync(permit=Permit(restore=True)).state == "ok"
    assert remote_tip(world) == lost
    assert state_of(two) == "ok"
    assert read(two, "today") == "confirmed"


def test_restoring_keeps_queued_edits(world: World) -> None:
    one, two = world.open("one"), world.open("two")
    rewound(world, one, two)
    op = put(one, "s", "queued", 1)
    assert one.syncing.sync(permit=Permit(restore=True)).state == "ok"
    assert one.store.fate(op).where == "synced"
    assert state_of(two) == "ok"
    assert [read(two, key) for key in ("old", "today", "queued")] == [
        1,
        "confirmed",
        1,
    ]


def test_restoring_merges_with_later_pushes(world: World) -> None:
    one = world.open("one")
    rewound(world, one)
    new = world.open("new")
    put(new, "s", "new", "other")
    put(new, "s", "today", "another value")
    assert state_of(new) == "ok"
    assert state_of(one) == "history-rewritten"
    assert one.syncing.sync(permit=Permit(restore=True)).state == "ok"
    assert state_of(new) == "ok"
    for clone in (one, new):
        assert read(clone, "new") == "other"
        assert read(clone, "today") == "another value"  # the later one
        (conflict,) = clone.conflicts.open()
        assert conflict.lost.value == "confirmed"


def test_an_interrupted_restore_is_completed_by_a_sync(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = world.open("one")
    lost = rewound(world, one)

    with monkeypatch.context() as patched:
        fail_pushes(patched, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            one.syncing.sync(permit=Permit(restore=True))
    assert (
        state_of(one) == "ok"
    )  # the person has decided, and the base was moved back
    assert remote_tip(world) == lost


def test_values_dropped_by_a_rewrite_can_be_read_at_its_commit(
    world: World,
) -> None:
    one, other = world.open("one"), world.open("other")
    rewound(world, one)
    put(other, "s", "other", 1)
    assert state_of(other) == "ok"
    assert state_of(one) == "history-rewritten"
    kept = one.store.branch.tip
    assert one.syncing.sync(permit=Permit(rewrite=True)).state == "ok"
    assert one.values.retrieve("s", "today").found is False
    assert one.values.retrieve("s", "today", at=kept).value == "confirmed"
    assert kept in one.store.repository.refs("refs/csc/kept/").values()


def test_an_interrupted_rewrite_needs_no_second_decision(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = world.open("one"), world.open("other")
    rewound(world, one)
    put(other, "s", "other", 1)
    assert state_of(other) == "ok"
    set_ref, moved = one.store.repository.set_ref, list[str]()

    def dies_after_one(name: str, *more: object) -> None:
        if moved and name.startswith(("refs/heads/", "refs/csc/base/")):
            raise KeyboardInterrupt
        set_ref(name, *more)  # type: ignore[arg-type]
        moved.extend([name] if name.startswith("refs/heads/") else [])

    with monkeypatch.context() as patched:
        patched.setattr(one.store.repository, "set_ref", dies_after_one)
        with pytest.raises(KeyboardInterrupt):
            one.syncing.sync(permit=Permit(rewrite=True))
    assert state_of(one) == "ok"
    assert one.values.retrieve("s", "today").found is False
    assert read(one, "other") == 1


def test_recreating_from_an_older_clone_loses_nothing(
    world: World,
) -> None:
    ahead, behind = world.open("ahead"), world.open("behind")
    put(ahead, "s", "k", 1)
    assert [state_of(ahead), state_of(behind)] == ["ok", "ok"]
    put(ahead, "s", "newer", 2)
    assert state_of(ahead) == "ok"
    git("update-ref", "-d", REF, cwd=world.remote)
    assert behind.syncing.sync(permit=Permit(recreate=True)).state == "ok"
    assert state_of(ahead) == "remote-behind"
    assert ahead.syncing.sync(permit=Permit(restore=True)).state == "ok"
    assert state_of(behind) == "ok"
    assert read(behind, "newer") == 2


def test_a_new_clone_makes_no_second_store(
    world: World, tmp_path: Path
) -> None:
    """The branch existed when the project was cloned, and was deleted from the remote since."""
    one = world.open("one")
    put(one, "s", "k", "from the first store")
    assert state_of(one) == "ok"
    path = tmp_path / "new"
    git("clone", "-q", str(world.remote), str(path), cwd=tmp_path)
    git("update-ref", "-d", REF, cwd=world.remote)
    new = world.open(path)
    put(new, "s", "new", 1)
    status = new.syncing.sync()
    assert status.state == "branch-deleted"
    assert "refs/remotes/origin/csc/state" in status.detail
    assert new.syncing.sync(permit=Permit(recreate=True)).state == "ok"
    assert state_of(one) == "ok"  # one store, not two
    assert [read(one, key) for key in ("k", "new")] == [
        "from the first store",
        1,
    ]


def test_a_rotated_branch_shows_that_a_store_existed(
    world: World,
) -> None:
    one = world.open("one")
    put(one, "s", "k", 1)
    assert state_of(one) == "ok"
    one.syncing.rotate()
    git("update-ref", "-d", REF, cwd=world.remote)
    new = world.open("new")
    put(new, "s", "new", 1)
    assert state_of(new) == "branch-deleted"


def two_stores(world: World) -> tuple[Coordinator, Coordinator]:
    """Two stores of one project: the first one's branch was deleted, and made again."""
    first = world.open("first")
    put(first, "s", "first", 1)
    put(first, "s", "both", "from first")
    put(first, "s", "object", {"a": 1})
    assert state_of(first) == "ok"
    git("update-ref", "-d", REF, cwd=world.remote)
    second = world.open("second")
    put(second, "s", "second", 2)
    put(second, "s", "both", "from second, later")
    put(second, "s", "object", {"b": 2})
    assert state_of(second) == "ok"
    assert state_of(first) == "other-store"
    return first, second


def test_joining_two_stores_keeps_the_values_of_both(world: World) -> None:
    first, second = two_stores(world)
    op = put(first, "s", "queued", "never confirmed")
    first.syncing.sync()
    assert first.syncing.sync(permit=Permit(join=True)).state == "ok"
    assert first.store.fate(op).where == "synced"
    assert state_of(second) == "ok"
    for clone in (first, second):
        assert [read(clone, key) for key in ("first", "second", "queued")] == [
            1, 2, "never confirmed",
        ]  # fmt: skip
        assert read(clone, "both") == "from second, later"
        assert read(clone, "object") == {"a": 1, "b": 2}
        (conflict,) = clone.conflicts.open()
        assert (conflict.lost.value, conflict.key) == ("from first", "both")
    assert world.is_linear()
    before = remote_tip(world)
    assert [state_of(first), state_of(second)] == ["ok", "ok"]
    assert remote_tip(world) == before


def test_two_stores_are_joined_only_on_request(world: World) -> None:
    first, _ = two_stores(world)
    before = remote_tip(world)
    for permit in (
        Permit(),
        Permit(rewrite=True),
        Permit(restore=True),
        Permit(recreate=True),
    ):
        assert first.syncing.sync(permit=permit).state == "other-store"
    assert (remote_tip(world), read(first, "first")) == (before, 1)


@pytest.mark.parametrize("rotations", [0, 1, 2])
def test_a_rotation_changes_no_replay_outcome(
    world: World, rotations: int
) -> None:
    """A deletion that is later than an offline edit wins, with or without a rotation after it."""
    one, two = world.open("one"), world.open("two")
    put(one, "s", "k", "v1")
    put(one, "s", "other", "v1")
    assert [state_of(one), state_of(two)] == ["ok", "ok"]
    put(one, "s", "k", "v2, offline, earlier")
    until = int(time.time()) + 1  # a deletion is timed in whole seconds
    while time.time() < until + 0.01:
        pass
    two.edits.delete(two.authors.person("tester"), "s", "k")
    assert state_of(two) == "ok"
    for number in range(rotations):
        two.syncing.rotate()
        put(two, "s", "between", number)
        assert state_of(two) == "ok"
    assert [state_of(one), state_of(two)] == ["ok", "ok"]
    for clone in (one, two):
        assert clone.values.retrieve("s", "k").found is False
        (conflict,) = clone.conflicts.open()
        assert conflict.lost.value == "v2, offline, earlier"


def test_a_remote_restored_from_a_backup_can_be_completed(
    world: World, tmp_path: Path
) -> None:
    one, two = world.open("one"), world.open("two")
    put(one, "s", "old", 1)
    assert [state_of(one), state_of(two)] == ["ok", "ok"]
    shutil.copytree(world.remote, tmp_path / "backup.git")
    put(two, "s", "today", 2)
    assert [state_of(two), state_of(one)] == ["ok", "ok"]
    shutil.rmtree(world.remote)
    (tmp_path / "backup.git").rename(world.remote)
    put(two, "s", "later", 3)
    assert state_of(two) == "remote-behind"
    assert two.syncing.sync(permit=Permit(restore=True)).state == "ok"
    assert state_of(one) == "ok"
    assert [read(one, key) for key in ("old", "today", "later")] == [1, 2, 3]


def edited_by_hand(world: World, text: str) -> None:
    """Change `s/today` as somebody does on the host's web page."""
    work = world.directory / "by-hand"
    check_out_branch(world, work)
    file = work / "data" / "s" / "today.json"
    file.write_text(file.read_text().replace("confirmed", text))
    git("commit", "-qam", "Update today.json", cwd=work)
    git("push", "-q", cwd=work)


def test_restoring_keeps_hand_edits(world: World) -> None:
    one = world.open("one")
    put(one, "s", "old", 1)
    put(one, "s", "today", "confirmed")
    assert state_of(one) == "ok"
    backup = remote_tip(world)
    edited_by_hand(world, "by hand")
    assert state_of(one) == "ok"
    git("update-ref", REF, backup, cwd=world.remote)
    new = world.open("new")
    put(new, "s", "other", 1)
    assert state_of(new) == "ok"
    assert state_of(one) == "history-rewritten"
    assert one.syncing.sync(permit=Permit(restore=True)).state == "ok"
    assert read(one, "today") == "by hand"


def test_a_restore_interrupted_between_refs_repeats_no_edit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = world.open("one"), world.open("two")
    rewound(world, one)
    put(two, "s", "x", 1)
    assert state_of(two) == "ok"
    set_ref, moved = one.store.repository.set_ref, list[str]()

    def dies_after_the_tip(name: str, *more: object) -> None:
        if moved and name.startswith("refs/csc/base/"):
            raise KeyboardInterrupt
        set_ref(name, *more)  # type: ignore[arg-type]
        moved.extend([name] if name.startswith("refs/heads/") else [])

    with monkeypatch.context() as patched:
        patched.setattr(one.store.repository, "set_ref", dies_after_the_tip)
        with pytest.raises(KeyboardInterrupt):
            one.syncing.sync(permit=Permit(restore=True))
    put(two, "s", "y", 1)
    assert state_of(two) == "ok"
    if state_of(one) != "ok":
        assert one.syncing.sync(permit=Permit(restore=True)).state == "ok"
    ops = [record.op for record in world.log()]
    assert len(ops) == len(set(ops))
    assert read(one, "today") == "confirmed"


def test_two_clones_that_join_keep_all_values(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = world.open("one"), world.open("two")
    for number in range(5):
        put(one, "s", f"k{number}", number)
    assert [state_of(one), state_of(two)] == ["ok", "ok"]
    git("update-ref", "-d", REF, cwd=world.remote)
    new = world.open("new")
    put(new, "s", "k0", "another value")
    assert [state_of(new), state_of(one)] == ["ok", "other-store"]
    with monkeypatch.context() as patched:  # the first one's push fails
        fail_pushes(patched, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            two.syncing.sync(permit=Permit(join=True))
    put(new, "s", "k1", "meanwhile")
    assert state_of(new) == "ok"
    assert one.syncing.sync(permit=Permit(join=True)).state == "ok"
    assert state_of(two) == "ok"
    assert state_of(one) == "ok"
    for clone in (one, two):
        assert [read(clone, f"k{number}") for number in (2, 3, 4)] == [2, 3, 4]
        assert {conflict.key for conflict in clone.conflicts.open()} == {
            "k0",
            "k1",
        }


def test_recreating_includes_what_a_killed_sync_had_confirmed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = world.open("one"), world.open("two")
    put(one, "s", "old", 1)
    assert [state_of(one), state_of(two)] == ["ok", "ok"]
    put(two, "s", "others", 2)
    assert state_of(two) == "ok"
    set_ref = one.store.repository.set_ref

    def dies_before_the_tip(name: str, *more: object) -> None:
        if name.startswith("refs/heads/"):
            raise KeyboardInterrupt
        set_ref(name, *more)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(one.store.repository, "set_ref", dies_before_the_tip)
        with pytest.raises(KeyboardInterrupt):
            one.syncing.sync()
    git("update-ref", "-d", REF, cwd=world.remote)
    assert one.syncing.sync(permit=Permit(recreate=True)).state == "ok"
    assert read(one, "others") == 2
    assert "store s/others" in [record.subject for record in world.log()]
