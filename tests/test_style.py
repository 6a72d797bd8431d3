"""The tools that keep the house in order find nothing to say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
def test_clean(command: list[str], fresh_user: Path) -> None:
    env = os.environ | {"HOME": str(fresh_user), "COLUMNS": "100"}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=env
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_outgrew_its_noun() -> None:
    long = {
        path.name: lines
        for path in (ROOT / "csc_git").rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 500
    }
    assert long == {}
