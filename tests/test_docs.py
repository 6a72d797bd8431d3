"""The documentation fits the code: it has every name, its commands run, its links exist."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import anyio
import click
import pytest
from pydantic import BaseModel

from csc_git.cli.main import main
from csc_git.config.settings import Settings
from csc_git.core.remote_state import RemoteState, describe
from csc_git.server.app import Server
from csc_git.server.host import Host
from tests.world import ROOT, World

REFERENCE = "\n".join(
    page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md")
)
GUIDES = [
    *(ROOT / "docs" / "guides").glob("*.md"),
    ROOT / "docs" / "reference" / "settings.md",
]
PAGES = [
    ROOT / "README.md",
    *(ROOT / "docs").rglob("*.md"),
    ROOT / "examples" / "README.md",
]


def test_the_reference_has_every_tool_argument_and_result() -> None:
    tools = anyio.run(Server(Host(ROOT)).list_tools)
    for tool in tools:
        line = next(
            line
            for line in REFERENCE.splitlines()
            if line.startswith(f"| `{tool.name}`")
        )
        for name in tool.input_schema["properties"]:
            assert f"`{name}`" in line or name == "session", (tool.name, name)
        assert tool.output_schema
        for name in tool.output_schema["properties"]:
            assert f"`{name}`" in line, (tool.name, name)


def test_the_reference_has_every_command() -> None:
    cli = (ROOT / "docs" / "reference" / "cli.md").read_text()
    for name in main.list_commands(click.Context(main)):
        assert (
            re.search(rf"^\| `{name}\b", cli, re.MULTILINE)
            or f"csc-git {name}" in cli
        ), name


def test_the_reference_has_every_setting_and_state() -> None:
    for name in Settings.model_fields:
        assert f"| `{name}` |" in REFERENCE, name
    for state in RemoteState:
        assert f"| `{state}` |" in REFERENCE, state
    assert issubclass(Settings, BaseModel)


def test_troubleshooting_has_the_text_of_every_state() -> None:
    page = (ROOT / "docs" / "guides" / "troubleshooting.md").read_text()
    for state in set(RemoteState) - {RemoteState.OK}:
        what, then = describe(state)
        assert f"**{what}.** (`{state}`) {then}." in page, state


def test_the_site_is_built_without_warnings(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "-q",
        "-b",
        "html",
        "docs",
        str(tmp_path),
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    home = (tmp_path / "index.html").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        assert (tmp_path / name).exists()
        assert name == "index.html" or f'href="{name}"' in home, name


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_the_commands_of_each_guide_run(world: World, page: Path) -> None:
    """All `sh` blocks run, one after the other, in a clone of a project."""
    clone = world.clone("project")
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", "\n".join(blocks)], cwd=clone, capture_output=True, text=True, check=False,
        env=os.environ | {"PATH": path}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_json_examples_are_valid(page: Path) -> None:
    for block in re.findall(r"```json\n(.*?)```", page.read_text(), re.DOTALL):
        json.loads(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_test_files_exist(page: Path) -> None:

    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link
    for test in re.findall(r"`(tests/\w+\.py)`", page.read_text()):
        assert (ROOT / test).exists(), test


def test_the_commands_of_the_tutorial_run(tmp_path: Path) -> None:
    """All commands before the agent's part run in one shell, as a reader types them."""

    text = (ROOT / "docs" / "tutorial.md").read_text()
    blocks = re.findall(
        r"```sh\n(.*?)```", text.partition("## Let an agent in")[0], re.DOTALL
    )
    script = "set -e\n" + "\n".join(blocks)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PATH": path}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "issue:15/status: synced", "plan/date: local", '"Monday"', '"docs": "first"',
        '"owner": "laptop"', "conflicts plan/date", "csc-git resolve ID --current", "(merged)",
    ):  # fmt: skip
        assert words in done.stdout, done.stdout
