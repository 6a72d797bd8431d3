"""The settings files of clients: `init` adds to them, and undoing restores them byte for byte."""

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

from csc_git.clients import registration
from csc_git.clients.client import CLIENTS
from csc_git.clients.registration import ServerRegistration
from csc_git.files.durable import replace_file
from tests.commands import csc, csc_here
from tests.world import git, installed

COMMENTED = """{
  // what our team uses
  "servers": { // keep sorted
    // the tracker
    "tracker": {"command": "npx", "args": ["-y", "tracker"],}, /* pinned */
  },
  "inputs": [],
}
"""


def content(file: Path) -> Any:
    return json5.loads(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "client", [key for key, one in CLIENTS.items() if one.file]
)
def test_each_client_gets_an_entry_in_its_own_format(
    unsynced_clone: Path, client: str
) -> None:
    known = CLIENTS[client]
    env = {"SSH_AUTH_SOCK": "/tmp/agent", "https_proxy": "http://proxy:3128"}
    shown = csc("init", "--client", client, cwd=unsynced_clone, env=env).stdout
    entry = content(unsynced_clone / str(known.file))[known.member]["csc-git"]
    assert f"ok  {known.title}" in shown
    assert entry["args"][-1] == "serve"
    if client == "vscode":  # it passes all its variables to the server
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
    csc("init", "--undo", cwd=unsynced_clone)
    assert not (unsynced_clone / str(known.file)).exists()
    assert sorted(path.name for path in unsynced_clone.iterdir()) == [
        ".git",
        "file.txt",
    ]
    assert git("status", "--porcelain", "--ignored", cwd=unsynced_clone) == ""


def test_comments_order_and_other_servers_are_kept(
    unsynced_clone: Path,
) -> None:
    file = unsynced_clone / ".vscode" / "mcp.json"
    file.parent.mkdir()
    file.write_text(COMMENTED, encoding="utf-8")
    csc("init", "--client", "vscode", cwd=unsynced_clone)
    text = file.read_text(encoding="utf-8")
    assert [
        line for line in text.splitlines() if line in COMMENTED.splitlines()
    ] == [*COMMENTED.splitlines()]
    assert list(content(file)["servers"]) == ["csc-git", "tracker"]
    csc("init", "--undo", cwd=unsynced_clone)
    assert file.read_text(encoding="utf-8") == COMMENTED


def test_undo_removes_an_entry_that_was_edited_since(
    unsynced_clone: Path,
) -> None:
    file = unsynced_clone / ".vscode" / "mcp.json"
    file.parent.mkdir()
    file.write_text(COMMENTED, encoding="utf-8")
    csc("init", "--client", "vscode", cwd=unsynced_clone)
    text = file.read_text(encoding="utf-8").replace(
        '"serve"', '"serve", "--poll", "5"'
    )
    file.write_text(text + "// more\n", encoding="utf-8")
    csc("init", "--undo", cwd=unsynced_clone)
    assert "csc-git" not in file.read_text(encoding="utf-8")
    assert content(file) == json5.loads(COMMENTED)
    assert "// the tracker" in file.read_text(encoding="utf-8")


def test_hooks_are_added_to_existing_ones(unsynced_clone: Path) -> None:
    file = unsynced_clone / ".claude" / "settings.local.json"
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
        "changes no settings"
        in csc(
            "init", "--hooks", "--no-register", cwd=unsynced_clone, code=2
        ).stderr
    )
    assert file.read_text(encoding="utf-8") == before
    csc("init", "--hooks", cwd=unsynced_clone)
    hooks = content(file)["hooks"]
    assert set(hooks) == {"PreToolUse", "SessionStart", "SessionEnd"}
    assert hooks["PreToolUse"][1] == theirs
    assert hooks["PreToolUse"][0]["hooks"][0]["command"].endswith("before-edit")
    assert (
        "was registered already"
        in csc("init", "--hooks", cwd=unsynced_clone).stdout
    )
    csc("init", "--undo", cwd=unsynced_clone)
    assert file.read_text(encoding="utf-8") == before


