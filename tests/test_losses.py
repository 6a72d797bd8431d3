"""Ways in which a write was once lost, doubled, or told falsely; each was seen to happen."""

import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.errors import StorageFailed
from csc_git.store.attempt import Attempt
from csc_git.store.branch import Branch
from csc_git.store.replica import Replica
from tests.world import REF, ROOT, World, git, person, put, state_of

SYNC = """
import sys
from pathlib import Path
from csc_git.coordinator.factory import open_coordinator
print(open_coordinator(Path(sys.argv[1]), {"machine": "two", "timeout": 20}).sync().state)
"""


def twice(world: World) -> dict[str, int]:
    """Ops that the remote has more than once."""
    counted = Counter(record.op for record in world.log())
    return {op: count for op, count in counted.items() if count > 1}


def declining(world: World, word: str = "BAD") -> Path:
    """A hook that declines every push of a commit that adds a word."""
    hook = world.make_remote() / "hooks" / "pre-receive"
    hook.write_text(
        "#!/bin/sh\nwhile read old new ref; do\n"
        'has=$(git rev-parse -q --verify "$ref" || true)\n'
        f'if git log -p ${{has:+^$has}} $new -- data | grep -q "^+.*{word}"; then\n'
        "echo a secret; exit 1; fi\ndone\n"
    )
    hook.chmod(0o755)
    return hook


