"""Clients' settings: added to, never rewritten; shown beforehand; undone to the very byte."""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import json5
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csc_git.clients import registration
from csc_git.clients.client import CLIENTS
from csc_git.clients.document import Document
from csc_git.clients.registration import ServerRegistration
from csc_git.errors import InvalidSetting
from csc_git.files.durable import replace_file
from tests.test_cli import csc
from tests.world import World, git, installed

COMMENTED = """{
  // what our team uses
  "servers": { // keep sorted
    // the tracker
    "tracker": {"command": "npx", "args": ["-y", "tracker"],}, /* pinned */
  },
  "inputs": [],
}
"""


@pytest.fixture
def clone(world: World) -> Path:
    path = world.clone("one")
    git("config", "csc.machine", "one", cwd=path)
    git("config", "csc.sync", "false", cwd=path)
    return path


def content(file: Path) -> Any:
    return json5.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "client", [key for key, one in CLIENTS.items() if one.file]
)
def test_each_client_gets_its_own_form(clone: Path, client: str) -> None:
    known = CLIENTS[client]
    env = {"SSH_AUTH_SOCK": "/tmp/agent", "https_proxy": "http://proxy:3128"}
    shown = csc("init", "--client", client, cwd=clone, env=env).stdout
    entry = content(clone / str(known.file))[known.member]["csc-git"]
    assert f"ok  {known.title}" in shown
    assert entry["args"][-1] == "serve"
    if (
        client == "vscode"
    ):  # it hands on all it has; a variable may be resolved where there is none
        assert "env" not in entry
    else:
        variable = (
            "${SSH_AUTH_SOCK:-}"
            if client == "claude"
            else "${env:SSH_AUTH_SOCK}"
        )
        assert entry["env"]["SSH_AUTH_SOCK"] == variable
        assert set(entry["env"]) == set(env)
    assert ("type" in entry) == (client == "vscode")
    csc("init", "--undo", cwd=clone)
    assert not (clone / str(known.file)).exists()
    assert sorted(path.name for path in clone.iterdir()) == [".git", "file.txt"]
    assert git("status", "--porcelain", "--ignored", cwd=clone) == ""


def test_comments_order_and_other_servers_stay(clone: Path) -> None:
    file = clone / ".vscode" / "mcp.json"
    file.parent.mkdir()
    file.write_text(COMMENTED, encoding="utf-8")
    csc("init", "--client", "vscode", cwd=clone)
    text = file.read_text(encoding="utf-8")
    assert [
        line for line in text.splitlines() if line in COMMENTED.splitlines()
    ] == [*COMMENTED.splitlines()]
    assert list(content(file)["servers"]) == ["csc-git", "tracker"]
    csc("init", "--undo", cwd=clone)
    assert file.read_text(encoding="utf-8") == COMMENTED


def test_undo_where_the_entry_was_edited_since(clone: Path) -> None:
    file = clone / ".vscode" / "mcp.json"
    file.parent.mkdir()
    file.write_text(COMMENTED, encoding="utf-8")
    csc("init", "--client", "vscode", cwd=clone)
    text = file.read_text(encoding="utf-8").replace(
        '"serve"', '"serve", "--poll", "5"'
    )
    file.write_text(text + "// more\n", encoding="utf-8")
    csc("init", "--undo", cwd=clone)
    assert "csc-git" not in file.read_text(encoding="utf-8")
    assert content(file) == json5.loads(COMMENTED)
    assert "// the tracker" in file.read_text(encoding="utf-8")


