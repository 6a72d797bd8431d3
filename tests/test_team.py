"""What a team agrees on: for all clones, checked by whoever reads it, beaten by one's own."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from csc_git.coordinator import clock
from csc_git.core.key import TEAM_KEY
from csc_git.store.transaction import Draft
from tests.test_cli import csc
from tests.world import World, git, put, state_of


@pytest.fixture
def clone(world: World) -> Path:
    path = world.clone("one")
    git("config", "csc.machine", "one", cwd=path)
    return path


def holds(clone: Path, *flags: str) -> dict[str, tuple[object, str]]:
    found = json.loads(csc("team", "--json", *flags, cwd=clone).stdout)[
        "settings"
    ]
    return {one["name"]: (one["value"], one["source"]) for one in found}


def test_agreed_here_it_holds_there(world: World, clone: Path) -> None:
    two = world.clone("two")
    csc("team", "set", "lease", "3600", cwd=clone)
    csc("team", "set", "limit", "2KiB", cwd=clone)
    assert "agree on lease" in csc("log", cwd=clone).stdout
    csc("sync", cwd=two)
    assert holds(two)["lease"] == (3600, "team")
    assert holds(two)["poll"] == (30.0, "default")
    assert (
        "the limit is 2,048"
        in csc("set", "a", "k", f'"{"x" * 3000}"', cwd=two, code=1).stderr
    )
    assert (
        world.open(two).sessions.sign_on(None, clock.now()).lease.seconds
        == 3600
    )
    csc("team", "unset", "limit", cwd=clone)
    assert holds(clone)["limit"] == (1048576, "default")
    edits = len(world.log())
    csc("team", "unset", "limit", cwd=clone)  # nothing is agreed on: no edit
    csc("team", "set", "lease", "3600", cwd=clone)
    assert len(world.log()) == edits


def test_what_a_person_sets_wins(clone: Path) -> None:
    csc("team", "set", "poll", "60", cwd=clone)
    git("config", "csc.poll", "5", cwd=clone)
    assert holds(clone)["poll"] == (5.0, "git config csc.poll")
    assert holds(clone, "--poll", "7")["poll"] == (7.0, "--poll")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lease", "5"),
        ("lease", "x"),
        ("limit", "1"),
        ("poll", "0.1"),
        ("guard", "shoot"),
    ],
)
def test_out_of_bounds(clone: Path, name: str, value: str) -> None:
    said = csc("team", "set", name, value, cwd=clone, code=1).stderr
    assert f"The team's {name} can't be used" in said
    assert csc("ls", cwd=clone).stdout == ""


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"version": 1, "lease": -1}, "team's lease can't be used"),
        ({"version": 2, "lease": 60}, "Upgrade csc-git"),
        ([], "no JSON object"),
        ("x", "no JSON object"),
        ({"poll": 1e-9}, "team's poll can't be used"),
    ],
)
def test_what_somebody_put_there_by_hand_harms_nobody(
    world: World, clone: Path, value: object, complaint: str
) -> None:
    by_hand(world, clone, value)
    assert complaint in csc("team", cwd=clone).stderr
    assert (
        complaint
        in json.loads(csc("team", "--json", cwd=clone).stdout)["unusable"][0]
    )
    two = world.open(clone)
    put(two, "a", "k", 1)
    assert two.sessions.sign_on(None, clock.now()).lease.seconds == 5400


def by_hand(
    world: World, clone: Path, value: object, ahead: timedelta = timedelta()
) -> None:
    one = world.open(clone)
    draft = Draft("by hand", "mallory@x", {TEAM_KEY: value})
    one.store.transact(lambda _: draft, clock.now() + ahead)
    assert state_of(one) == "ok"


def test_one_that_cannot_be_used_is_in_nobodys_way(
    world: World, clone: Path
) -> None:
    by_hand(
        world, clone, {"version": "x", "lease": 1, "poll": 60, "theirs": [1]}
    )
    assert holds(clone)["lease"] == (5400, "default")
    assert holds(clone)["poll"] == (60, "team")
    done = csc("team", "set", "limit", "2KiB", cwd=clone)
    assert done.stderr.count("can't be used") == 1
    csc("team", "set", "lease", "600", cwd=clone)
    said = json.loads(
        csc("get", "settings", "team", "--json", cwd=clone).stdout
    )["value"]
    assert said == {
        "version": 1,
        "lease": 600,
        "limit": 2048,
        "poll": 60,
        "theirs": [1],
    }


def test_what_a_later_one_wrote_is_not_written_over(
    world: World, clone: Path
) -> None:
    by_hand(world, clone, {"version": 2, "lease": {"of": 60}})
    for change in (["set", "lease", "600"], ["unset", "lease"]):
        assert (
            "Upgrade csc-git" in csc("team", *change, cwd=clone, code=1).stderr
        )


def test_agreeing_on_two_settings_at_the_same_time(
    world: World, clone: Path
) -> None:
    two = world.clone("two")
    csc("sync", cwd=two)
    csc("team", "set", "lease", "600", cwd=clone)
    csc("team", "set", "poll", "60", "--no-sync", cwd=two)
    csc("sync", cwd=two)
    assert (holds(two)["lease"], holds(two)["poll"]) == (
        (600, "team"),
        (60, "team"),
    )
    assert "settings/team" not in csc("conflicts", cwd=two).stdout


def test_agreeing_on_one_setting_at_the_same_time(
    world: World, clone: Path
) -> None:
    """The later one stands; whose did not is told so."""
    two = world.clone("two")
    csc("sync", cwd=two)
    by_hand(world, clone, {"version": 1, "lease": 700}, timedelta(hours=1))
    done = csc("team", "set", "lease", "900", cwd=two, code=1)
    assert (
        "Somebody else changed lease at the same time: it is 700 now"
        in done.stderr
    )
    assert holds(two)["lease"] == (700, "team")
    assert "settings/team" in csc("conflicts", cwd=two).stdout
