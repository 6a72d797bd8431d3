"""What a later csc-git may add to format 1: it is kept, or it stops the sync. It is never dropped.

The rules are in docs/reference/branch-format.md, "Compatibility".
"""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.core.claim import Claim
from csc_git.core.lease import Lease
from csc_git.core.remote_failure import RemoteFailure
from csc_git.core.remote_state import RemoteState
from csc_git.errors import FormatTooNew
from csc_git.store.sync.recovery import Permit
from tests.by_hand import check_out_branch
from tests.inside import fail_pushes
from tests.world import REF, World, git, person, put, state_of

NEW = {"ttl": 5, "tags": ["later"]}


def queued_by_later(
    one: Coordinator, trailer: str, value: Any = "acknowledged"
) -> str:
    """Queue an edit with a trailer as a later csc-git would have written it; its op."""
    op = put(one, "s", "later", value)
    path = one.store.repository.path
    message = git("cat-file", "commit", REF, cwd=path)
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"],
        input=f"{message.rstrip()}\n{trailer}\n", cwd=path, text=True, capture_output=True,
        check=True,
    ).stdout.strip()  # fmt: skip
    git("update-ref", REF, made, cwd=path)
    return op


def rewritten(world: World, path: str, change: Callable[[Any], Any]) -> None:
    """Change a file of the remote's branch, as a later csc-git would have written it."""
    work = world.directory / "later"
    check_out_branch(world, work)
    file = work / "data" / path
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    git("commit", "-qam", "a later csc-git", cwd=work)
    git("push", "-q", cwd=work)


def needs_replay(two: Coordinator) -> None:
    put(two, "s", "other", 1)
    assert state_of(two) == "ok"


def entry(world: World, path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        git("show", f"{REF}:data/{path}", cwd=world.remote)
    )
    return found


@pytest.fixture
def pair_in_step(world: World) -> tuple[Coordinator, Coordinator]:
    one, two = world.open("one"), world.open("two")
    put(one, "s", "k", "base")
    assert [state_of(one), state_of(two)] == ["ok", "ok"]
    return one, two


@pytest.mark.parametrize("trailer", ["Csc-Kind: move", "Csc-Outcome: renamed"])
def test_replaying_an_edit_of_a_later_version_stops_the_sync(
    pair_in_step: tuple[Coordinator, Coordinator], trailer: str
) -> None:
    one, two = pair_in_step
    op = queued_by_later(one, trailer)
    after = put(one, "s", "after", 1)
    needs_replay(two)
    for _ in range(2):
        status = one.syncing.sync()
        assert (status.state, trailer in status.detail) == (
            "format-too-new",
            True,
        )
    assert one.values.retrieve("s", "later").value == "acknowledged"
    assert [one.store.fate(name).where for name in (op, after)] == [
        "local",
        "local",
    ]
    assert one.summary.sync_state().queued == 2
    for decision in (Permit(rewrite=True), Permit(restore=True)):
        assert one.syncing.sync(permit=decision).state == "format-too-new"


def test_an_edit_of_a_later_version_is_pushed_without_replay(
    world: World, pair_in_step: tuple[Coordinator, Coordinator]
) -> None:
    one, two = pair_in_step
    queued_by_later(one, "Csc-Kind: move")
    assert state_of(one) == "ok"
    assert "Csc-Kind: move" in git(
        "log", "-1", "--format=%B", REF, cwd=world.remote
    )
    put(two, "s", "mine", 1)
    assert state_of(two) == "ok"  # in the history it stops no clone
    assert two.values.retrieve("s", "later").value == "acknowledged"
    assert two.past.history("s", "later").edits[0].session == "tester@one"


def test_withdrawing_an_edit_keeps_one_of_a_later_version(
    pair_in_step: tuple[Coordinator, Coordinator],
) -> None:
    one, _ = pair_in_step
    first = put(one, "s", "first", 1)
    queued_by_later(one, "Csc-Kind: move")
    with pytest.raises(FormatTooNew):
        one.store.withdraw(first, clock.now())
    assert one.values.retrieve("s", "later").value == "acknowledged"