def test_a_dry_run_shows_a_diff_and_changes_nothing(clone: Path) -> None:
    (clone / ".mcp.json").write_text(
        '{\n  "mcpServers": {}\n}\n', encoding="utf-8"
    )
    before = git("status", "--porcelain", "--ignored", cwd=clone)
    shown = csc(
        "init", "--dry-run", "--hooks", "--client", "claude", cwd=clone
    ).stdout
    assert '+    "csc-git": {' in shown
    assert '-  "mcpServers": {}' in shown
    assert "+++ " in shown
    assert "session-start" in shown
    assert git("status", "--porcelain", "--ignored", cwd=clone) == before
    assert not (clone / ".git/csc").exists()
    csc("init", "--client", "claude", cwd=clone)
    undone = csc("init", "--dry-run", "--undo", cwd=clone).stdout
    assert '-    "csc-git": {' in undone
    assert '+  "mcpServers": {}' in undone
    assert csc("init", "--dry-run", cwd=clone).stdout.endswith(
        "No settings would be changed.\n"
    )
    told = json.loads(csc("init", "--dry-run", "--json", cwd=clone).stdout)
    assert told["changes"] == {"Claude Code": ""}
    assert "csc/state would be made" in told["branch"]


def test_hooks_come_beside_those_that_are_there(clone: Path) -> None:
    file = clone / ".claude" / "settings.local.json"
    file.parent.mkdir()
    theirs = {
        "matcher": "Edit",
        "hooks": [{"type": "command", "command": "fmt"}],
    }
    before = json.dumps(
        {"hooks": {"PreToolUse": [theirs]}, "model": "opus"}, indent=4
    )
    file.write_text(before, encoding="utf-8")
    assert (
        "leaves all settings alone"
        in csc("init", "--hooks", "--no-register", cwd=clone, code=2).stderr
    )
    assert file.read_text(encoding="utf-8") == before
    csc("init", "--hooks", cwd=clone)
    hooks = content(file)["hooks"]
    assert set(hooks) == {"PreToolUse", "SessionStart", "SessionEnd"}
    assert hooks["PreToolUse"][1] == theirs
    assert hooks["PreToolUse"][0]["hooks"][0]["command"].endswith("before-edit")
    assert "was registered already" in csc("init", "--hooks", cwd=clone).stdout
    csc("init", "--undo", cwd=clone)
    assert file.read_text(encoding="utf-8") == before


def test_a_hook_that_is_missing_is_put_beside_the_others(clone: Path) -> None:
    csc("init", "--hooks", cwd=clone)
    file = clone / ".claude" / "settings.local.json"
    whole = content(file)
    told = content(file)
    del told["hooks"]["SessionEnd"]
    file.write_text(json.dumps(told), encoding="utf-8")
    csc("init", "--hooks", cwd=clone)
    assert content(file) == whole
    assert "was registered already" in csc("init", "--hooks", cwd=clone).stdout
    csc("init", "--undo", "--hooks", cwd=clone)
    assert not file.exists()


def test_what_is_asked_for_with_another_remote_is_said_to_hold_for_the_client_only(
    world: World, tmp_path: Path
) -> None:
    clone = world.clone("two")
    git("init", "-q", "--bare", str(tmp_path / "private.git"), cwd=clone)
    git("config", "csc.dedicated", "true", cwd=clone)
    remote = str(tmp_path / "private.git")
    said = csc("init", "--remote", remote, cwd=clone).stdout
    assert "Commands and hooks here know nothing of that yet" in said
    assert f"fix: git config csc.remote {remote}" in said
    git("config", "csc.remote", remote, cwd=clone)
    assert (
        "know nothing" not in csc("init", "--remote", remote, cwd=clone).stdout
    )
    csc("doctor", cwd=clone)


def test_a_hook_that_was_put_beside_ours_is_not_taken_out_with_it(
    clone: Path,
) -> None:
    csc("init", "--hooks", cwd=clone)
    file = clone / ".claude" / "settings.local.json"
    told = content(file)
    told["hooks"]["PreToolUse"][0]["hooks"].append(
        {"type": "command", "command": "fmt"}
    )
    file.write_text(json.dumps(told), encoding="utf-8")
    assert (
        "by hand" in csc("init", "--undo", "--hooks", cwd=clone, code=1).stdout
    )
    assert content(file) == told


