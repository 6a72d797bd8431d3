"""Conditional writes and edits of several keys: refused here, refused at replay, one winner."""

from collections.abc import Callable

import pytest

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.edits import Change
from csc_git.errors import (
    ConditionFailed,
    InputError,
    InvalidName,
    NoSuchConflict,
    ReservedScope,
)
from csc_git.git.objects.commit import CommitInfo
from csc_git.store.branch import Branch
from tests.world import World, git, person, put


@pytest.fixture
def pair(world: World) -> list[Coordinator]:
    """Two clones in step, with a counter at 0."""
    both = [world.open("one"), world.open("two")]
    put(both[0], "s", "n", 0)
    for coordinator in both:
        coordinator.sync()
    return both


def offline(coordinator: Coordinator) -> None:
    git("remote", "set-url", "origin", "/nowhere", cwd=coordinator.project.top)


def online(coordinator: Coordinator, world: World) -> None:
    git(
        "remote",
        "set-url",
        "origin",
        str(world.remote),
        cwd=coordinator.project.top,
    )


def revision(coordinator: Coordinator, key: str = "n") -> str:
    return coordinator.retrieve("s", key).revision or "absent"


def test_refused_here_with_all_it_takes_to_try_again(
    pair: list[Coordinator],
) -> None:
    old = revision(pair[0])
    put(pair[0], "s", "n", 1, if_revision=old)
    before = pair[0].store.branch.tip
    with pytest.raises(ConditionFailed) as caught:
        put(pair[0], "s", "n", 2, if_revision=old)
    said = str(caught.value)
    assert revision(pair[0]) in said
    assert old in said
    assert 'data stored by "tester@one" at 20' in said
    assert ": 1)" in said
    assert pair[0].store.branch.tip == before
    with pytest.raises(ConditionFailed, match="but absent was required"):
        put(pair[0], "s", "n", 2, if_revision="absent")
    with pytest.raises(ConditionFailed, match="s/other has no value"):
        put(pair[0], "s", "other", 2, if_revision=old)
    with pytest.raises(ConditionFailed):
        pair[0].edits.delete(person(pair[0]), "s", "n", if_revision=old)
    assert put(pair[0], "s", "other", 2, if_revision="absent")
    assert (
        pair[0]
        .edits.delete(person(pair[0]), "s", "n", if_revision=revision(pair[0]))
        .deleted
    )


def test_a_conditional_store_of_what_stands_there_is_an_edit_all_the_same(
    pair: list[Coordinator],
) -> None:
    assert put(pair[0], "s", "n", 0) == "same"
    assert put(pair[0], "s", "n", 0, if_revision=revision(pair[0])) != "same"


@pytest.mark.parametrize("bad", ["", "HEAD", "0" * 39, "--help", "A" * 40])
def test_what_is_no_revision(pair: list[Coordinator], bad: str) -> None:
    with pytest.raises(InputError, match="is no revision"):
        put(pair[0], "s", "n", 1, if_revision=bad)


def test_with_confirm_one_wins_and_the_other_is_told_at_once(
    pair: list[Coordinator],
) -> None:
    seen = revision(pair[1])
    assert put(pair[0], "s", "n", "first", if_revision=seen, confirm=True)
    with pytest.raises(
        ConditionFailed, match=r"Another clone was first.*\"first\""
    ):
        put(pair[1], "s", "n", "second", if_revision=seen, confirm=True)
    for coordinator in pair:
        coordinator.sync()
        assert coordinator.retrieve("s", "n").value == "first"
        assert coordinator.conflicts.open() == []  # the answer was the refusal


def test_the_refusal_is_in_the_history(
    pair: list[Coordinator], world: World
) -> None:
    seen = revision(pair[1])
    put(pair[0], "s", "n", "first", if_revision=seen, confirm=True)
    with pytest.raises(ConditionFailed):
        put(pair[1], "s", "n", "second", if_revision=seen, confirm=True)
    pair[1].sync()
    assert [record.outcome for record in world.log()[-2:]] == [None, "refused"]


def test_without_a_waiting_author_the_refusal_is_recorded(
    pair: list[Coordinator], world: World
) -> None:
    seen = revision(pair[1])
    offline(pair[1])
    put(pair[1], "s", "n", "second", if_revision=seen)
    put(pair[0], "s", "n", "first", confirm=True)
    online(pair[1], world)
    pair[1].sync()
    [conflict] = pair[1].conflicts.open()
    assert (conflict.why, conflict.lost.value) == ("refused", "second")
    assert conflict.current
    assert conflict.current.value == "first"