def test_a_missing_hook_is_added_to_ours(
    unsynced_clone: Path,
) -> None:
    csc("init", "--hooks", cwd=unsynced_clone)
    file = unsynced_clone / ".claude" / "settings.local.json"
    whole = content(file)
    edited = content(file)
    del edited["hooks"]["SessionEnd"]
    file.write_text(json.dumps(edited), encoding="utf-8")
    csc("init", "--hooks", cwd=unsynced_clone)
    assert content(file) == whole
    assert (
        "was registered already"
        in csc("init", "--hooks", cwd=unsynced_clone).stdout
    )
    csc("init", "--undo", "--hooks", cwd=unsynced_clone)
    assert not file.exists()


def test_undo_keeps_a_hook_added_to_our_entry(
    unsynced_clone: Path,
) -> None:
    csc("init", "--hooks", cwd=unsynced_clone)
    file = unsynced_clone / ".claude" / "settings.local.json"
    edited = content(file)
    edited["hooks"]["PreToolUse"][0]["hooks"].append(
        {"type": "command", "command": "fmt"}
    )
    file.write_text(json.dumps(edited), encoding="utf-8")
    assert (
        "by hand"
        in csc("init", "--undo", "--hooks", cwd=unsynced_clone, code=1).stdout
    )
    assert content(file) == edited


