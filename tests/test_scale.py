"""Many sessions, claims, conflicts and keys: answers stay small, and calls do not read them all."""

import json
import time
from random import Random
from typing import Any

import pytest

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.edits import Change
from csc_git.coordinator.results.data import Keys
from csc_git.core.claim import Claim, claim_key
from csc_git.core.conflict import Conflict
from csc_git.core.edit import Outcome
from csc_git.core.key import Key
from csc_git.core.lease import Lease, lease_key
from csc_git.core.merge import Version
from csc_git.core.value import Entry, Json
from csc_git.errors import InputError, StoreDamaged, TreeNotListed
from csc_git.git.objects.objects import Objects
from csc_git.store.commit_walk import ancestry
from csc_git.store.past_edits import keys_of
from csc_git.store.transaction import Draft
from csc_git.store.tree.snapshot import Snapshot
from tests.commands import csc
from tests.inside import (
    ReadCount,
    compare_trees_of_every_edit,
    read_trees_when_a_listing_exceeds,
    remember_parts_of_the_index,
)
from tests.world import REF, World, git, put, state_of, until

RECORDS = 300

THEN = "2026-01-01T00:00:00.000000Z"


def store_many_records(
    one: Coordinator, sessions: int, value: str = "x"
) -> None:
    """Store sessions of another clone that never signed off, with claims, conflicts and states."""
    puts: dict[Key, Json] = {}
    now = clock.now()
    for number in range(sessions):
        name = f"claude_{number}@elsewhere"
        puts[lease_key(name)] = Lease(
            f"h{number}", "other", 1, 5400, "active", THEN
        ).to_json()
        puts[Key(("session", name), "status")] = value
        resource = f"src/f{number}.py"
        puts[claim_key(resource)] = Claim(
            resource,
            name,
            f"h{number}",
            "other",
            number + 1,
            None,
            "held",
            THEN,
        ).to_json()
        lost = Version(Entry(value, "a@b", now), "a@b", now)
        conflict = Conflict(
            Key(("s",), f"k{number}"), Outcome.LOST, lost, "absent", "z@y", now
        )
        puts[Key(("conflicts",), f"{number:032x}.0")] = conflict.to_json()
    one.store.transact(lambda _: Draft("a crowd", "builder@x", puts), now)


def size(answer: Any) -> int:
    return len(answer.to_text())


def test_answers_stay_small_and_count_what_is_left_out(world: World) -> None:
    one = world.open("one")
    store_many_records(one, RECORDS, value="y" * 100_000)
    assert state_of(one) == "ok"
    signed_on = one.authors.sign_on()
    assert len(signed_on.others) + signed_on.others_more == RECORDS
    assert size(signed_on) < 8_000
    context = one.summary.context()
    assert len(context.active) + context.active_more == RECORDS + 1
    assert size(context) < 12_000
    assert len(context.claims) == 10
    assert context.claims_more
    assert context.conflicts[-1] == f"and {RECORDS - 10} more"
    status = one.summary.status()
    assert status.active_count == RECORDS + 1
    assert size(status) < 60_000
    assert all(len(str(other.status)) < 300 for other in signed_on.others)
    assert "read it with retrieve_data" in str(signed_on.others[0].status)


def unlisted(*_: object) -> None:
    """A replacement of `Objects.list_below`, as if git failed."""
    raise TreeNotListed


