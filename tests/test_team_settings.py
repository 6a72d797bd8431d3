"""Settings that a team agrees on: they hold for all clones, and a person's own come first."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from csc_git.coordinator import clock
from csc_git.core.key import TEAM_KEY
from csc_git.store.transaction import Draft
from tests.commands import csc, csc_here
from tests.world import World, git, put, state_of


def in_effect(clone: Path, *flags: str) -> dict[str, tuple[object, str]]:
    """Each setting's value in a clone, and where it comes from."""
    found = json.loads(csc("team", "--json", *flags, cwd=clone).stdout)[
        "settings"
    ]
    return {one["name"]: (one["value"], one["source"]) for one in found}


def test_a_setting_agreed_in_one_clone_holds_in_another(
    world: World, clone: Path
) -> None:
    two = world.clone("two")
    csc("team", "set", "lease", "3600", cwd=clone)
    csc("team", "set", "limit", "2KiB", cwd=clone)
    assert "agree on lease" in csc("log", cwd=clone).stdout
    csc("sync", cwd=two)
    assert in_effect(two)["lease"] == (3600, "team")
    assert in_effect(two)["poll"] == (30.0, "default")
    assert (
        "the limit is 2,048"
        in csc("set", "a", "k", f'"{"x" * 3000}"', cwd=two, code=1).stderr
    )
    assert (
        world.open(two).sessions.sign_on(None, clock.now()).lease.seconds
        == 3600
    )
    csc("team", "unset", "limit", cwd=clone)
    assert in_effect(clone)["limit"] == (1048576, "default")
    edits = len(world.log())
    csc("team", "unset", "limit", cwd=clone)  # nothing is agreed on: no edit
    csc("team", "set", "lease", "3600", cwd=clone)
    assert len(world.log()) == edits


def test_a_persons_own_setting_wins(clone: Path) -> None:
    csc("team", "set", "poll", "60", cwd=clone)
    git("config", "csc.poll", "5", cwd=clone)
    assert in_effect(clone)["poll"] == (5.0, "git config csc.poll")
    assert in_effect(clone, "--poll", "7")["poll"] == (7.0, "--poll")


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
def test_a_value_out_of_bounds_is_refused(
    clone: Path, name: str, value: str
) -> None:
    error = csc("team", "set", name, value, cwd=clone, code=1).stderr
    assert f"The team's setting {name} can't be used" in error
    assert csc("ls", cwd=clone).stdout == ""


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"version": 1, "lease": -1}, "team's setting lease can't be used"),
        ({"version": 2, "lease": 60}, "Upgrade csc-git"),
        ([], "not stored as a JSON object"),
        ("x", "not stored as a JSON object"),
        ({"poll": 1e-9}, "team's setting poll can't be used"),
    ],
)
def test_an_unusable_team_record_is_reported_and_ignored(
    world: World, clone: Path, value: object, complaint: str
) -> None:
    store_team_settings(world, clone, value)
    assert complaint in csc("team", cwd=clone).stderr
    assert (
        complaint
        in json.loads(csc("team", "--json", cwd=clone).stdout)["unusable"][0]
    )
    two = world.open(clone)
    put(two, "a", "k", 1)
    assert two.sessions.sign_on(None, clock.now()).lease.seconds == 5400


def store_team_settings(
    world: World, clone: Path, value: object, ahead: timedelta = timedelta()
) -> None:
    one = world.open(clone)
    draft = Draft("by hand", "mallory@x", {TEAM_KEY: value})
    one.store.transact(lambda _: draft, clock.now() + ahead)
    assert state_of(one) == "ok"


def test_an_unusable_setting_leaves_the_others_usable(
    world: World, clone: Path
) -> None:
    store_team_settings(
        world, clone, {"version": "x", "lease": 1, "poll": 60, "theirs": [1]}
    )
    assert in_effect(clone)["lease"] == (5400, "default")
    assert in_effect(clone)["poll"] == (60, "team")
    done = csc("team", "set", "limit", "2KiB", cwd=clone)
    assert done.stderr.count("can't be used") == 1
    csc("team", "set", "lease", "600", cwd=clone)
    stored = json.loads(
        csc("get", "settings", "team", "--json", cwd=clone).stdout
    )["value"]
    assert stored == {
        "version": 1,
        "lease": 600,
        "limit": 2048,
        "poll": 60,
        "theirs": [1],
    }


def test_settings_of_a_later_version_are_not_overwritten(
    world: World, clone: Path
) -> None:
    store_team_settings(world, clone, {"version": 2, "lease": {"of": 60}})
    for change in (["set", "lease", "600"], ["unset", "lease"]):
        assert (
            "Upgrade csc-git" in csc("team", *change, cwd=clone, code=1).stderr
        )


def test_two_settings_agreed_at_once_are_both_kept(
    world: World, clone: Path
) -> None:
    two = world.clone("two")
    csc("sync", cwd=two)
    csc("team", "set", "lease", "600", cwd=clone)
    csc("team", "set", "poll", "60", "--no-sync", cwd=two)
    csc("sync", cwd=two)
    assert (in_effect(two)["lease"], in_effect(two)["poll"]) == (
        (600, "team"),
        (60, "team"),
    )
    assert "settings/team" not in csc("conflicts", cwd=two).stdout


def test_one_setting_agreed_twice_at_once_reports_the_loss(
    world: World, clone: Path
) -> None:
    """The later value wins, and the other author gets an error."""
    two = world.clone("two")
    csc("sync", cwd=two)
    store_team_settings(
        world, clone, {"version": 1, "lease": 700}, timedelta(hours=1)
    )
    done = csc("team", "set", "lease", "900", cwd=two, code=1)
    assert (
        "Somebody else changed lease at the same time: it is 700 now"
        in done.stderr
    )
    assert in_effect(two)["lease"] == (700, "team")
    assert "settings/team" in csc("conflicts", cwd=two).stdout


def test_the_teams_value_is_shown_beside_an_overriding_one(
    clone_cwd: Path,
) -> None:
    git("config", "csc.guard", "off", cwd=clone_cwd)
    assert "git config csc.guard (the team: block)" in csc_here(
        "team", "set", "guard", "block"
    )
    assert "(the team" not in csc_here("team", "unset", "guard")