def test_the_command_of_each_hook_runs(unsynced_clone: Path) -> None:
    csc("init", "--hooks", cwd=unsynced_clone)
    hooks = content(unsynced_clone / ".claude" / "settings.local.json")["hooks"]
    for items in hooks.values():
        command = items[0]["hooks"][0]["command"]
        done = subprocess.run(
            ["sh", "-c", command],
            input="{}",
            cwd=unsynced_clone,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_the_entry_for_another_client_is_printed(
    unsynced_clone: Path,
) -> None:
    shown = csc(
        "init", "--client", "other", cwd=unsynced_clone
    ).stdout.splitlines()
    entry = json.loads(shown[shown.index("Add to your client's settings:") + 1])
    assert entry["mcpServers"]["csc-git"]["args"][-1] == "serve"
    assert git("status", "--porcelain", "--ignored", cwd=unsynced_clone) == ""


def test_the_bare_command_needs_a_path_that_all_programs_have(
    unsynced_clone: Path,
) -> None:
    command = installed(unsynced_clone.parent / "tool" / "bin")
    env = {"PATH": f"{command.parent}:{os.environ['PATH']}"}
    shown = csc("init", cwd=unsynced_clone, env=env).stdout
    assert (
        content(unsynced_clone / ".mcp.json")["mcpServers"]["csc-git"][
            "command"
        ]
        == "csc-git"
    )
    assert "Commit .mcp.json, so that others can use it" in shown
    assert (
        "ommit" not in csc("init", cwd=unsynced_clone, env=env).stdout
    )  # it was registered already
    csc("init", "--undo", cwd=unsynced_clone)

    (command.parents[1] / "pyvenv.cfg").touch()
    shown = csc("init", "--hooks", cwd=unsynced_clone, env=env).stdout
    assert (
        content(unsynced_clone / ".mcp.json")["mcpServers"]["csc-git"][
            "command"
        ]
        == sys.executable
    )
    assert "install csc-git by pipx or uv tool" in shown
    assert "Commit .mcp.json" not in shown
    assert "Don't commit .claude/settings.local.json" in shown
    hooks = content(unsynced_clone / ".claude" / "settings.local.json")["hooks"]
    assert sys.executable in hooks["SessionEnd"][0]["hooks"][0]["command"]


def test_undo_without_an_entry_makes_no_store(
    unsynced_clone: Path,
) -> None:
    assert (
        "nothing to undo"
        in csc("init", "--undo", "--dry-run", cwd=unsynced_clone).stdout
    )
    assert (
        "this clone has no store"
        in csc("init", "--undo", cwd=unsynced_clone).stdout
    )
    assert not (unsynced_clone / ".git/csc").exists()


@pytest.mark.skipif(not shutil.which("claude"), reason="needs Claude Code")
def test_user_scope_is_registered_by_claudes_own_command(
    unsynced_clone: Path,
) -> None:
    assert (
        "claude mcp add-json"
        in csc(
            "init", "--dry-run", "--client", "claude-user", cwd=unsynced_clone
        ).stdout
    )
    csc("init", "--client", "claude-user", cwd=unsynced_clone)
    entry = json.loads(Path("~/.claude.json").expanduser().read_text())[
        "mcpServers"
    ]["csc-git"]
    assert entry["args"][-1] == "serve"
    csc("init", "--undo", "--client", "claude-user", cwd=unsynced_clone)
    servers = json.loads(Path("~/.claude.json").expanduser().read_text()).get(
        "mcpServers", {}
    )
    assert "csc-git" not in servers


def test_without_claude_on_path_user_scope_is_left_alone(
    unsynced_clone: Path,
) -> None:
    git_only = os.path.dirname(str(shutil.which("git")))  # noqa: PTH120
    if shutil.which("claude", path=git_only):
        pytest.skip("claude is installed beside git")
    env = {"PATH": git_only}
    shown = csc(
        "init", "--client", "claude-user", cwd=unsynced_clone, code=1, env=env
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
def test_a_file_that_is_no_settings_is_left_alone(
    unsynced_clone: Path, text: str
) -> None:
    file = unsynced_clone / ".vscode" / "mcp.json"
    file.parent.mkdir()
    file.write_text(text, encoding="utf-8")
    assert (
        "can't be read"
        in csc("init", "--client", "vscode", cwd=unsynced_clone, code=1).stderr
    )
    assert file.read_text(encoding="utf-8") == text
    assert not (unsynced_clone / ".git/csc").exists()


def test_a_read_only_file_is_left_alone(unsynced_clone: Path) -> None:
    file = unsynced_clone / ".mcp.json"
    file.write_text("{}\n", encoding="utf-8")
    file.chmod(0o444)
    output = csc("init", cwd=unsynced_clone, code=1).stdout
    assert f"{file} can't be written: it is read-only" in output
    assert file.read_text(encoding="utf-8") == "{}\n"


def test_a_named_pipe_is_left_alone(unsynced_clone: Path) -> None:
    os.mkfifo(unsynced_clone / ".mcp.json")
    assert "it is not a file" in csc("init", cwd=unsynced_clone, code=1).stderr


def test_a_new_file_follows_the_users_umask(
    unsynced_clone: Path,
) -> None:
    before = os.umask(0o077)
    try:
        csc("init", cwd=unsynced_clone)
    finally:
        os.umask(before)
    assert (unsynced_clone / ".mcp.json").stat().st_mode & 0o777 == 0o600


def test_undo_keeps_a_directory_that_existed(unsynced_clone: Path) -> None:
    (unsynced_clone / ".vscode").mkdir()
    csc("init", "--client", "vscode", cwd=unsynced_clone)
    csc("init", "--undo", cwd=unsynced_clone)
    assert [*(unsynced_clone / ".vscode").iterdir()] == []


def test_undo_deletes_our_file_after_an_edit_of_our_entry(
    unsynced_clone: Path,
) -> None:
    csc("init", cwd=unsynced_clone)
    file = unsynced_clone / ".mcp.json"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text.replace('"serve"', '"serve", "--poll", "5"'), encoding="utf-8"
    )
    csc("init", "--undo", cwd=unsynced_clone)
    assert not file.exists()


def test_broken_user_settings_are_reported(
    unsynced_clone: Path,
) -> None:
    (Path.home() / ".claude.json").write_text("{", encoding="utf-8")
    output = csc("init", "--client", "claude-user", cwd=unsynced_clone, code=1)
    assert (
        ".claude.json can't be read as settings"
        in output.stdout + output.stderr
    )


def test_undo_keeps_what_was_added_to_our_file(
    unsynced_clone: Path,
) -> None:
    """It keeps values like false and 0, and comments."""
    for theirs in (
        '"includeCoAuthoredBy": false,',
        '"cleanupPeriodDays": 0,',
        "// ours",
    ):
        csc("init", "--hooks", cwd=unsynced_clone)
        file = unsynced_clone / ".claude" / "settings.local.json"
        text = file.read_text(encoding="utf-8").replace(
            "{", "{ " + theirs + "\n", 1
        )
        file.write_text(text, encoding="utf-8")
        csc("init", "--undo", "--hooks", cwd=unsynced_clone)
        assert theirs.rstrip(",") in file.read_text(encoding="utf-8")
        file.unlink()


def test_a_missing_hook_is_added_with_new_flags_too(
    unsynced_clone: Path,
) -> None:
    csc("init", "--hooks", cwd=unsynced_clone)
    file = unsynced_clone / ".claude" / "settings.local.json"
    whole = content(file)
    edited = content(file)
    del edited["hooks"]["PreToolUse"]
    file.write_text(json.dumps(edited), encoding="utf-8")
    csc("init", "--hooks", "--timeout", "30", cwd=unsynced_clone)
    assert content(file) == whole


def test_undo_works_in_a_clone_without_a_store(unsynced_clone: Path) -> None:
    """The clone of a teammate has the committed entry."""
    entry = {
        "mcpServers": {"csc-git": {"command": "csc-git", "args": ["serve"]}}
    }
    (unsynced_clone / ".mcp.json").write_text(
        json.dumps(entry), encoding="utf-8"
    )
    assert "csc-git removed" in csc("init", "--undo", cwd=unsynced_clone).stdout
    assert content(unsynced_clone / ".mcp.json") == {"mcpServers": {}}
    assert not (unsynced_clone / ".git/csc").exists()


def test_concurrent_registrations_keep_all_notes(tmp_path: Path) -> None:
    """They share one file of notes. An entry without its note can't be undone byte for byte."""
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


def test_an_insertion_is_noted_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill in between would leave an entry that can't be undone byte for byte."""
    memory = tmp_path / "registration.json"
    noted: list[bool] = []

    def seen(path: Path, content: bytes) -> None:
        noted.append(str(path) in json.loads(memory.read_text()))
        replace_file(path, content)

    monkeypatch.setattr(registration, "replace_file", seen)
    ServerRegistration(CLIENTS["claude"], tmp_path, memory, {}).add()
    assert noted == [True]


@pytest.mark.parametrize(
    "text",
    [
        '{"mcpServers": {}}',
        '{\n\t"mcpServers": {\n\t\t"other": {"command": "x"}\n\t}\n}\n',
        '{\n    "b": 1,\n    "mcpServers": {\n        "z": {"command": "x", "args": []},\n'
        '        "a": {"url": "y"}\n    },\n    "a": 2\n}',
        "{}",
        '{ "other": [1, 2] }\n',
    ],
)
def test_undo_restores_the_settings_text_exactly(
    clone: Path, text: str
) -> None:
    settings = clone / ".mcp.json"
    settings.write_text(text)
    csc("init", cwd=clone)
    merged = json.loads(settings.read_text())
    assert merged["mcpServers"].pop("csc-git")
    before = json.loads(text)
    assert merged == {"mcpServers": {}} | before
    csc("init", "--undo", cwd=clone)
    assert settings.read_text() == text


@pytest.mark.parametrize("text", ["{", "[]", '{"mcpServers": []}'])
def test_init_keeps_unreadable_settings_unchanged(
    clone: Path, text: str
) -> None:
    settings = clone / ".mcp.json"
    settings.write_text(text)
    assert "can't be read" in csc("init", cwd=clone, code=1).stderr
    assert settings.read_text() == text


def test_undo_restores_bytes_and_permissions(clone_cwd: Path) -> None:
    for content in (
        b'{\r\n  "mcpServers": {\r\n    "x": {}\r\n  }\r\n}\r\n',
        b'{"a": "\xc3\xa9"}',
    ):
        (clone_cwd / ".mcp.json").write_bytes(content)
        (clone_cwd / ".mcp.json").chmod(0o600)
        csc_here("init")
        assert json.loads((clone_cwd / ".mcp.json").read_bytes())["mcpServers"][
            "csc-git"
        ]
        csc_here("init", "--undo")
        assert (clone_cwd / ".mcp.json").read_bytes() == content
        assert (clone_cwd / ".mcp.json").stat().st_mode & 0o777 == 0o600
