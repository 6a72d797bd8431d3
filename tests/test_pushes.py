"""Pushes: without a fetch before them, and of a long queue while others push."""

from tests.world import REF, World, git, put, state_of


def test_a_clone_alone_pushes_without_a_fetch(world: World) -> None:
    one = world.open("one")
    put(one, "a", "k", 1)
    assert state_of(one) == "ok"
    words = list[str]()
    op = put(one, "a", "k", 2)
    assert state_of(one, words.append) == "ok"
    assert words == ["pushing 1 edit"]
    assert op in {record.op for record in world.log()}


def test_a_push_without_a_fetch_overwrites_no_edit(world: World) -> None:
    one, two = world.open("one"), world.open("two")
    put(one, "a", "k", 1)
    assert [state_of(clone) for clone in (one, two)] == ["ok", "ok"]
    theirs = put(two, "b", "k", 1)
    assert state_of(two) == "ok"
    words = list[str]()
    mine = put(one, "a", "k", 2)
    assert state_of(one, words.append) == "ok"
    assert words == [
        "pushing 1 edit",
        "fetching",
        "replaying 1 edit",
        "pushing 1 edit",
    ]
    assert {mine, theirs} <= {record.op for record in world.log()}
    assert world.is_linear()


def test_a_push_without_a_fetch_recreates_no_branch(world: World) -> None:
    one = world.open("one")
    put(one, "a", "k", 1)
    assert state_of(one) == "ok"
    git("update-ref", "-d", REF, cwd=world.remote)
    put(one, "a", "k", 2)
    assert state_of(one) == "branch-deleted"
    assert git("for-each-ref", REF, cwd=world.remote) == ""


def test_a_long_queue_is_pushed_in_parts_beside_others(
    world: World,
) -> None:
    """Another clone pushes whenever this one replays its whole queue. A part of it is quicker."""
    one, two = world.open("one"), world.open("two")
    put(two, "b", "k", 0)
    assert [state_of(clone) for clone in (two, one)] == ["ok", "ok"]
    ops = [put(one, "a", f"k{number}", number) for number in range(100)]
    words = list[str]()

    def meddle(what: str) -> None:
        words.append(what)
        if what == "replaying 100 edits" and len(words) < 20:
            put(two, "b", "k", len(words))
            assert state_of(two) == "ok"

    put(two, "b", "k", -1)
    assert state_of(two) == "ok"
    assert state_of(one, meddle) == "ok"
    assert "pushing the first 32 of 100 edits" in words
    found = [record.op for record in world.log()]
    assert [found.count(op) for op in ops] == [1] * 100
    assert [op for op in found if op in set(ops)] == ops