def test_what_a_hook_runs_is_there(clone: Path) -> None:
    csc("init", "--hooks", cwd=clone)
    hooks = content(clone / ".claude" / "settings.local.json")["hooks"]
    for items in hooks.values():
        command = items[0]["hooks"][0]["command"]
        done = subprocess.run(
            ["sh", "-c", command],
            input="{}",
            cwd=clone,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_for_any_other_client_the_entry_is_printed(clone: Path) -> None:
    shown = csc("init", "--client", "other", cwd=clone).stdout.splitlines()
    entry = json.loads(shown[shown.index("Add to your client's settings:") + 1])
    assert entry["mcpServers"]["csc-git"]["args"][-1] == "serve"
    assert git("status", "--porcelain", "--ignored", cwd=clone) == ""


def test_the_name_is_used_only_where_every_program_finds_it(
    clone: Path,
) -> None:
    command = installed(clone.parent / "tool" / "bin")
    env = {"PATH": f"{command.parent}:{os.environ['PATH']}"}
    shown = csc("init", cwd=clone, env=env).stdout
    assert (
        content(clone / ".mcp.json")["mcpServers"]["csc-git"]["command"]
        == "csc-git"
    )
    assert "Commit .mcp.json for others" in shown
    assert (
        "ommit" not in csc("init", cwd=clone, env=env).stdout
    )  # a teammate has done so
    csc("init", "--undo", cwd=clone)

    (command.parents[1] / "pyvenv.cfg").touch()
    shown = csc("init", "--hooks", cwd=clone, env=env).stdout
    assert (
        content(clone / ".mcp.json")["mcpServers"]["csc-git"]["command"]
        == sys.executable
    )
    assert "For settings to share, install it by pipx" in shown
    assert "Commit .mcp.json" not in shown
    assert "Don't commit .claude/settings.local.json" in shown
    hooks = content(clone / ".claude" / "settings.local.json")["hooks"]
    assert sys.executable in hooks["SessionEnd"][0]["hooks"][0]["command"]


def test_undoing_where_nothing_was_done_leaves_no_store(clone: Path) -> None:
    assert (
        "nothing to take back"
        in csc("init", "--undo", "--dry-run", cwd=clone).stdout
    )
    assert "there is none here" in csc("init", "--undo", cwd=clone).stdout
    assert not (clone / ".git/csc").exists()


@pytest.mark.skipif(not shutil.which("claude"), reason="needs Claude Code")
def test_all_projects_of_a_person_by_claudes_own_command(clone: Path) -> None:
    assert (
        "claude mcp add-json"
        in csc("init", "--dry-run", "--client", "claude-user", cwd=clone).stdout
    )
    csc("init", "--client", "claude-user", cwd=clone)
    entry = json.loads(Path("~/.claude.json").expanduser().read_text())[
        "mcpServers"
    ]["csc-git"]
    assert entry["args"][-1] == "serve"
    csc("init", "--undo", "--client", "claude-user", cwd=clone)
    servers = json.loads(Path("~/.claude.json").expanduser().read_text()).get(
        "mcpServers", {}
    )
    assert "csc-git" not in servers


def test_without_claude_on_path_its_settings_are_left_alone(
    clone: Path,
) -> None:
    git_only = os.path.dirname(str(shutil.which("git")))  # noqa: PTH120
    if shutil.which("claude", path=git_only):
        pytest.skip("claude stands beside git")
    env = {"PATH": git_only}
    shown = csc(
        "init", "--client", "claude-user", cwd=clone, code=1, env=env
    ).stdout
    assert "no claude on PATH" in shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"a": }',
        "null",
        "\x00",
        '{"servers": []}',
        '{"servers": {"csc-git": null}}',
    ],
)
def test_what_is_no_settings_is_left_alone(clone: Path, text: str) -> None:
    file = clone / ".vscode" / "mcp.json"
    file.parent.mkdir()
    file.write_text(text, encoding="utf-8")
    assert (
        "can't be read"
        in csc("init", "--client", "vscode", cwd=clone, code=1).stderr
    )
    assert file.read_text(encoding="utf-8") == text
    assert not (clone / ".git/csc").exists()


def test_a_read_only_file_is_left_alone(clone: Path) -> None:
    file = clone / ".mcp.json"
    file.write_text("{}\n", encoding="utf-8")
    file.chmod(0o444)
    said = csc("init", cwd=clone, code=1).stdout
    assert f"{file} can't be written: it is read-only" in said
    assert file.read_text(encoding="utf-8") == "{}\n"


