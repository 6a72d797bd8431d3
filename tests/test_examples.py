"""The examples and the demo run with real servers, and print what they promise."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.world import ROOT

EXPECTED = {
    "work_assignment": ["issue 15 is claude_1@", "taken: [15, 16]", "claims: issue:15, issue:16"],
    "shared_state": ["decisions: database=sqlite, license=MIT, transport=stdio"],
    "resource_reservation": [
        "laptop: granted", "desktop: taken by claude_1@laptop for load test",
        "laptop deploys: True", "desktop, later: granted", "fence rose: True",
        "laptop deploys late: False",
    ],
    "progress_broadcast": ["claude_1@laptop issue 15 100 %", "claude_1@desktop issue 16 100 %"],
    "task_queue": ["all done: True", "each once: True"],
    "hand_off": ["claude_1@laptop finds: handoff, todos", "next is to write tests for unicode"],
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_prints_what_it_promises(name: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for line in EXPECTED[name]:
        assert line in done.stdout, done.stdout


def test_every_example_is_tested() -> None:
    scripts = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert scripts == {*EXPECTED, "two_agents"}


def test_the_demo_runs_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "csc_git", "demo", "--fast"],
        capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for words in (
        "claude_1@laptop", "synced", "merged by member", "the later one is current", "conflict",
        "wrote", "sign_off", "git log csc/state", "(merged)",
    ):  # fmt: skip
        assert words in done.stdout, done.stdout
    assert "\x1b" not in done.stdout
    *lines, command = (
        done.stdout.splitlines()
    )  # the command carries a path, however long
    assert max(map(len, lines)) <= 80
    assert command.split()[-1] == "init"
    assert list(tmp_path.iterdir()) == [tmp_path / "home"]