def test_who_gave_up_waiting_gets_a_record_too(
    pair: list[Coordinator], world: World
) -> None:
    offline(pair[1])
    seen = revision(pair[1])
    stored = pair[1].edits.put(
        person(pair[1]), "s", "n", "second", if_revision=seen, confirm=True
    )
    assert (stored.status, stored.op) != ("synced", None)
    assert "safe here and queued" in stored.reason
    put(pair[0], "s", "n", "first", confirm=True)
    online(pair[1], world)
    pair[1].sync()
    assert [one.lost.value for one in pair[1].conflicts.open()] == ["second"]


def refused_unless_waited_for(pair: list[Coordinator], world: World) -> str:
    """Make a conditional edit that the remote will refuse; its op."""
    seen = revision(pair[1])
    offline(pair[1])
    op = put(pair[1], "s", "n", "second", if_revision=seen)
    put(pair[0], "s", "n", "first", confirm=True)
    online(pair[1], world)
    return op


def test_who_died_waiting_gets_a_record_too(
    pair: list[Coordinator], world: World
) -> None:
    op = refused_unless_waited_for(pair, world)
    left = (
        pair[1].store.directory / "waiting" / op
    )  # its lock went with the process
    left.parent.mkdir(exist_ok=True)
    left.touch()
    pair[1].sync()
    assert [one.lost.value for one in pair[1].conflicts.open()] == ["second"]
    assert not left.exists()


def test_who_waits_is_told_until_the_answer_is_given(
    pair: list[Coordinator], world: World
) -> None:
    op = refused_unless_waited_for(pair, world)
    with pair[1].store.awaiting(op) as answer:
        assert answer().where == "local"
        pair[1].sync()  # the answer was given, so the refusal must be recorded
    assert [one.lost.value for one in pair[1].conflicts.open()] == ["second"]


