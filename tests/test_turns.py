"""Turns at the remote: a push without a fetch before it, and how a long queue gets in."""

from tests.world import REF, World, git, put, state_of


def test_alone_a_push_needs_no_fetch(world: World) -> None:
    one = world.open("one")
    put(one, "a", "k", 1)
    assert state_of(one) == "ok"
    words = list[str]()
    one.progress = words.append
    op = put(one, "a", "k", 2)
    assert state_of(one) == "ok"
    assert words == ["pushing 1 edit"]
    assert op in {record.op for record in world.log()}


def test_a_push_without_fetch_overwrites_nobody(world: World) -> None:
    one, two = world.open("one"), world.open("two")
    put(one, "a", "k", 1)
    assert [state_of(clone) for clone in (one, two)] == ["ok", "ok"]
    theirs = put(two, "b", "k", 1)
    assert state_of(two) == "ok"
    words = list[str]()
    one.progress = words.append
    mine = put(one, "a", "k", 2)
    assert state_of(one) == "ok"
    assert words == [
        "pushing 1 edit",
        "fetching",
        "replaying 1 edit",
        "pushing 1 edit",
    ]
    assert {mine, theirs} <= {record.op for record in world.log()}
    assert world.is_linear()


def test_a_push_without_fetch_puts_no_deleted_branch_back(world: World) -> None:
    one = world.open("one")
    put(one, "a", "k", 1)
    assert state_of(one) == "ok"
    git("update-ref", "-d", REF, cwd=world.remote)
    put(one, "a", "k", 2)
    assert state_of(one) == "branch-deleted"
    assert git("for-each-ref", REF, cwd=world.remote) == ""


def test_a_long_queue_gets_in_though_others_push_all_the_time(
    world: World,
) -> None:
    """Somebody pushes whenever this clone replays all it has; the head of its queue is quicker."""
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
    one.progress = meddle
    assert state_of(one) == "ok"
    assert "pushing the first 32 of 100 edits" in words
    found = [record.op for record in world.log()]
    assert [found.count(op) for op in ops] == [1] * 100
    assert [op for op in found if op in set(ops)] == ops
