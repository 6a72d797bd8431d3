"""Commits that people make on the branch without csc-git."""

import json

import pytest

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.core.clock import format_time
from tests.by_hand import (
    check_out_branch,
    edit_by_hand,
    push_tree,
)
from tests.commands import csc
from tests.world import (
    REF,
    World,
    git,
    put,
    state_of,
)


def test_a_hand_edit_has_its_author_in_history_and_blame(
    world: World,
) -> None:
    one = world.open("one")
    put(one, "s", "k", "by csc-git")
    put(one, "s", "other", 1)
    assert state_of(one) == "ok"
    found = json.loads(git("show", f"{REF}:data/s/k.json", cwd=world.remote))
    commit = edit_by_hand(
        world, "data/s/k.json", json.dumps(found | {"value": "by hand"})
    )
    assert state_of(one) == "ok"
    assert one.values.retrieve("s", "k").value == "by hand"
    newest = one.past.history("s", "k").edits[0]
    assert (newest.session, newest.commit) == ("Ada Lovelace", commit)
    assert newest.changed[0].change == "changed"
    assert one.past.blame("s").keys["k"].session == "Ada Lovelace"
    assert one.past.blame("s").keys["other"].session == "tester@one"
    line = csc(
        "log", "--json", cwd=world.directory / "one"
    ).stdout.splitlines()[0]
    assert json.loads(line)["session"] == "Ada Lovelace"
    put(one, "s", "k", "and on")
    assert state_of(one) == "ok"


def test_a_file_broken_by_hand_is_unreadable_not_deleted(
    world: World,
) -> None:
    one = world.open("one")
    op = put(one, "s", "k", {"good": 1})
    assert state_of(one) == "ok"
    cursor = str(one.feed.now())
    commit = edit_by_hand(world, "data/s/k.json", '{"value": broken')
    assert state_of(one) == "ok"
    with pytest.raises(Exception, match="can't be read") as caught:
        one.values.retrieve("s", "k")
    text = str(caught.value)
    for word in (
        "Ada Lovelace",
        commit[:12],
        "tester@one",
        '{"good": 1}',
        "Store the value again",
    ):
        assert word in text, text
    assert one.values.retrieve(
        "s", "k", at=git("rev-parse", f"{commit}^", cwd=world.remote)
    ).found
    (change,) = one.feed.wait(since=cursor, timeout=0).changes
    assert change.change == "unreadable"
    assert one.past.history("s", "k").edits[0].changed[0].change == "unreadable"
    done = csc("get", "s", "k", cwd=world.directory / "one", code=1)
    assert "has no value" not in done.stderr
    assert one.values.list_keys("s").keys == ["k"]
    assert put(one, "s", "k", {"good": 2})
    assert state_of(one) == "ok"
    assert one.values.retrieve("s", "k").value == {"good": 2}
    assert not one.conflicts.open()
    assert op


def test_a_merge_by_hand_is_no_rewritten_history(world: World) -> None:
    one = world.open("one")
    put(one, "s", "a", 1, confirm=True)
    hand = world.clone("hand")
    git("fetch", "-q", "origin", f"{REF}:by-hand", cwd=hand)
    git("checkout", "-q", "by-hand", cwd=hand)
    git("commit", "-q", "--allow-empty", "-m", "mine", cwd=hand)
    put(one, "s", "b", 2, confirm=True)
    git("pull", "-q", "--no-rebase", "--no-edit", "origin", REF, cwd=hand)
    git("push", "-q", "origin", f"by-hand:{REF}", cwd=hand)
    put(one, "s", "c", 3)
    assert state_of(one) == "ok"
    assert one.values.list_keys("s").keys == ["a", "b", "c"]


def test_a_merge_is_followed_along_its_first_parent(
    world: World, one: Coordinator
) -> None:
    tree = git("rev-parse", f"{REF}^{{tree}}", cwd=world.remote)
    stray = git("commit-tree", tree, "-m", "stray", cwd=world.remote)
    push_tree(world, tree, "merged by hand", stray)
    put(one, "a", "after", 1)
    assert state_of(one) == "ok"
    assert one.values.retrieve("a", "good").value == 1
    assert one.values.retrieve("a", "after").value == 1


def test_a_commit_by_hand_leaves_the_past_readable(world: World) -> None:
    one = world.open("one")
    put(one, "s", "k", "old")
    between = format_time(clock.now())
    put(one, "s", "k", "new", confirm=True)
    place = world.directory / "hand"
    check_out_branch(world, place)
    (place / ".mailmap").write_text(
        "Nobody <n@x> tester@one <test@example.com>\n"
    )
    git("add", ".mailmap", cwd=place)
    git("commit", "-qm", "by hand", cwd=place)
    git("push", "-q", cwd=place)
    one.syncing.sync()
    assert one.values.retrieve("s", "k", at=between).value == "old"
    assert not one.values.retrieve("s", "k", at="1w").found
    git("config", "--global", "log.showSignature", "true", cwd=place)
    assert len(one.past.history(session="tester@one").edits) == 2