def test_the_pages_of_a_list_add_up_to_the_list(world: World) -> None:
    one = world.open("one")
    puts: dict[Key, Json] = {
        Key(("s",), f"k{number}"): number for number in range(60)
    }
    puts |= {
        Key(("issue", str(number)), "status"): "open" for number in range(60)
    }
    one.store.transact(lambda _: Draft("many", "t@x", puts), clock.now())
    for listed, name in (
        (one.values.list_keys, "s"),
        (one.values.list_scopes, "issue:*"),
    ):
        whole, parts, after = listed(name), list[str](), None
        assert whole.more == 0
        while True:
            part = listed(name, after, 25)
            names = part.keys if isinstance(part, Keys) else part.scopes
            parts += names
            if not part.more:
                break
            assert len(names) == 25
            after = names[-1]
        assert parts == (
            whole.keys if isinstance(whole, Keys) else whole.scopes
        )
        assert len(parts) == 60
    assert one.values.list_keys("s", "k5", 2).keys == ["k50", "k51"]
    for ask in (
        lambda: one.values.list_keys("s", None, 0),
        lambda: one.values.list_scopes(limit=-1),
        lambda: one.conflicts.open(0),
    ):
        with pytest.raises(InputError, match="it must be 1 or more"):
            ask()


def test_a_listing_by_git_equals_reading_tree_by_tree(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is so with split directories, cut or escaped names, and foreign entries."""
    one = world.open("one")
    long = "ä" * 60
    puts: dict[Key, Json] = {
        Key(scope, name): 1
        for scope in ((long, "big"), ("big",), ("con", "A.b"), ("sessions",))
        for name in (
            *(f"k{number}" for number in range(300)),
            long,
            long + "b",
            "-Ä.",
            "nul",
        )
    }
    one.store.transact(lambda _: Draft("many", "t@x", puts), clock.now())
    path, tip = one.store.repository.path, one.store.branch.tip
    monkeypatch.setenv("GIT_INDEX_FILE", str(world.directory / "index"))
    git("read-tree", str(tip), cwd=path)
    fan = git("ls-tree", "--name-only", f"{tip}:data/big", cwd=path).split()[0]
    blob = git("rev-parse", f"{tip}:format.json", cwd=path).strip()
    for mode, name in (
        ("100644", f"{fan}/=.txt"),
        ("100755", "x.json"),
        ("120000", "l.json"),
    ):
        for scope in ("big", f"only{mode}"):
            place = f"{mode},{blob},data/{scope}/{name}"
            git("update-index", "--add", "--cacheinfo", place, cwd=path)
    tree = git("write-tree", cwd=path).strip()
    made = git(
        "commit-tree", "-p", str(tip), "-m", "by hand", tree, cwd=path
    ).strip()
    git("update-ref", REF, made, cwd=path)

    def seen() -> object:
        one.store.repository.objects.shared = {}
        snapshot = one.store.snapshot()
        scopes = snapshot.scopes()
        records = {scope: snapshot.records(scope) for scope in scopes}
        return (
            scopes,
            {scope: snapshot.keys(scope) for scope in scopes},
            records,
        )

    listed = seen()
    with monkeypatch.context() as patched:  # git prints more than is taken
        read_trees_when_a_listing_exceeds(patched, 100)
        assert seen() == listed
    monkeypatch.setattr(Objects, "list_below", unlisted)
    assert seen() == listed


def test_the_keys_of_a_large_edit_equal_its_difference(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = world.open("one")
    for start in (0, 150, 400):
        kept = {Key(("s",), f"k{n}"): start for n in range(start, start + 200)}
        gone = tuple(Key(("s",), f"k{n}") for n in range(start - 20, start))
        draft = Draft("many", "t@x", kept, gone)
        one.store.transact(lambda _, draft=draft: draft, clock.now())  # type: ignore[misc]
    repository = one.store.repository
    commits = list(ancestry(repository.objects, one.store.branch.tip))
    one_by_one = [keys_of(repository, commit) for commit in commits]
    compare_trees_of_every_edit(monkeypatch)
    assert [keys_of(repository, commit) for commit in commits] == one_by_one
    assert [len(keys) for keys in one_by_one][:2] == [200, 220]


def test_a_failed_edit_of_large_values_has_a_short_error(
    world: World,
) -> None:
    one = world.open("one")
    for number in range(30):
        put(one, "w", f"k{number}", "z" * 100_000)
    changes = [
        Change("w", f"k{n}", "require", if_revision="absent") for n in range(30)
    ]
    with pytest.raises(Exception, match="was required") as caught:
        one.edits.edit(
            one.authors.person("x"), [*changes, Change("w", "n", "put", 1)]
        )
    assert len(str(caught.value)) < 8000
    assert "and 25 more" in str(caught.value)


def test_a_second_call_reads_only_what_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = world.open("one"), world.open("two")
    store_many_records(one, RECORDS)
    assert [state_of(one), state_of(two)] == ["ok", "ok"]
    two.authors.sign_on()
    two.summary.context()
    put(one, "s", "k", 1)
    one.authors.sign_on()
    assert [state_of(one), state_of(two)] == ["ok", "ok"]
    counted = ReadCount(monkeypatch)
    two.summary.context()
    two.authors.sign_on("second")
    assert two.claims.claim("second", ["docs"]).status == "granted"
    two.values.list_scopes("issue:*")
    assert counted.reads < 200, counted.reads


@pytest.mark.parametrize("parts", [1 << 18, 8])
def test_the_index_equals_one_built_from_scratch(
    world: World, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each of many edits, names, records and scopes are those of a new index.

    It is also true if the index keeps nearly nothing in memory.
    """
    remember_parts_of_the_index(monkeypatch, parts)
    one = world.open("one")
    chance = Random(4)  # noqa: S311
    for _ in range(60):
        puts: dict[Key, Json] = {}
        for _ in range(chance.randint(1, 12)):
            scope = (
                ("sessions",)
                if chance.random() < 0.5
                else ("a", str(chance.randint(0, 3)))
            )
            puts[Key(scope, f"k{chance.randint(0, 400)}@x")] = chance.random()
        here = one.store.snapshot()
        present = [key for scope in here.scopes() for key in here.keys(scope)]
        gone = tuple(
            chance.sample(present, min(len(present), chance.randint(0, 3)))
        )
        gone = tuple(key for key in gone if key not in puts)
        draft = Draft("x", "t@x", puts, gone)
        one.store.transact(lambda _, draft=draft: draft, clock.now())  # type: ignore[misc]
        warm = one.store.snapshot()
        objects = one.store.repository.objects
        objects.shared, kept = {}, objects.shared
        cold = Snapshot(objects, warm.commit)
        expected = (
            cold.scopes(),
            list(cold.names(("sessions",))),
            cold.records(("sessions",)),
        )
        objects.shared = kept
        assert (
            warm.scopes(), list(warm.names(("sessions",))), warm.records(("sessions",))
        ) == expected  # fmt: skip


def test_the_doctor_is_quick_in_a_large_store(world: World) -> None:
    one = world.open("one")
    store_many_records(one, RECORDS)
    assert state_of(one) == "ok"
    until(lambda: one.store.branch.base is not None)
    began = time.monotonic()
    found = json.loads(
        csc("doctor", "--json", cwd=world.directory / "one").stdout
    )
    assert time.monotonic() - began < 20
    assert found["findings"]


def test_the_index_does_not_remember_a_read_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = world.open("one")
    for number in range(3):
        put(one, "s", f"k{number}", number)
    put(one, "other", "k", 1)
    read = Objects.tree

    def damaged(objects: Objects, tree_id: str) -> Any:
        if tree_id == broken:
            raise StoreDamaged("gone for a moment")
        return read(objects, tree_id)

    broken = git("rev-parse", f"{REF}:data/s", cwd=one.store.repository.path)
    with monkeypatch.context() as patched:
        patched.setattr(Objects, "tree", damaged)
        patched.setattr(Objects, "list_below", unlisted)
        assert one.values.list_keys("s").keys == []
        assert one.values.list_scopes().scopes == ["other"]
    assert one.values.list_keys("s").keys == ["k0", "k1", "k2"]
    assert one.values.list_scopes().scopes == ["other", "s"]
    put(one, "s", "k9", 1)
    assert one.values.list_keys("s").keys == ["k0", "k1", "k2", "k9"]