def test_unknown_trailers_survive_every_replay(
    world: World, pair_in_step: tuple[Coordinator, Coordinator]
) -> None:
    one, two = pair_in_step
    queued_by_later(one, "Csc-Ttl: 5\nCsc-Ttl: 6\nCsc-Note: a: b")
    for number in range(2):
        put(two, "s", f"other{number}", 1)
        assert state_of(two) == "ok"
        with (
            pytest.MonkeyPatch.context() as patched
        ):  # the first replay is not pushed
            if number == 0:
                fail_pushes(patched, _CUT_OFF)
            one.syncing.sync()
    assert state_of(one) == "ok"
    message = git("log", "-1", "--format=%B", REF, cwd=world.remote)
    assert message.count("Csc-Ttl: 5\nCsc-Ttl: 6\nCsc-Note: a: b") == 1
    assert "Csc-Outcome: applied" in message


_CUT_OFF = RemoteFailure(RemoteState.UNREACHABLE, "cut off")


def test_unknown_members_survive_edits_and_conflicts(
    world: World, pair_in_step: tuple[Coordinator, Coordinator]
) -> None:
    one, two = pair_in_step
    rewritten(world, "s/k.json", lambda found: found | NEW)
    assert [state_of(one), state_of(two)] == ["ok", "ok"]
    put(one, "s", "k", "changed")
    assert state_of(one) == "ok"
    assert entry(world, "s/k.json").items() >= NEW.items()
    assert state_of(two) == "ok"
    put(one, "s", "k", "one's")  # a conflict: both carry the members
    put(two, "s", "k", "two's, later")
    assert [state_of(one), state_of(two)] == ["ok", "ok"]
    (conflict,) = two.conflicts.open()
    assert conflict.lost.value == "one's"
    two.edits.delete(person(two), "s", "k")
    (conflict,) = two.conflicts.open()
    two.conflicts.resolve(person(two), conflict.conflict, "lost")
    assert state_of(two) == "ok"
    assert entry(world, "s/k.json").items() >= NEW.items()


def test_unknown_members_of_leases_and_claims_survive(
    world: World, pair_in_step: tuple[Coordinator, Coordinator]
) -> None:
    one, _ = pair_in_step
    one.authors.sign_on()
    one.claims.claim(None, ["src"])
    assert state_of(one) == "ok"
    rewritten(
        world,
        "claims/src.json",
        lambda found: found | {"value": found["value"] | NEW},
    )
    assert state_of(one) == "ok"
    one.claims.release(None)
    assert state_of(one) == "ok"
    assert entry(world, "claims/src.json")["value"].items() >= NEW.items()
    lease = Lease("h", "c", 1, 60, "active", "2026")
    claim = Claim("src", "a@b", "h", "c", 1, None, "held", "2026")
    for record in (lease, claim):
        again = type(record).from_json({**record.to_json(), **NEW})
        assert again is not None
        assert again.to_json() == {**record.to_json(), **NEW}


def test_unknown_members_of_the_store_survive_a_rotation(
    world: World, pair_in_step: tuple[Coordinator, Coordinator]
) -> None:
    one, _ = pair_in_step
    rewritten(world, "../format.json", lambda found: found | NEW)
    rewritten_file = "docs.md"
    work = world.directory / "later"
    (work / rewritten_file).write_text(
        "what a later version puts beside data/\n"
    )
    git("add", ".", cwd=work)
    git("commit", "-qm", "another file", cwd=work)
    git("push", "-q", cwd=work)
    assert state_of(one) == "ok"
    one.syncing.rotate()
    found = json.loads(git("show", f"{REF}:format.json", cwd=world.remote))
    assert found.items() >= NEW.items()
    assert "later version" in git(
        "show", f"{REF}:{rewritten_file}", cwd=world.remote
    )


def test_a_store_of_a_later_format_is_not_synced(
    world: World, pair_in_step: tuple[Coordinator, Coordinator]
) -> None:
    one, _ = pair_in_step
    rewritten(world, "../format.json", lambda found: found | {"format": 2})
    put(one, "s", "queued", 1)
    assert state_of(one) == "format-too-new"
    assert one.summary.sync_state().queued == 1
