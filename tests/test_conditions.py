"""Conditional writes and edits of several keys: refused here, refused at replay, one winner."""

from collections.abc import Callable

import pytest

from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.edits import Change
from csc_git.core.commit import CommitInfo
from csc_git.errors import (
    ConditionFailed,
    InputError,
    InvalidName,
    ReservedScope,
)
from csc_git.store.branch import Branch
from tests.world import World, git, go_offline, go_online, person, put


def revision(coordinator: Coordinator, key: str = "n") -> str:
    return coordinator.values.retrieve("s", key).revision or "absent"


def test_a_failed_condition_reports_the_current_value(
    pair: list[Coordinator],
) -> None:
    old = revision(pair[0])
    put(pair[0], "s", "n", 1, if_revision=old)
    before = pair[0].store.branch.tip
    with pytest.raises(ConditionFailed) as caught:
        put(pair[0], "s", "n", 2, if_revision=old)
    message = str(caught.value)
    assert revision(pair[0]) in message
    assert old in message
    assert 'data stored by "tester@one" at 20' in message
    assert ": 1)" in message
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


def test_a_conditional_store_of_the_same_value_is_an_edit(
    pair: list[Coordinator],
) -> None:
    assert put(pair[0], "s", "n", 0) == "same"
    assert put(pair[0], "s", "n", 0, if_revision=revision(pair[0])) != "same"


@pytest.mark.parametrize("bad", ["", "HEAD", "0" * 39, "--help", "A" * 40])
def test_a_malformed_revision_is_refused(
    pair: list[Coordinator], bad: str
) -> None:
    with pytest.raises(InputError, match="is not a revision"):
        put(pair[0], "s", "n", 1, if_revision=bad)


def test_of_two_confirmed_writes_one_is_refused_at_once(
    pair: list[Coordinator],
) -> None:
    seen = revision(pair[1])
    assert put(pair[0], "s", "n", "first", if_revision=seen, confirm=True)
    with pytest.raises(
        ConditionFailed,
        match=r"Another clone changed a key of this edit first.*\"first\"",
    ):
        put(pair[1], "s", "n", "second", if_revision=seen, confirm=True)
    for coordinator in pair:
        coordinator.syncing.sync()
        assert coordinator.values.retrieve("s", "n").value == "first"
        assert coordinator.conflicts.open() == []  # the refusal was the answer


def test_a_refused_edit_is_in_the_history(
    pair: list[Coordinator], world: World
) -> None:
    seen = revision(pair[1])
    put(pair[0], "s", "n", "first", if_revision=seen, confirm=True)
    with pytest.raises(ConditionFailed):
        put(pair[1], "s", "n", "second", if_revision=seen, confirm=True)
    pair[1].syncing.sync()
    assert [record.outcome for record in world.log()[-2:]] == [None, "refused"]


def test_a_refusal_without_a_waiting_author_is_recorded(
    pair: list[Coordinator], world: World
) -> None:
    seen = revision(pair[1])
    go_offline(pair[1])
    put(pair[1], "s", "n", "second", if_revision=seen)
    put(pair[0], "s", "n", "first", confirm=True)
    go_online(pair[1], world)
    pair[1].syncing.sync()
    [conflict] = pair[1].conflicts.open()
    assert (conflict.why, conflict.lost.value) == ("refused", "second")
    assert conflict.current
    assert conflict.current.value == "first"


def test_a_refusal_after_the_author_gave_up_is_recorded(
    pair: list[Coordinator], world: World
) -> None:
    go_offline(pair[1])
    seen = revision(pair[1])
    stored = pair[1].edits.put(
        person(pair[1]), "s", "n", "second", if_revision=seen, confirm=True
    )
    assert (stored.status, stored.op) != ("synced", None)
    assert "safe here and queued" in stored.reason
    put(pair[0], "s", "n", "first", confirm=True)
    go_online(pair[1], world)
    pair[1].syncing.sync()
    assert [one.lost.value for one in pair[1].conflicts.open()] == ["second"]


def queue_edit_to_be_refused(pair: list[Coordinator], world: World) -> str:
    """Make a conditional edit that the remote will refuse; its op."""
    seen = revision(pair[1])
    go_offline(pair[1])
    op = put(pair[1], "s", "n", "second", if_revision=seen)
    put(pair[0], "s", "n", "first", confirm=True)
    go_online(pair[1], world)
    return op


def test_a_refusal_after_the_author_died_is_recorded(
    pair: list[Coordinator], world: World
) -> None:
    op = queue_edit_to_be_refused(pair, world)
    left = (
        pair[1].store.directory / "waiting" / op
    )  # its lock went with the process
    left.parent.mkdir(exist_ok=True)
    left.touch()
    pair[1].syncing.sync()
    assert [one.lost.value for one in pair[1].conflicts.open()] == ["second"]
    assert not left.exists()


def test_a_refusal_after_the_answer_was_given_is_recorded(
    pair: list[Coordinator], world: World
) -> None:
    op = queue_edit_to_be_refused(pair, world)
    with pair[1].store.awaiting(op) as answer:
        assert answer().where == "local"
        pair[
            1
        ].syncing.sync()  # the answer was given, so the refusal must be recorded
    assert [one.lost.value for one in pair[1].conflicts.open()] == ["second"]


