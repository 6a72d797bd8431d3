"""`csc-git init`: it tries the remote, registers a client, and can be undone."""

import json
from pathlib import Path

import pytest

from tests.commands import csc, csc_here
from tests.world import REF, World, git, state_of


def test_init_registers_the_server_and_undo_removes_it(
    world: World, clone: Path
) -> None:
    settings = clone / ".mcp.json"
    done = csc("init", cwd=clone, env={"SSH_AUTH_SOCK": "/tmp/agent"})
    assert "written, pushed, read back" in done.stdout
    entry = json.loads(settings.read_text())["mcpServers"]["csc-git"]
    assert entry["args"][-1] == "serve"
    assert entry["env"] == {"SSH_AUTH_SOCK": "${SSH_AUTH_SOCK:-}"}
    assert git("rev-parse", "csc/state", cwd=world.remote)
    again = csc("init", cwd=clone)
    assert "was registered already" in again.stdout
    csc("init", "--undo", cwd=clone)
    assert not settings.exists()
    assert git("status", "--porcelain", cwd=clone) == ""


def test_init_reports_another_clone_of_the_same_machine(world: World) -> None:
    one, two = world.clone("one"), world.clone("two")
    for clone in (one, two):
        git("config", "csc.machine", "laptop", cwd=clone)
        assert (
            "other clone" not in csc("init", "--no-register", cwd=clone).stdout
        )
    server = world.open("one", machine="laptop")
    server.authors.sign_on()
    assert state_of(server) == "ok"
    for clone, others in ((two, True), (one, False)):
        shown = csc("init", "--no-register", cwd=clone).stdout
        assert ("name of 1 other clone" in shown) == others
        csc("doctor", cwd=clone)
    assert csc("conflicts", cwd=one).stdout == ""
    git("config", "csc.machine", "desktop", cwd=two)  # as the advice suggests
    assert "other clone" not in csc("init", "--no-register", cwd=two).stdout
    server.authors.sign_off()
    csc("init", "--undo", cwd=one)
    csc("init", "--undo", cwd=two)
    assert csc("ls", cwd=two).stdout == "sessions\n"


def test_trying_the_remote_leaves_no_key_and_no_log_entry(
    world: World, clone: Path
) -> None:
    csc("init", cwd=clone)
    csc("doctor", cwd=clone)
    assert csc("ls", cwd=clone).stdout == ""
    assert "try the remote" not in csc("log", cwd=clone).stdout
    assert csc("log", "--json", "--scope", "settings", cwd=clone).stdout == ""
    assert "try the remote" in git("log", "--format=%s", REF, cwd=world.remote)
    git("config", "receive.denyNonFastForwards", "true", cwd=world.remote)
    hook = world.remote / "hooks" / "update"
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    tip = git("rev-parse", REF, cwd=world.remote)
    assert "not today" in csc("doctor", cwd=clone, code=1).stdout
    status = json.loads(csc("status", "--json", cwd=clone).stdout)
    assert (status["sync"]["queued"], status["parked"]) == (0, [])
    assert git("rev-parse", REF, cwd=world.remote) == tip


def test_init_fails_when_the_remote_does_not_work(
    world: World, clone: Path
) -> None:
    world.remote.rename(world.directory / "away")
    done = csc("init", "--no-register", cwd=clone, code=1)
    assert "!!  remote" in done.stdout
    assert "git remote -v" in done.stdout


def test_init_without_a_remote_is_for_one_clone(world: World) -> None:
    git("init", "-q", "alone", cwd=world.directory)
    done = csc("init", cwd=world.directory / "alone")
    assert "this clone only" in done.stdout


def test_init_with_an_unknown_remote_registers_nothing(
    clone_cwd: Path,
) -> None:
    shown = csc_here("init", "--remote", "nosuch", code=1)
    assert "!!  remote" in shown
    assert ".mcp.json was not changed" in shown
    assert "run the same command again" in shown
    assert not (clone_cwd / ".mcp.json").exists()


def test_init_refuses_unreadable_settings_before_storing(
    clone_cwd: Path,
) -> None:
    for content in (b"{bad", b"\xff\xfe", b"[]"):
        (clone_cwd / ".mcp.json").write_bytes(content)
        text = csc_here("init", code=1)
        assert "can't be read as settings" in text
        assert "Nothing was changed" in text
        assert csc_here("ls") == ""
        assert (clone_cwd / ".mcp.json").read_bytes() == content


