"""The linters, the type checker and the import rules report nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.style import figures
from tests.world import ROOT

_BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        [str(_BIN / "ruff"), "check", "."],
        [str(_BIN / "ruff"), "format", "--check", "."],
        [str(_BIN / "mypy")],
        [str(_BIN / "lint-imports")],
    ],
    ids=["ruff", "format", "mypy", "import-linter"],
)
def test_each_tool_reports_a_clean_tree(
    command: list[str], fresh_user: Path
) -> None:
    env = os.environ | {"HOME": str(fresh_user), "COLUMNS": "100"}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_module_has_more_than_500_lines() -> None:
    long = {
        path.name: lines
        for path in (ROOT / "csc_git").rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 500
    }
    assert long == {}


def test_the_figures_of_the_house_style_are_met() -> None:
    missed = [one for one in figures(ROOT / "csc_git") if not one.is_met]
    places = [f"{one.name}: {one.value:.2f} {one.places[:5]}" for one in missed]
    assert places == []
