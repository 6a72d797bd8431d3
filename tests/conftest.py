"""Fixtures: every test has its own home, its own remote, and git as a fresh user has it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from csc_git.coordinator.coordinator import Coordinator
from tests.git_servers import HttpServer, http_server
from tests.world import World, git, put, state_of

_QUICK = frozenset({
    "test_branch_layout", "test_claims", "test_conditions", "test_conflicts", "test_core",
    "test_format_compatibility", "test_pace", "test_packs", "test_replay", "test_secrets",
    "test_settings_document",
})  # fmt: skip
"""Modules of quick tests, which a contributor runs while coding. All others are `slow`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of all modules but the quick ones."""
    for item in items:
        if item.path.stem not in _QUICK:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def fresh_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory and git settings of its own, whoever runs the tests."""
    home = tmp_path / "home"
    home.mkdir()
    for name in list(os.environ):
        if name.startswith(("GIT_", "CSC_", "SSH_")) or name.lower().endswith(
            "_proxy"
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Test\n\temail = test@example.com\n"
        '[init]\n\tdefaultBranch = main\n[protocol "file"]\n\tallow = always\n',
        encoding="utf-8",
    )
    return home


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A bare remote with a first commit, and whatever clones the test asks for."""
    world = World(tmp_path)
    yield world
    world.close()


@pytest.fixture
def clone(world: World) -> Path:
    """A clone of the machine `one`."""
    path = world.clone("one")
    git("config", "csc.machine", "one", cwd=path)
    return path


@pytest.fixture
def clone_cwd(world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone that is the current directory."""
    path = world.clone("one")
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def unsynced_clone(clone: Path) -> Path:
    """A clone of the machine `one` whose settings switch the sync off."""
    git("config", "csc.sync", "false", cwd=clone)
    return clone


@pytest.fixture
def one(world: World) -> Coordinator:
    """A clone that stored a/good = 1, which the remote has."""
    coordinator = world.open("one")
    put(coordinator, "a", "good", 1)
    assert state_of(coordinator) == "ok"
    return coordinator


@pytest.fixture
def pair(world: World) -> list[Coordinator]:
    """Two clones in step, with a counter s/n at 0."""
    both = [world.open("one"), world.open("two")]
    put(both[0], "s", "n", 0)
    for coordinator in both:
        coordinator.syncing.sync()
    return both


@pytest.fixture
def http(world: World, tmp_path: Path) -> Iterator[HttpServer]:
    """The remote behind an http server, which a test can make slow, broken or protected."""
    world.make_remote()
    with http_server(tmp_path) as server:
        yield server


@pytest.fixture
def busy(world: World, clone: Path) -> Coordinator:
    """A clone with a session that has an issue, todos and a claim."""
    one = world.open(clone)
    session = one.authors.sign_on("builder").session
    put(
        one,
        f"session:{session}",
        "current_issue",
        "issue 15 \x1b[31m [bold]is[/bold] red",
    )
    put(one, f"session:{session}", "todos", [1, {"status": "done"}, 3])
    one.claims.claim(None, ["src/api"], note="the parser")
    return one