def test_init_refuses_settings_that_are_no_file(
    clone_cwd: Path,
) -> None:
    (clone_cwd / ".mcp.json").mkdir()
    assert "can't be read as settings" in csc_here("init", code=1)
    (clone_cwd / ".mcp.json").rmdir()
    (clone_cwd / ".mcp.json").symlink_to(clone_cwd / "nowhere" / "x")
    assert "can't be read as settings" in csc_here("init", code=1)


def test_init_registers_the_flags_it_was_given(clone_cwd: Path) -> None:
    csc_here("init", "--branch", "other/b", "--poll", "3")
    entry = json.loads((clone_cwd / ".mcp.json").read_text())["mcpServers"][
        "csc-git"
    ]
    assert entry["args"][-4:] == ["--branch", "other/b", "--poll", "3"]
    assert "git config csc.branch other/b" in csc_here("init", code=1)
    git("config", "csc.branch", "other/b", cwd=clone_cwd)
    assert "was registered already" in csc_here("init")
    assert "csc-git changed" in csc_here("init", "--poll", "4")
    entry = json.loads((clone_cwd / ".mcp.json").read_text())["mcpServers"][
        "csc-git"
    ]
    assert entry["args"][-3:] == ["serve", "--poll", "4"]
    assert "+++ " in csc_here("init", "--poll", "5", "--dry-run")
    csc_here("init", "--undo")
    assert not (clone_cwd / ".mcp.json").exists()


def test_init_keeps_an_entry_that_others_wrote(
    clone_cwd: Path,
) -> None:
    file = clone_cwd / ".mcp.json"
    theirs = (
        '{"mcpServers": {"csc-git": {"command": "csc-git", "args": ["serve"]}}}'
    )
    file.write_text(theirs)
    assert "was registered already" in csc_here("init")
    assert "csc-git init --undo" in csc_here("init", "--poll", "4", code=1)
    assert file.read_text() == theirs


def test_undoing_a_committed_entry_warns_the_user(
    clone_cwd: Path,
) -> None:
    csc_here("init")
    git("add", ".mcp.json", cwd=clone_cwd)
    git("commit", "-q", "-m", "shared", cwd=clone_cwd)
    assert "Commit this change only if" in csc_here("init", "--undo")
    assert "no settings here contain csc-git" in csc_here("init", "--undo")


@pytest.mark.usefixtures("clone_cwd")
def test_hooks_can_be_undone_alone() -> None:
    csc_here("init", "--hooks")
    shown = csc_here("init", "--undo", "--hooks")
    assert "settings.local.json: csc-git removed" in shown
    assert ".mcp.json" not in shown
    assert "was registered already" in csc_here("init")


def test_a_dry_run_shows_a_diff_and_changes_nothing(
    unsynced_clone: Path,
) -> None:
    (unsynced_clone / ".mcp.json").write_text(
        '{\n  "mcpServers": {}\n}\n', encoding="utf-8"
    )
    before = git("status", "--porcelain", "--ignored", cwd=unsynced_clone)
    shown = csc(
        "init", "--dry-run", "--hooks", "--client", "claude", cwd=unsynced_clone
    ).stdout
    assert '+    "csc-git": {' in shown
    assert '-  "mcpServers": {}' in shown
    assert "+++ " in shown
    assert "session-start" in shown
    assert (
        git("status", "--porcelain", "--ignored", cwd=unsynced_clone) == before
    )
    assert not (unsynced_clone / ".git/csc").exists()
    csc("init", "--client", "claude", cwd=unsynced_clone)
    undone = csc("init", "--dry-run", "--undo", cwd=unsynced_clone).stdout
    assert '-    "csc-git": {' in undone
    assert '+  "mcpServers": {}' in undone
    assert csc("init", "--dry-run", cwd=unsynced_clone).stdout.endswith(
        "No settings would be changed.\n"
    )
    plan = json.loads(
        csc("init", "--dry-run", "--json", cwd=unsynced_clone).stdout
    )
    assert plan["changes"] == {"Claude Code": ""}
    assert "csc/state would be made" in plan["branch"]


def test_init_with_another_remote_warns_that_commands_differ(
    world: World, tmp_path: Path
) -> None:
    clone = world.clone("two")
    git("init", "-q", "--bare", str(tmp_path / "private.git"), cwd=clone)
    git("config", "csc.dedicated", "true", cwd=clone)
    remote = str(tmp_path / "private.git")
    output = csc("init", "--remote", remote, cwd=clone).stdout
    assert "Commands and hooks here do not use these settings yet" in output
    assert f"fix: git config csc.remote {remote}" in output
    git("config", "csc.remote", remote, cwd=clone)
    assert "do not use" not in csc("init", "--remote", remote, cwd=clone).stdout
    csc("doctor", cwd=clone)
