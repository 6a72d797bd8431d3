"""The documentation is true of the code: every name it must have, and no broken link."""

import os
import re
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from pydantic import BaseModel

from csc_git.config.settings import Settings
from csc_git.git.failure import RemoteState
from csc_git.server.app import Server
from csc_git.server.host import Host
from tests.world import ROOT

REFERENCE = (ROOT / "docs" / "reference.md").read_text()
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "examples" / "README.md"]


def test_the_reference_has_every_tool_argument_and_result() -> None:
    tools = anyio.run(Server(Host(ROOT)).list_tools)
    for tool in tools:
        line = next(line for line in REFERENCE.splitlines() if line.startswith(f"| `{tool.name}`"))
        for name in tool.input_schema["properties"]:
            assert f"`{name}`" in line or name == "session", (tool.name, name)
        assert tool.output_schema
        for name in tool.output_schema["properties"]:
            assert f"`{name}`" in line, (tool.name, name)


def test_the_reference_has_every_setting_and_state() -> None:
    for name in Settings.model_fields:
        assert f"| `{name}` |" in REFERENCE, name
    for state in RemoteState:
        assert f"| `{state}` |" in REFERENCE, state
    assert issubclass(Settings, BaseModel)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:

    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link
    for test in re.findall(r"`(tests/\w+\.py)`", page.read_text()):
        assert (ROOT / test).exists(), test


def test_the_tutorial_can_be_typed(tmp_path: Path) -> None:
    """Every command up to the agent's part, in one shell, as a reader would."""

    text = (ROOT / "docs" / "tutorial.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", text.partition("## Let an agent in")[0], re.DOTALL)
    script = "set -e\n" + "\n".join(blocks)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PATH": path}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "issue:15/status: synced", "plan/date: local", '"Monday"', '"docs": "first"',
        '"owner": "laptop"', "conflicts plan/date", "csc-git resolve ID --standing", "(merged)",
    ):  # fmt: skip
        assert words in done.stdout, done.stdout
