"""Fixtures: every test has its own home, its own remote, and git as a fresh user has it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import World

_QUICK = frozenset({
    "test_claims", "test_conditions", "test_core", "test_format", "test_layout", "test_pace",
    "test_packs", "test_replay", "test_secrets",
})  # fmt: skip
"""Modules of quick tests, which a contributor runs while coding; all others are `slow`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of all modules but the quick ones."""
    for item in items:
        if item.path.stem not in _QUICK:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def fresh_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory and git settings that owe nothing to whoever runs the tests."""
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