def test_a_refusal_given_up_during_replay_is_recorded(
    pair: list[Coordinator], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait ends between the replay, which expects to answer, and the move of the branch."""
    op = queue_edit_to_be_refused(pair, world)
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
        pair[1].syncing.sync()
        assert given
        assert answer().outcome == "refused"
    assert [one.lost.value for one in pair[1].conflicts.open()] == ["second"]


def _end_of_waiting(coordinator: Coordinator, op: str) -> Callable[[], None]:
    """Delete the file that marks a waiting author, as the end of the wait does."""
    path = coordinator.store.directory / "waiting" / op
    return path.unlink


def test_a_refused_edit_stays_refused(
    pair: list[Coordinator], world: World
) -> None:
    """Its author may have acted on the refusal."""
    go_offline(pair[1])
    put(pair[1], "s", "fresh", "mine", if_revision="absent")
    put(pair[0], "s", "fresh", "theirs", confirm=True)
    go_online(pair[1], world)
    hook = world.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    pair[1].syncing.sync()  # replayed and refused, but not pushed
    assert pair[1].store.branch.queue()
    hook.unlink()
    pair[0].edits.delete(person(pair[0]), "s", "fresh", confirm=True)
    pair[1].syncing.sync()
    assert not pair[1].values.retrieve("s", "fresh").found
    assert [one.lost.value for one in pair[1].conflicts.open()] == ["mine"]


# Edits of several keys


def change(
    key: str, action: str = "put", value: object = None, if_revision: str = ""
) -> Change:
    return Change("s", key, action, value, if_revision or None)  # type: ignore[arg-type]


def test_an_edit_of_several_keys_is_one_commit(
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
    assert pair[0].values.list_keys("s").keys == ["a", "b", "n"]


def done_commit(coordinator: Coordinator) -> str:
    return str(coordinator.store.branch.tip)


def test_one_failed_condition_refuses_the_whole_edit(
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


def test_an_edit_is_replayed_whole_or_not_at_all(
    pair: list[Coordinator],
) -> None:
    put(pair[0], "s", "b", "theirs", confirm=True)
    with pytest.raises(
        ConditionFailed,
        match=r'Another clone changed a key of this edit first.*"theirs"',
    ):
        pair[1].edits.edit(
            person(pair[1]),
            [change("a", value=1), change("b", value=2)],
            confirm=True,
        )
    for coordinator in pair:
        coordinator.syncing.sync()
        assert coordinator.values.list_keys("s").keys == ["b", "n"]
        assert coordinator.values.retrieve("s", "b").value == "theirs"


def test_a_required_key_alone_refuses_the_edit_at_replay(
    pair: list[Coordinator],
) -> None:
    """A key that an edit only requires counts like those it changes."""
    seen = revision(pair[1])
    put(pair[0], "s", "n", 1, confirm=True)
    with pytest.raises(ConditionFailed):
        pair[1].edits.edit(
            person(pair[1]),
            [change("a", value=1), change("n", "require", if_revision=seen)],
            confirm=True,
        )


def test_an_edit_can_require_a_claim(pair: list[Coordinator]) -> None:
    pair[0].authors.sign_on()
    claim = pair[0].claims.claim(None, ["issue:1"]).claims[0]
    guard = Change("claims", "issue:1", "require", if_revision=claim.revision)
    author = pair[0].authors.session(None)
    assert pair[0].edits.edit(author, [change("a", value=1), guard]).op
    pair[0].claims.release(None)
    with pytest.raises(ConditionFailed):
        pair[0].edits.edit(author, [change("a", value=2), guard])


def test_bad_edits_are_refused(pair: list[Coordinator]) -> None:
    me, edit = person(pair[0]), pair[0].edits.edit
    with pytest.raises(InputError, match="0 changes"):
        edit(me, [])
    with pytest.raises(InputError, match="two changes of the key"):
        edit(me, [change("a", value=1), change("a", "delete")])
    with pytest.raises(InputError, match="changes nothing"):
        edit(me, [change("n", "require", if_revision="absent")])
    with pytest.raises(ReservedScope):
        edit(me, [Change("claims", "x", "put", 1)])
    with pytest.raises(InvalidName):
        edit(me, [Change("s", "", "put", 1)])


def test_an_unchanged_key_of_an_edit_counts_as_a_condition(
    world: World,
) -> None:
    """One clone's edit sets the owner to its present value, which another clone has changed."""
    one, two = world.open("one"), world.open("two")
    put(one, "issue:1", "owner", "ada")
    put(one, "issue:1", "status", "open", confirm=True)
    two.syncing.sync()
    put(two, "issue:1", "owner", "bob", confirm=True)
    changes = [
        Change("issue:1", "owner", "put", "ada"),
        Change("issue:1", "status", "put", "done by ada"),
    ]
    with pytest.raises(ConditionFailed, match="bob"):
        one.edits.edit(person(one), changes, confirm=True)
    assert one.values.retrieve("issue:1", "status").value == "open"