def test_who_gives_up_during_the_replay_gets_a_record(
    pair: list[Coordinator], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the replay, which counts on telling, and the moving of the branch."""
    op = refused_unless_waited_for(pair, world)
    real = Branch.after
    with pair[1].store.awaiting(op) as answer:

        def after(branch: Branch, seen: str | None) -> list[CommitInfo]:
            monkeypatch.setattr(Branch, "after", real)
            given.append(True)
            done()
            return real(branch, seen)

        given: list[bool] = []
        done = _end_of_waiting(pair[1], op)
        monkeypatch.setattr(Branch, "after", after)
        pair[1].sync()
        assert given
        assert answer().outcome == "refused"
    assert [one.lost.value for one in pair[1].conflicts.open()] == ["second"]


def _end_of_waiting(coordinator: Coordinator, op: str) -> Callable[[], None]:
    """Take away what says that somebody waits, as the end of the wait does under the lock."""
    path = coordinator.store.directory / "waiting" / op
    return path.unlink


def test_a_refusal_stays_refused_when_the_condition_holds_again(
    pair: list[Coordinator], world: World
) -> None:
    """Whoever was told may have acted on it."""
    offline(pair[1])
    put(pair[1], "s", "fresh", "mine", if_revision="absent")
    put(pair[0], "s", "fresh", "theirs", confirm=True)
    online(pair[1], world)
    hook = world.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    pair[1].sync()  # replayed and refused, but not pushed
    assert pair[1].store.branch.queue()
    hook.unlink()
    pair[0].edits.delete(person(pair[0]), "s", "fresh", confirm=True)
    pair[1].sync()
    assert not pair[1].retrieve("s", "fresh").found
    assert [one.lost.value for one in pair[1].conflicts.open()] == ["mine"]


def test_an_unconditional_confirmed_write_that_lost_says_so(
    pair: list[Coordinator],
) -> None:
    late = pair[1].edits.put(person(pair[1]), "s", "n", "early")
    put(pair[0], "s", "n", "late", confirm=True)
    sure = pair[1].edits.put(person(pair[1]), "s", "other", 1, confirm=True)
    assert sure.status == "synced"
    assert pair[1].store.fate(late.op or "").outcome == "lost"


# Edits of several keys


def change(
    key: str, action: str = "put", value: object = None, if_revision: str = ""
) -> Change:
    return Change("s", key, action, value, if_revision or None)  # type: ignore[arg-type]


def test_several_keys_are_one_commit(
    pair: list[Coordinator], world: World
) -> None:
    put(pair[0], "s", "gone", 1)
    changes = [change("a", value=1), change("b", value=2), change("gone", "delete"),
               change("n", "require", if_revision=revision(pair[0]))]  # fmt: skip
    done = pair[0].edits.edit(person(pair[0]), changes, confirm=True)
    assert done.status == "synced"
    assert set(done.revisions) == {"s/a", "s/b", "s/gone", "s/n"}
    assert done.revisions["s/a"] == revision(pair[0], "a")
    assert len(git("show", "--no-renames", "--name-only", "--format=", done_commit(pair[0]),
                   cwd=world.remote).splitlines()) == 3  # fmt: skip
    assert pair[0].list_keys("s").keys == ["a", "b", "n"]


def done_commit(coordinator: Coordinator) -> str:
    return str(coordinator.store.branch.tip)


def test_one_failed_condition_refuses_all_of_it(
    pair: list[Coordinator],
) -> None:
    before = pair[0].store.branch.tip
    with pytest.raises(ConditionFailed, match="s/n has revision"):
        pair[0].edits.edit(
            person(pair[0]),
            [
                change("a", value=1),
                change("n", "require", if_revision="absent"),
            ],
        )
    assert pair[0].store.branch.tip == before


def test_all_or_nothing_across_replay(pair: list[Coordinator]) -> None:
    put(pair[0], "s", "b", "theirs", confirm=True)
    with pytest.raises(
        ConditionFailed, match=r'Another clone was first.*"theirs"'
    ):
        pair[1].edits.edit(
            person(pair[1]),
            [change("a", value=1), change("b", value=2)],
            confirm=True,
        )
    for coordinator in pair:
        coordinator.sync()
        assert coordinator.list_keys("s").keys == ["b", "n"]
        assert coordinator.retrieve("s", "b").value == "theirs"


def test_a_guard_alone_refuses_at_replay(pair: list[Coordinator]) -> None:
    """A key that an edit only requires counts like those it changes."""
    seen = revision(pair[1])
    put(pair[0], "s", "n", 1, confirm=True)
    with pytest.raises(ConditionFailed):
        pair[1].edits.edit(
            person(pair[1]),
            [change("a", value=1), change("n", "require", if_revision=seen)],
            confirm=True,
        )


def test_a_claim_can_guard_an_edit(pair: list[Coordinator]) -> None:
    pair[0].sign_on()
    held = pair[0].claims.claim(None, ["issue:1"]).claims[0]
    guard = Change("claims", "issue:1", "require", if_revision=held.revision)
    author = pair[0].author(None)
    assert pair[0].edits.edit(author, [change("a", value=1), guard]).op
    pair[0].claims.release(None)
    with pytest.raises(ConditionFailed):
        pair[0].edits.edit(author, [change("a", value=2), guard])


def test_bad_edits(pair: list[Coordinator]) -> None:
    me, edit = person(pair[0]), pair[0].edits.edit
    with pytest.raises(InputError, match="0 changes"):
        edit(me, [])
    with pytest.raises(InputError, match="twice"):
        edit(me, [change("a", value=1), change("a", "delete")])
    with pytest.raises(InputError, match="changes nothing"):
        edit(me, [change("n", "require", if_revision="absent")])
    with pytest.raises(ReservedScope):
        edit(me, [Change("claims", "x", "put", 1)])
    with pytest.raises(InvalidName):
        edit(me, [Change("s", "", "put", 1)])


# Conflicts


def conflicting(pair: list[Coordinator], world: World) -> str:
    """A conflict on s/n: `theirs` lost to `mine`; its id."""
    offline(pair[1])
    put(pair[1], "s", "n", "lost")
    put(pair[0], "s", "n", "stands", confirm=True)
    online(pair[1], world)
    pair[1].sync()
    pair[0].sync()
    [conflict] = pair[0].conflicts.open()
    assert conflict.current
    assert (conflict.lost.value, conflict.current.value) == ("lost", "stands")
    assert (conflict.lost.session, conflict.current.session) == (
        "tester@two",
        "tester@one",
    )
    assert conflict.lost.time < conflict.current.time
    return conflict.conflict


@pytest.mark.parametrize(
    ("choice", "value", "expected"),
    [("current", None, "stands"), ("lost", None, "lost"), ("value", [1], [1])],
)
def test_resolving(
    pair: list[Coordinator],
    world: World,
    choice: str,
    value: object,
    expected: object,
) -> None:
    conflict = conflicting(pair, world)
    pair[0].conflicts.resolve(person(pair[0]), conflict, choice, value)  # type: ignore[arg-type]
    for coordinator in pair:
        coordinator.sync()
        assert coordinator.conflicts.open() == []
        assert coordinator.retrieve("s", "n").value == expected
    assert world.log()[-1].subject == f"resolve s/n by {choice}"
    with pytest.raises(NoSuchConflict):
        pair[1].conflicts.resolve(person(pair[1]), conflict, "lost")


def test_a_conflict_is_named_by_the_beginning_of_its_id(
    pair: list[Coordinator], world: World
) -> None:
    conflict = conflicting(pair, world)
    author, resolve = person(pair[0]), pair[0].conflicts.resolve
    for typed in ("", conflict[:3], f"{conflict}0", "*"):
        with pytest.raises(NoSuchConflict):
            resolve(author, typed, "current")
    done = resolve(author, conflict[:4], "lost", confirm=True)
    assert (done.status, done.scope, done.key) == ("synced", "s", "n")
    assert world.log()[-1].subject == "resolve s/n by lost"


def test_a_beginning_that_several_share_names_none(
    pair: list[Coordinator], world: World
) -> None:
    offline(pair[1])
    changes = [Change("s", key, "put", "lost") for key in ("a", "b")]
    op = pair[1].edits.edit(person(pair[1]), changes).op
    put(pair[0], "s", "a", "stands", confirm=True)
    online(pair[1], world)
    pair[1].sync()
    ids = [one.conflict for one in pair[1].conflicts.open()]
    assert sorted(ids) == [f"{op}.0", f"{op}.1"]
    with pytest.raises(
        InputError, match=r"2 conflicts begin with .* Give more of the id"
    ):
        pair[1].conflicts.resolve(person(pair[1]), str(op), "current")


def test_confirmed_it_is_refused_if_another_clone_was_first(
    pair: list[Coordinator], world: World
) -> None:
    conflict = conflicting(pair, world)
    pair[0].conflicts.resolve(person(pair[0]), conflict, "lost", confirm=True)
    with pytest.raises(ConditionFailed, match="Another clone"):
        pair[1].conflicts.resolve(
            person(pair[1]), conflict, "current", confirm=True
        )


def test_two_resolve_at_once_and_nothing_is_lost(
    pair: list[Coordinator], world: World
) -> None:
    conflict = conflicting(pair, world)
    offline(pair[1])
    pair[1].conflicts.resolve(person(pair[1]), conflict, "value", "by two")
    pair[0].conflicts.resolve(person(pair[0]), conflict, "value", "by one")
    pair[0].sync()
    online(pair[1], world)
    pair[1].sync()
    assert pair[1].retrieve("s", "n").value == "by one"
    [again] = pair[1].conflicts.open()
    assert (again.why, again.lost.value) == ("refused", "by two")
    assert again.conflict != conflict


def test_a_choice_made_on_what_stands_no_more_is_refused(
    pair: list[Coordinator], world: World
) -> None:
    conflict = conflicting(pair, world)
    offline(pair[1])
    pair[1].conflicts.resolve(person(pair[1]), conflict, "current")
    put(pair[0], "s", "n", "changed since", confirm=True)
    online(pair[1], world)
    pair[1].sync()
    assert [one.conflict for one in pair[1].conflicts.open()] == [conflict]


def test_a_lost_deletion_can_be_taken_after_all(
    pair: list[Coordinator], world: World
) -> None:
    offline(pair[1])
    pair[1].edits.delete(person(pair[1]), "s", "n")
    put(pair[0], "s", "n", "stands", confirm=True)
    online(pair[1], world)
    pair[1].sync()
    [conflict] = pair[1].conflicts.open()
    assert conflict.lost_deletion
    pair[1].conflicts.resolve(person(pair[1]), conflict.conflict, "lost")
    assert not pair[1].retrieve("s", "n").found


def test_an_edit_is_all_or_nothing_for_what_it_only_says_again(
    world: World,
) -> None:
    """Its owner stood as it wanted it; another clone has changed that meanwhile."""
    one, two = world.open("one"), world.open("two")
    put(one, "issue:1", "owner", "ada")
    put(one, "issue:1", "status", "open", confirm=True)
    two.sync()
    put(two, "issue:1", "owner", "bob", confirm=True)
    changes = [
        Change("issue:1", "owner", "put", "ada"),
        Change("issue:1", "status", "put", "done by ada"),
    ]
    with pytest.raises(ConditionFailed, match="bob"):
        one.edits.edit(person(one), changes, confirm=True)
    assert one.retrieve("issue:1", "status").value == "open"