def test_what_is_no_file_is_left_alone(clone: Path) -> None:
    os.mkfifo(clone / ".mcp.json")
    assert "it is no file" in csc("init", cwd=clone, code=1).stderr


def test_a_new_file_is_as_private_as_the_user_wants(clone: Path) -> None:
    before = os.umask(0o077)
    try:
        csc("init", cwd=clone)
    finally:
        os.umask(before)
    assert (clone / ".mcp.json").stat().st_mode & 0o777 == 0o600


def test_undo_leaves_a_directory_that_was_there(clone: Path) -> None:
    (clone / ".vscode").mkdir()
    csc("init", "--client", "vscode", cwd=clone)
    csc("init", "--undo", cwd=clone)
    assert [*(clone / ".vscode").iterdir()] == []


def test_undo_of_a_file_of_ours_that_was_edited_leaves_no_shell_of_it(
    clone: Path,
) -> None:
    csc("init", cwd=clone)
    file = clone / ".mcp.json"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text.replace('"serve"', '"serve", "--poll", "5"'), encoding="utf-8"
    )
    csc("init", "--undo", cwd=clone)
    assert not file.exists()


def test_broken_settings_of_all_projects_are_left_to_their_owner(
    clone: Path,
) -> None:
    (Path.home() / ".claude.json").write_text("{", encoding="utf-8")
    said = csc("init", "--client", "claude-user", cwd=clone, code=1)
    assert ".claude.json can't be read as settings" in said.stdout + said.stderr


def test_undo_leaves_what_somebody_added_to_a_file_of_ours(clone: Path) -> None:
    """Even what a program takes for nothing: false, 0, a comment."""
    for theirs in (
        '"includeCoAuthoredBy": false,',
        '"cleanupPeriodDays": 0,',
        "// ours",
    ):
        csc("init", "--hooks", cwd=clone)
        file = clone / ".claude" / "settings.local.json"
        text = file.read_text(encoding="utf-8").replace(
            "{", "{ " + theirs + "\n", 1
        )
        file.write_text(text, encoding="utf-8")
        csc("init", "--undo", "--hooks", cwd=clone)
        assert theirs.rstrip(",") in file.read_text(encoding="utf-8")
        file.unlink()


def test_a_missing_hook_is_put_in_with_other_settings_too(clone: Path) -> None:
    csc("init", "--hooks", cwd=clone)
    file = clone / ".claude" / "settings.local.json"
    whole = content(file)
    told = content(file)
    del told["hooks"]["PreToolUse"]
    file.write_text(json.dumps(told), encoding="utf-8")
    csc("init", "--hooks", "--timeout", "30", cwd=clone)
    assert content(file) == whole


def test_undo_in_a_clone_that_has_no_store(clone: Path) -> None:
    """A teammate's, with a committed entry."""
    entry = {
        "mcpServers": {"csc-git": {"command": "csc-git", "args": ["serve"]}}
    }
    (clone / ".mcp.json").write_text(json.dumps(entry), encoding="utf-8")
    assert "csc-git removed" in csc("init", "--undo", cwd=clone).stdout
    assert content(clone / ".mcp.json") == {"mcpServers": {}}
    assert not (clone / ".git/csc").exists()


def test_several_at_once_forget_nobodys_notes(tmp_path: Path) -> None:
    """They share one file of notes; without its note an entry is not undone to the byte."""
    memory = tmp_path / "registration.json"
    tops = [tmp_path / str(number) for number in range(8)]
    for top in tops:
        top.mkdir()
    places = [
        ServerRegistration(CLIENTS["claude"], top, memory, {}) for top in tops
    ]
    with ThreadPoolExecutor(8) as pool:
        assert {*pool.map(ServerRegistration.add, places)} == {
            "added (new file)"
        }
    assert set(json.loads(memory.read_text())) == {
        str(top / ".mcp.json") for top in tops
    }
    with ThreadPoolExecutor(8) as pool:
        assert {*pool.map(ServerRegistration.remove, places)} == {"removed"}
    assert json.loads(memory.read_text()) == {}
    assert not any((top / ".mcp.json").exists() for top in tops)


