"""Deciding on an edit has no side effects: an edit that is decided twice is made once."""

from typing import Any

import pytest

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.edits import Change
from csc_git.coordinator.team_settings import change
from csc_git.store import store, transaction
from csc_git.store.transaction import Draft, Receipt
from csc_git.store.tree.snapshot import Snapshot
from tests.world import World, person, put, state_of


@pytest.fixture
def one(world: World, monkeypatch: pytest.MonkeyPatch) -> Coordinator:
    """A clone in which each edit is decided twice, under the lock, before it is made."""
    once = transaction.transact

    def twice(*args: Any) -> Receipt[Any]:
        repository, ref, identity, decide, now, op = args

        def decide_twice(snapshot: Snapshot) -> Draft:
            first: Draft = decide(snapshot)
            second: Draft = decide(snapshot)
            assert first.puts.keys() == second.puts.keys()
            assert first.deletes == second.deletes
            return second

        return once(repository, ref, identity, decide_twice, now, op)

    monkeypatch.setattr(store, "transact", twice)
    return world.open("one")


def test_values_are_edited_once(one: Coordinator) -> None:
    put(one, "a", "k", 1)
    put(one, "a", "l", 2)
    author = person(one)
    changes = [Change("a", "k", "put", 3), Change("a", "l", "delete")]
    assert len(one.edits.edit(author, changes).revisions) == 2
    assert one.values.list_keys("a").keys == ["k"]
    assert one.edits.delete_scope(author, "a").count == 1
    change(one.writer, author, "lease", "120")
    assert state_of(one) == "ok"
    assert one.summary.sync_state().queued == 0


def test_sessions_and_claims_are_made_once(one: Coordinator) -> None:
    assert one.authors.sign_on().session == "claude_1@one"
    assert one.authors.sign_on("builder").session == "builder@one"
    claimed = one.claims.claim("builder", ["issue:15", "src"])
    assert claimed.status == "granted"
    assert len(claimed.claims) == 2
    released = one.claims.release("builder", ["src"])
    assert released.released == ["src"]
    assert one.authors.sign_off("builder").session == "builder@one"
    names = ["claude_1", "nobody"]
    ended = one.sessions.endings.end_all(names, "ada@one", clock.now())
    assert ended == ["claude_1"]


def test_a_conflict_is_resolved_once(one: Coordinator, world: World) -> None:
    other = world.open("two")
    for clone in (one, other):
        assert state_of(clone) == "ok"
    put(other, "a", "k", "theirs")
    put(one, "a", "k", "mine")
    assert [state_of(clone) for clone in (other, one)] == ["ok", "ok"]
    (conflict,) = one.conflicts.open()
    done = one.conflicts.resolve(person(one), conflict.conflict, "lost")
    assert (done.scope, done.key) == ("a", "k")
    assert one.conflicts.count() == 0