# A crash between the two refs that a sync moves


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize("fault", ["signal=KILL", "error=ENOSPC:when=1"])
@pytest.mark.parametrize("queued", [0, 2])
def test_a_crash_between_base_and_tip_rewinds_nothing(
    world: World, fault: str, queued: int
) -> None:
    one, two = world.open("one"), world.open("two")
    put(one, "s", "first", 1)
    assert [state_of(one), state_of(two)] == ["ok", "ok"]
    confirmed = [put(one, "s", f"k{n}", n, confirm=True) for n in range(3)]
    mine = [put(two, "t", f"k{n}", n) for n in range(queued)]
    head = two.store.repository.path / "refs" / "heads" / "csc" / "state.lock"
    subprocess.run(
        ["strace", "-f", "-o", "/dev/null", "-P", str(head), "-e", "trace=rename",
         "-e", f"inject=rename:{fault}", sys.executable, "-c", SYNC, str(world.directory / "two")],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert two.store.branch.base != two.store.branch.tip, (
        "the fault was meant to come in between"
    )
    assert state_of(two) == "ok"
    assert {record.op for record in world.log()} >= {*confirmed, *mine}
    assert not twice(world)
    assert state_of(one) == "ok"
    assert one.store.branch.tip == two.store.branch.tip


# Edits and releases that come while a sync runs


def test_an_edit_made_while_a_sync_begins_is_placed_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = world.open("one"), world.open("two")
    put(one, "s", "a", 1, confirm=True)
    put(two, "s", "b", 1)
    real = Branch.parked

    def held(branch: Branch) -> dict[str, str]:
        if threading.current_thread() is threading.main_thread() and not made:
            made.append("")  # not again for what this write itself asks
            made[0] = put(two, "s", "c", 1)
        return real(branch)

    made: list[str] = []
    monkeypatch.setattr(Branch, "parked", held)
    two.sync()
    two.sync()
    assert made
    assert not twice(world)
    assert made[0] in {record.op for record in world.log()}


@pytest.fixture
def held(world: World) -> tuple[Coordinator, str]:
    """A clone with one held edit; its op."""
    declining(world)
    one = world.open("one")
    put(one, "s", "a", 1)
    op = put(one, "s", "k", "BAD")
    put(one, "s", "b", 1)
    one.sync()
    assert list(one.store.branch.parked()) == [op]
    return one, op


def test_a_release_waits_for_a_running_sync(
    world: World, held: tuple[Coordinator, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, op = held
    (world.remote / "hooks" / "pre-receive").unlink()
    put(world.open("two"), "t", "x", 1, confirm=True)
    put(one, "s", "c", 1)
    released: list[object] = []
    other = world.open("one")
    thread = threading.Thread(target=lambda: released.append(other.release(op)))
    real = Replica.replay

    def replay(*arguments: object, **options: object) -> list[str]:
        if not thread.is_alive() and not released:
            thread.start()
            thread.join(
                1.0
            )  # it must not get through; if it does, the op would be lost
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Replica, "replay", replay)
    one.sync()
    monkeypatch.setattr(Replica, "replay", real)
    thread.join(30)
    assert [str(outcome) for outcome in released] == ["applied"]
    one.sync()
    assert one.store.fate(op).where == "synced"
    assert not twice(world)


def test_two_releases_at_once_queue_it_once(
    held: tuple[Coordinator, str], world: World
) -> None:
    one, op = held
    (world.remote / "hooks" / "pre-receive").unlink()
    answers: list[object] = []
    with one.store.repository.writing():
        threads = [
            threading.Thread(target=lambda c=c: answers.append(c.release(op)))
            for c in (world.open("one"), world.open("one"))
        ]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(map(str, answers)) == ["None", "applied"]
    one.sync()
    assert not twice(world)


@pytest.mark.parametrize("decision", ["release", "drop"])
def test_a_held_edit_that_is_still_queued(
    world: World, monkeypatch: pytest.MonkeyPatch, decision: str
) -> None:
    """As when an attempt ends between holding it and making the queue again without it."""
    hook = declining(world)
    one = world.open("one")
    put(one, "s", "a", 1)
    op = put(one, "s", "k", "BAD")
    with monkeypatch.context() as patch:
        patch.setattr(Attempt, "_adopt", _cut_off)
        assert state_of(one) == "local-storage"
    assert list(one.store.branch.parked()) == [op]
    assert op in one.store.branch.queued_ops()
    hook.unlink()
    if decision == "drop":
        assert one.store.drop(op, clock.now())
        assert state_of(one) == "ok"
        assert op not in {record.op for record in world.log()}
        assert "BAD" not in git("log", "-p", REF, cwd=world.remote)
        assert not one.retrieve("s", "k").found
    else:
        assert one.release(op) == "applied"
        assert state_of(one) == "ok"
        assert op in {record.op for record in world.log()}
        assert not twice(world)


def _cut_off(*_: object) -> None:
    raise OSError("the power went")


def test_many_declined_edits_do_not_keep_good_ones_back(world: World) -> None:
    declining(world)
    one = world.open("one")
    bad = [put(one, "s", "k", f"BAD {number}") for number in range(20)]
    good = [put(one, "s", f"good{number}", number) for number in range(3)]
    for _ in range(3):
        one.sync()
    assert [one.store.fate(op).where for op in good] == ["synced"] * 3
    assert set(one.store.branch.parked()) == set(bad)
    assert state_of(one) == "ok"


def test_what_the_remote_declines_for_ever_can_be_dropped(world: World) -> None:
    declining(world, word="value")
    one = world.open("one")
    op = put(one, "s", "k", 1)
    assert state_of(one) == "declined"
    assert not one.store.branch.parked()
    assert one.store.drop(op, clock.now())
    assert not one.store.branch.queue()
    assert not one.store.drop(op, clock.now())


# What is said of an edit


def test_deleting_a_deleted_scope_is_not_synced_before_the_deletion_is(
    world: World,
) -> None:
    one = world.open("one")
    put(one, "s", "k", 1, confirm=True)
    first = one.edits.delete_scope(person(one), "s")
    again = one.edits.delete_scope(person(one), "s")
    assert (first.status, again.status, again.deleted) == (
        "local",
        "local",
        False,
    )
    one.sync()
    assert one.edits.delete_scope(person(one), "s").status == "synced"


def test_a_confirmed_write_that_lost_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = world.open("one"), world.open("two")
    put(one, "s", "k", 0, confirm=True)
    two.sync()
    now = clock.now()
    monkeypatch.setattr(
        clock, "now", lambda: now.replace(year=now.year + 0, microsecond=0)
    )
    late = clock.now()
    monkeypatch.setattr(
        clock, "now", lambda: late.replace(minute=59, second=59)
    )
    put(one, "s", "k", "theirs", confirm=True)
    monkeypatch.setattr(clock, "now", lambda: late.replace(minute=0, second=0))
    mine = two.edits.put(person(two), "s", "k", "mine", confirm=True)
    assert (mine.status, mine.outcome) == ("synced", "lost")
    assert "open conflict" in mine.reason
    assert mine.revision == two.retrieve("s", "k").revision
    assert two.retrieve("s", "k").value == "theirs"


# What others put on the branch


@pytest.mark.parametrize(
    "spoil",
    [
        (b"author", b"nobody"),
        (b"<test@example.com>", b"test@example.com"),
        (b" +0000", b" +zzzz"),
        (b"\n\n", b"\nmergetag x\n\n"),
        (b"> 1", b"> 99999999999991"),
    ],
    ids=["no author", "no mail", "no zone", "bad tag", "far future"],
)
def test_a_malformed_commit_stops_nobody(
    world: World, spoil: tuple[bytes, bytes]
) -> None:
    one, two = world.open("one"), world.open("two")
    put(one, "s", "a", 1, confirm=True)
    two.sync()
    git("config", "receive.fsckObjects", "false", cwd=world.remote)
    raw = subprocess.run(
        ["git", "cat-file", "commit", REF],
        cwd=world.remote,
        capture_output=True,
        check=True,
    ).stdout
    tip = git("rev-parse", REF, cwd=world.remote)
    head, _, rest = raw.partition(b"\n")
    parent = rest[: rest.index(b"author")]
    spoilt = (
        head
        + b"\nparent "
        + tip.encode()
        + b"\n"
        + rest[len(parent) :].replace(*spoil, 1)
    )
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin", "--literally"],
        cwd=world.remote, input=spoilt, capture_output=True, check=True,
    ).stdout.decode().strip()  # fmt: skip
    (world.remote / REF).write_text(made + "\n")
    put(two, "s", "b", 2)
    assert state_of(two) == "ok", two.store.status.detail
    assert state_of(one) == "ok"
    assert one.retrieve("s", "b").value == 2


def test_a_merge_by_hand_is_no_rewrite(world: World) -> None:
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
    assert one.list_keys("s").keys == ["a", "b", "c"]


def test_a_refusal_that_is_no_race_is_not_called_one(world: World) -> None:
    one = world.open("one")
    put(one, "s", "a", 1, confirm=True)
    (
        world.remote / f"{REF}.lock"
    ).touch()  # as a crashed git on the server leaves it
    put(one, "s", "b", 2)
    assert state_of(one) == "failed"
    assert "lock" in one.store.status.detail
    (world.remote / f"{REF}.lock").unlink()
    assert state_of(one) == "ok"


DYING = """
import os, sys
from pathlib import Path
from csc_git.coordinator.factory import open_coordinator
from csc_git.git.remote import LostRace, Remote
from tests.world import put
one = open_coordinator(Path(sys.argv[1]), {"machine": "one", "timeout": 20})
ready, set_ref, push = sys.argv[2] == "held", one.store.repository.set_ref, Remote.push
losses = 0 if ready else 2

def pushed(remote, commit, expected):
    global losses, ready
    if losses and remote._project.top.name == "one":
        losses -= 1
        if not losses:
            other = open_coordinator(Path(sys.argv[1]).parent / "two", {"machine": "two"})
            put(other, "t", "x", 2)
            other.sync()
        raise LostRace("overtaken")
    push(remote, commit, expected)
    ready = ready or remote._project.top.name == "one"

def moved(name, *arguments):
    set_ref(name, *arguments)
    if name.startswith("refs/csc/base") and ready and (one.store.branch.parked() or losses == 0):
        os.kill(os.getpid(), 9)

Remote.push, one.store.repository.set_ref = pushed, moved
one.sync()
"""


def killed_between_base_and_tip(world: World, when: str) -> None:
    arguments = [
        sys.executable,
        "-c",
        DYING,
        str(world.directory / "one"),
        when,
    ]
    done = subprocess.run(
        arguments, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr


def test_a_crash_after_an_edit_was_set_aside_doubles_none(world: World) -> None:
    """The remote has the others as they were replayed without it: under other ids than here."""
    one = world.open("one")
    put(one, "s", "zero", 0, confirm=True)
    declining(world)
    put(one, "s", "good", 1)
    put(one, "s", "k", "BAD")
    op = put(one, "s", "count", 3, if_revision="absent")
    one.close()
    killed_between_base_and_tip(world, "held")
    again = world.open("one")
    assert state_of(again) == "ok"
    assert not twice(world)
    assert str(again.store.fate(op).outcome) == "applied"
    assert again.conflicts.open() == []


def test_a_crash_after_the_oldest_edits_were_pushed_alone_doubles_none(
    world: World,
) -> None:
    one, two = world.open("one"), world.open("two")
    put(one, "s", "z", 0, confirm=True)
    two.sync()
    ops = [put(one, "s", "counter", n) for n in range(40)]
    put(two, "t", "x", 1, confirm=True)
    one.close()
    killed_between_base_and_tip(world, "overtaken")
    assert state_of(world.open("one")) == "ok"
    assert not twice(world)
    assert {record.op for record in world.log()} >= {*ops}


def by_hand(world: World, file: str, text: str) -> None:
    """Somebody commits to the branch without csc-git."""
    place = world.directory / "hand"
    if not place.exists():
        git(
            "clone",
            "-q",
            "-b",
            "csc/state",
            str(world.remote),
            str(place),
            cwd=world.directory,
        )
    git("pull", "-q", cwd=place)
    (place / file).write_text(text, encoding="utf-8")
    git("add", file, cwd=place)
    git("commit", "-q", "-m", "by hand", cwd=place)
    git("push", "-q", cwd=place)


def test_a_commit_made_by_hand_hides_no_edit_that_arrived(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = world.open("one")
    put(one, "s", "e", 1)
    op = put(one, "s", "e", 2, if_revision=one.retrieve("s", "e").revision)
    with monkeypatch.context() as patch:
        patch.setattr(
            one.store.branch, "confirm", lambda _: 1 / 0
        )  # the answer is never seen
        one.sync()
    by_hand(world, "README.md", "x")
    assert state_of(one) == "ok"
    assert not twice(world)
    assert one.store.fate(op).outcome is None
    assert one.conflicts.open() == []


def test_what_is_stored_is_not_called_not_stored(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk refuses while the fate of an edit is looked up, which was stored before."""
    one = world.open("one")
    put(one, "s", "z", 0, confirm=True)

    def refuse(_: str) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(one.store, "fate", refuse)
    with pytest.raises(StorageFailed, match="The edit is stored here"):
        put(one, "s", "k", 1, confirm=True)
    assert one.retrieve("s", "k").value == 1