def test_what_is_inserted_is_noted_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill in between would leave an entry that can't be undone to the byte."""
    memory = tmp_path / "registration.json"
    noted: list[bool] = []

    def seen(path: Path, content: bytes) -> None:
        noted.append(str(path) in json.loads(memory.read_text()))
        replace_file(path, content)

    monkeypatch.setattr(registration, "replace_file", seen)
    ServerRegistration(CLIENTS["claude"], tmp_path, memory, {}).add()
    assert noted == [True]


# The document itself

scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=10,
)
objects = st.dictionaries(st.text(max_size=4), values, max_size=4)


@settings(deadline=None)
@given(before=objects, indent=st.sampled_from([None, 2, "\t"]), value=values)
def test_whatever_is_inserted_comes_out_again(
    before: Any, indent: Any, value: Any
) -> None:
    text = json.dumps(before, indent=indent)
    document = Document(text)
    document.put(("our servers", "csc-git"), {"command": value})
    assert json.loads(document.text) == {
        **before,
        "our servers": {"csc-git": {"command": value}},
    }
    (inserted,) = document.inserted
    assert Document(document.text).take_out(inserted)
    edited = Document(document.text)
    edited.remove("our servers", "csc-git")
    assert json.loads(edited.text) == {**before, "our servers": {}}


@settings(deadline=None)
@given(before=objects)
def test_elements_too(before: Any) -> None:
    text = json.dumps({**before, "hooks": {"A": [1, 2]}})
    document = Document(text)
    document.prepend(("hooks", "A"), "ours")
    document.prepend(("hooks", "B"), "ours")
    assert json.loads(document.text)["hooks"] == {
        "B": ["ours"],
        "A": ["ours", 1, 2],
    }
    document.remove_items(("hooks", "A"), lambda item: item == "ours")
    document.remove_items(("hooks", "B"), lambda item: item == "ours")
    assert json.loads(document.text) == {**before, "hooks": {"A": [1, 2]}}


def test_what_stands_there_twice_is_left_alone() -> None:
    text = '{"hooks": {"A": ["theirs"]}, "hooks": {"A": ["ours"]}}'
    with pytest.raises(InvalidSetting):
        Document(text).remove_items(("hooks", "A"), lambda item: item == "ours")
    with pytest.raises(InvalidSetting):
        Document('{"a": {"b": 1}, "a": {"b": 2}}').remove("a", "b")


def test_what_needs_a_comma_since_is_taken_out_by_its_place() -> None:
    document = Document('{"mcpServers": {\n  }\n}')
    document.put(("mcpServers", "csc-git"), {"command": "c"})
    (inserted,) = document.inserted
    edited = Document(
        document.text.replace('"c"\n  }', '"c"\n  },\n  "other": {}')
    )
    assert (
        not edited.take_out(inserted) or edited.get("mcpServers", "other") == {}
    )
    if edited.get("mcpServers", "csc-git"):
        edited.remove("mcpServers", "csc-git")
    assert json.loads(edited.text) == {"mcpServers": {"other": {}}}


def test_backslashes() -> None:
    text = '{"a": {"cwd": "C:\\\\x64\\\\", "b": "\\\\\\""}, /* \\ */ "servers": {},}'
    document = Document(text)
    document.put(("servers", "csc-git"), {})
    assert document.text.startswith('{"a": {"cwd": "C:\\\\x64\\\\"')
    assert document.get("servers", "csc-git") == {}


def test_a_place_that_is_something_else() -> None:
    for text in ('{"a": 1}', '{"a": []}', '{"a": null}'):
        with pytest.raises(InvalidSetting):
            Document(text).put(("a", "b"), 1)
    with pytest.raises(InvalidSetting):  # the second one counts
        Document('{"a": {"c": 1}, "a": {}}').put(("a", "b"), 1)
