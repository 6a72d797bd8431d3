"""The doctor: each fault is caused for real, found, and reported with its repair."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from csc_git.coordinator.probe import round_trip
from csc_git.coordinator.writer import Delivered, Writer
from csc_git.core.remote_state import RemoteState
from csc_git.files.lock import FileLock
from tests import doctor_faults as faults
from tests.commands import csc
from tests.doctor_faults import Patient
from tests.git_servers import http_server
from tests.world import World, git, put


@pytest.fixture
def patient(world: World, tmp_path: Path) -> Iterator[Patient]:
    with ExitStack() as stack:
        server = stack.enter_context(http_server(tmp_path))
        clone = world.clone("one", server.url("remote.git"))
        git("config", "csc.machine", "one", cwd=clone)
        patient = Patient(world, clone, server, stack)
        patient.run("init", "--no-register")
        yield patient


def test_a_healthy_clone_passes_all_checks(patient: Patient) -> None:
    patient.register()
    found = patient.examine(0)
    assert {one["level"] for one in found} == {"ok"}, found
    assert [one["check"] for one in found] == [
        "git", "repository", "identity", "lock", "store", "objects", "size", "watcher", "remote",
        "machine", "clock", "branch", "client", "hooks",
    ]  # fmt: skip
    assert "as a client would" in next(
        o["message"] for o in found if o["check"] == "remote"
    )
    assert "lists 15 tools" in next(
        o["message"] for o in found if o["check"] == "client"
    )


@pytest.mark.parametrize(
    ("plant", "check", "level", "message", "fix"),
    [
        (faults.no_git, "git", "error", "no git on PATH", "Install git 2.31"),
        (
            faults.old_git,
            "git",
            "error",
            "git 2.20.1 is too old",
            "Install git 2.31",
        ),
        (
            faults.no_email,
            "identity",
            "warning",
            "your e-mail address",
            "git config --global user.email",
        ),
        (
            faults.other_owner,
            "repository",
            "error",
            "another user",
            "safe.directory",
        ),
        (
            faults.no_repository,
            "repository",
            "error",
            "no repository",
            "git init",
        ),
        (
            faults.broken_config,
            "repository",
            "error",
            "can't read its configuration",
            "Repair the file",
        ),
        (
            faults.bad_branch,
            "settings",
            "error",
            "as the name of a branch",
            "Correct git config csc.br",
        ),
        (
            faults.bad_setting,
            "settings",
            "error",
            "csc.lease",
            "Correct git config csc.lease",
        ),
        (
            faults.locked,
            "lock",
            "error",
            "which is stopped, holds",
            "kill -CONT",
        ),
        (
            faults.no_lock,
            "lock",
            "error",
            "locks/write",
            "repair the permissions",
        ),
        (faults.sync_locked, "lock", "error", "locks/sync", "kill -CONT"),
        (faults.clone_locked, "lock", "error", "locks/clone", "kill -CONT"),
        (faults.seen_locked, "lock", "error", "locks/seen", "kill -CONT"),
        (
            faults.damaged_value,
            "store",
            "error",
            "is damaged",
            "Move that directory to another place",
        ),
        (
            faults.unreadable_store,
            "store",
            "error",
            "can't be read",
            "state.git to another place",
        ),
        (
            faults.lost_pack,
            "store",
            "error",
            "is damaged",
            "Move that directory to another place",
        ),
        (
            faults.no_inotify_watches,
            "watcher",
            "warning",
            "only after a second",
            "max_user_watches",
        ),
        (
            faults.no_inotify_instances,
            "watcher",
            "warning",
            "only after a second",
            "max_user_instances",
        ),
        (faults.no_remote, "remote", "warning", "no remote", "git remote add"),
        (
            faults.remote_down,
            "remote",
            "error",
            "can't be reached",
            "tries again",
        ),
        (
            faults.wrong_password,
            "remote",
            "error",
            "credentials",
            "Run git fetch yourself",
        ),
        (
            faults.ssh_agent_only_in_shell,
            "remote",
            "error",
            "works in this shell",
            "SSH_AUTH_SOCK",
        ),
        (
            faults.ssh_command_only_in_shell,
            "remote",
            "error",
            "works in this shell",
            "GIT_SSH_COMMAND to env",
        ),
        (
            faults.protected_branch,
            "remote",
            "error",
            "protects the branch",
            "branch rules",
        ),
        (
            faults.branch_gone,
            "remote",
            "error",
            "no longer has the branch",
            "--recreate",
        ),
        (
            faults.other_store,
            "remote",
            "error",
            "another store",
            "csc-git sync --join",
        ),
        (
            faults.wrong_clock,
            "clock",
            "warning",
            "180 minutes ahead",
            "timedatectl",
        ),
        (faults.foreign_file, "foreign", "warning", "notes.txt", "csc-git log"),
        (
            faults.parked_edit,
            "parked",
            "warning",
            "store a/secret",
            "csc-git sync --retry",
        ),
        (
            faults.open_conflict,
            "conflicts",
            "warning",
            "1 value lost",
            "csc-git conflicts",
        ),
        (faults.unregistered, "client", "warning", "No client", "csc-git init"),
        (
            faults.no_command,
            "client",
            "error",
            "/gone/csc-git, which does not exist",
            "Install csc-git",
        ),
        (
            faults.no_directory,
            "client",
            "error",
            "/nowhere",
            "Repair the entry",
        ),
        (
            faults.no_entry,
            "client",
            "error",
            "names no command",
            "init --undo --client claude",
        ),
        (
            faults.does_not_start,
            "client",
            "error",
            "No such option",
            "run the server yourself",
        ),
        (
            faults.active_environment_only,
            "client",
            "warning",
            "virtual environment is active",
            "by pipx or uv tool",
        ),
        (
            faults.other_branch,
            "client",
            "error",
            "other/branch",
            "git config csc.branch csc/state",
        ),
        (
            faults.other_remote,
            "client",
            "error",
            "private.git, but",
            "git config csc.remote ../priv",
        ),
        (
            faults.sync_off_for_client,
            "client",
            "error",
            "uses no remote",
            "git config csc.sync false",
        ),
        (
            faults.sync_off_for_commands,
            "client",
            "error",
            "uses a remote",
            "csc.sync true",
        ),
        (
            faults.branch_by_variable,
            "client",
            "error",
            "other/branch",
            "csc.branch other/b",
        ),
        (
            faults.other_repository,
            "client",
            "error",
            "another repository",
            "Repair the entry",
        ),
        (
            faults.local_scope_entry,
            "client",
            "error",
            "/gone/csc-git",
            "--scope local",
        ),
        (
            faults.one_client_of_two,
            "remote",
            "error",
            "not as Cursor starts",
            "SSH_AUTH_SOCK: csc-git",
        ),
        (
            faults.hook_missing,
            "hooks",
            "error",
            "no hook of csc-git at",
            "csc-git init --hooks",
        ),
        (
            faults.hook_dead,
            "hooks",
            "error",
            "does not work: ",
            "--undo --hooks",
        ),
        (
            faults.hook_misspelt,
            "hooks",
            "error",
            "but init would write another command",
            "--undo --hooks",
        ),
        (
            faults.hooks_twice,
            "hooks",
            "warning",
            "so they run twice",
            "Remove the hooks from that file",
        ),
        (
            faults.entry_runs_a_shell,
            "client",
            "warning",
            "are unknown",
            "init --undo --client claude",
        ),
        (
            faults.in_another_worktree,
            "client",
            "error",
            "tree's server uses",
            "csc.sync false",
        ),
        (
            faults.second_url,
            "client",
            "error",
            "private.git, but",
            "csc.remote",
        ),
        (
            faults.edits_of_another_branch,
            "branch",
            "warning",
            "Queued for the branch csc/s",
            "export --br",
        ),
        (
            faults.team_setting,
            "team",
            "warning",
            "lease can't be used",
            "team unset lease",
        ),
        (
            faults.lost_refs,
            "store",
            "error",
            "can't be read",
            "state.git to another place",
        ),
        (
            faults.hooks_disabled,
            "hooks",
            "warning",
            "disableAllHooks",
            "remove disableAllHooks",
        ),
        (
            faults.hooks_elsewhere,
            "hooks",
            "error",
            "read the branch team/x",
            "--branch csc/state",
        ),
        (
            faults.unreadable_settings,
            "client",
            "error",
            "can't be read as settings",
            "Repair the file",
        ),
        (
            faults.unreadable_hooks,
            "hooks",
            "error",
            "can't be read as settings",
            "Repair the file",
        ),
        (
            faults.same_machine_name,
            "machine",
            "warning",
            "name of 1 other clone",
            "git config csc.machine NAME",
        ),
        (
            faults.no_hook_command,
            "hooks",
            "error",
            "which does not exist",
            "--hooks",
        ),
    ],
)
def test_a_fault_is_reported_with_its_repair(
    patient: Patient,
    plant: Callable[[Patient], None],
    check: str,
    level: str,
    message: str,
    fix: str,
) -> None:
    if (
        with_client := check in {"client", "hooks"}
        or plant in faults.OF_CLIENTS
    ):
        patient.register()
    plant(patient)
    found = _examined(patient, 1 if level == "error" else 0)
    if not with_client:
        found = [
            one for one in found if not one["message"].startswith("No client")
        ]
    by_check = {
        one["check"]: one for one in reversed(found) if one["level"] != "ok"
    }
    assert list(by_check) == [check] or plant in {
        faults.lost_pack,
        faults.damaged_value,
        faults.no_git,
    }, found
    assert (
        len(
            [
                one
                for one in found
                if one["check"] == check and one["level"] != "ok"
            ]
        )
        == 1
    )
    assert by_check[check]["level"] == level
    assert message in by_check[check]["message"]
    assert fix in by_check[check]["fix"]


@pytest.mark.parametrize(
    "plant",
    [
        faults.other_remote,
        faults.sync_off_for_client,
        faults.sync_off_for_commands,
        faults.other_repository,
        faults.entry_runs_a_shell,
        faults.in_another_worktree,
        faults.second_url,
        faults.unreadable_settings,
    ],
)
def test_nothing_is_pushed_if_a_client_shares_elsewhere(
    patient: Patient, plant: Callable[[Patient], None]
) -> None:
    """There is one store, so edits queued for one remote would be pushed to the other."""
    patient.register()
    plant(patient)
    put(patient.world.open(patient.clone), "plan", "secret", 1)
    before = git("for-each-ref", cwd=patient.world.remote)
    code = 0 if plant == faults.entry_runs_a_shell else 1
    patient.examine(code)
    patient.run("init", "--client", "vscode", code=code)
    patient.run(
        "init", "--undo", code=1 if plant == faults.unreadable_settings else 0
    )
    assert git("for-each-ref", cwd=patient.world.remote) == before
    elsewhere = patient.clone.parent / "private.git"
    assert not elsewhere.exists() or not git("for-each-ref", cwd=elsewhere)
    queue = patient.world.open(patient.clone).store.branch.queue()
    assert queue[0].message.startswith("store plan/secret")


def test_a_remote_set_in_the_shell_is_the_one_tried(
    patient: Patient,
) -> None:
    """A client's environment is tried with no variables of the shell but our own."""
    patient.env["CSC_REMOTE"] = str(patient.world.directory / "private.git")
    patient.run("set", "plan", "secret", "1")  # it can't be reached: queued
    before = git("for-each-ref", cwd=patient.world.remote)
    patient.examine(1)
    assert git("for-each-ref", cwd=patient.world.remote) == before


_SOUND: dict[str, Any] = {
    "command": sys.executable,
    "args": ["-P", "-m", "csc_git", "serve"],
}
_EVIL = [
    {"command": "sh", "args": ["-c", "touch run; csc-git serve"]},
    {"command": "csc-git", "args": ["serve"], "env": {"PATH": "."}},
    {"command": "./csc-git", "args": ["serve"]},
    {"command": "${workspaceFolder}/csc-git", "args": ["serve"]},
    {"command": sys.executable, "args": ["-m", "csc_git", "serve"]},
    {
        "command": sys.executable,
        "args": ["-c", "open('run', 'w')", "-P", "-m", "csc_git", "serve"],
    },
    {
        "command": sys.executable,
        "args": ["-P", "-m", "csc_git", "set", "serve", "run", "1"],
    },
    {**_SOUND, "env": {"HTTPS_PROXY": "http://evil.example"}},
    {**_SOUND, "env": {"GIT_SSH_COMMAND": "touch run"}},
]


def test_commands_in_a_repositorys_settings_are_not_run(
    patient: Patient,
) -> None:
    """Settings may come with a repository. Examining them must not run their commands."""
    patient.register()
    evil = patient.clone / "csc-git"
    evil.write_text("#!/bin/sh\ntouch run\n", encoding="utf-8")
    evil.chmod(0o755)
    (patient.clone / "csc_git").mkdir()
    (patient.clone / "csc_git/__main__.py").write_text(
        "open('run', 'w')", encoding="utf-8"
    )
    file, message = faults.hooks_of(patient)
    for command in (
        "touch run; csc-git-hook session-end",
        "./csc-git csc-git-hook session-end",
        "csc-git set csc-git-hook run session-end",
    ):
        message["hooks"]["SessionEnd"][0]["hooks"][0]["command"] = command
        file.write_text(json.dumps(message), encoding="utf-8")
        patient.examine(1)
    for entry in _EVIL:
        settings = {"mcpServers": {"csc-git": entry}}
        (patient.clone / ".mcp.json").write_text(
            json.dumps(settings), encoding="utf-8"
        )
        (finding,) = [
            one for one in patient.examine(0) if one["check"] == "client"
        ]
        assert "was not run" in finding["message"]
    assert not (patient.clone / "run").exists()
    assert "run" not in csc("ls", "serve", cwd=patient.clone).stdout


def test_an_entry_with_variables_is_understood(patient: Patient) -> None:
    """It has variables, another working directory, and the repository as an argument."""
    (patient.clone / "sub").mkdir()
    arguments = ["-C", "..", "serve", "--branch", "${CSC_NO_SUCH:-csc/state}"]
    server = {
        **_SOUND,
        "args": ["-P", "-m", "csc_git", *arguments],
        "cwd": "${workspaceFolder}/sub",
    }
    file = patient.clone / ".vscode" / "mcp.json"
    file.parent.mkdir()
    file.write_text(
        json.dumps({"servers": {"csc-git": server}}), encoding="utf-8"
    )
    (finding,) = [one for one in patient.examine(0) if one["check"] == "client"]
    assert finding["level"] == "ok"
    arguments[0:2] = ["-C", "${workspaceFolder}"]
    server["args"] = ["-P", "-m", "csc_git", *arguments]
    file.write_text(
        json.dumps({"servers": {"csc-git": server}}), encoding="utf-8"
    )
    (finding,) = [one for one in patient.examine(0) if one["check"] == "client"]
    assert finding["level"] == "ok"


def test_an_odd_tree_that_git_can_read_is_no_damage(patient: Patient) -> None:
    """Everyone who may push can write such a tree. A new store would contain it too."""
    remote = patient.world.remote
    csc("set", "a", "k", "1", cwd=patient.clone)
    tree = git("rev-parse", "csc/state:data", cwd=remote).strip()
    format_file = git("rev-parse", "csc/state:format.json", cwd=remote).strip()
    lines = b"".join(
        mode + b" " + name + b"\0" + bytes.fromhex(named)
        for mode, name, named in (
            (b"40000", b"data", tree),
            (b"100644", b"format.json", format_file),
            (b"100644", b"format.json", format_file),
        )
    )
    made = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
        input=lines, cwd=remote, capture_output=True, check=True,
    ).stdout.decode().strip()  # fmt: skip
    commit = git(
        "commit-tree", made, "-p", "csc/state", "-m", "odd", cwd=remote
    ).strip()
    git("update-ref", "refs/heads/csc/state", commit, cwd=remote)
    csc("sync", cwd=patient.clone)
    git("repack", "-adq", cwd=patient.state)
    (store,) = [one for one in patient.examine(0) if one["check"] == "store"]
    assert store["level"] == "ok", store


def test_a_damaged_value_is_not_reported_as_missing(
    patient: Patient,
) -> None:
    faults.damaged_value(patient)
    output = csc("get", "a", "k", cwd=patient.clone, code=1).stderr
    assert "can't be read" in output
    assert "state.git to another place" in output


def test_a_store_moved_aside_comes_back_without_a_conflict(
    patient: Patient,
) -> None:
    (patient.clone / ".git/csc/state.git").rename(
        patient.world.directory / "aside.git"
    )
    assert {
        one["check"] for one in patient.examine(0) if one["level"] != "ok"
    } == {"client"}


def test_a_remote_that_declines_later_is_reported(
    patient: Patient,
) -> None:
    patient.examine(0)
    patient.hook(
        "update", "echo 'GH006: Protected branch update failed' >&2; exit 1"
    )
    for _ in range(2):
        (wrong,) = [
            found for found in patient.examine(1) if found["level"] == "error"
        ]
        assert "protects the branch" in wrong["message"]
    assert not patient.world.open(patient.clone).store.branch.queue()
    patient.hook("update", "exit 0")
    patient.examine(0)


def test_a_trial_that_the_remote_declines_fails(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = patient.world.open(
        patient.world.clone("new", patient.server.url("remote.git"))
    )
    mine = "git log --format=%s $2..$3 | grep -q 'try the remote'"
    patient.hook(
        "update", f"if {mine}; then echo no trials here >&2; exit 1; fi"
    )
    make_alone = Writer.make

    def make_two(writer: Writer, *args: Any) -> Delivered[Any]:
        made = make_alone(writer, *args)
        monkeypatch.undo()
        put(one, "a", "k", 1)  # as a server of the clone may, just then
        return made

    put(one, "a", "first", 1)
    assert one.syncing.sync().state == "ok"
    monkeypatch.setattr(Writer, "make", make_two)
    tried = round_trip(one, "ada")
    assert not tried.works
    assert tried.status.state is RemoteState.DECLINED
    assert "no trials here" in tried.status.detail
    assert not one.store.branch.parked()  # the trial is withdrawn
    assert one.values.retrieve("a", "k").value == 1
    assert one.syncing.sync().state == "ok"


def _examined(patient: Patient, code: int) -> list[dict[str, Any]]:
    python = patient.env.pop("DOCTOR_PYTHON", None)
    if python is None:
        return patient.examine(code)
    done = subprocess.run(
        [python, "-m", "csc_git", "doctor", "--json"],
        cwd=patient.clone, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return list(json.loads(done.stdout)["findings"])


def test_the_doctor_changes_nothing_else(patient: Patient) -> None:
    patient.register()
    before = git("status", "--porcelain", "--ignored", cwd=patient.clone)
    edits = len(patient.world.log())
    patient.examine(0)
    assert (
        git("status", "--porcelain", "--ignored", cwd=patient.clone) == before
    )
    assert len(patient.world.log()) == edits + 1  # the round trip
    lock = FileLock(patient.clone / ".git/csc/locks/write")
    assert lock.try_acquire()
    lock.release()


def test_findings_and_fixes_are_lines_in_a_pipe(
    patient: Patient,
) -> None:
    lines = csc("doctor", cwd=patient.clone).stdout.splitlines()
    assert lines[0].startswith("ok  git         version ")
    assert "??  client      No client" in lines[-4]
    assert (
        lines[-3]
        == "                fix: csc-git init  (or csc-git init --client other)"
    )
    assert lines[-1] == "0 errors, 1 warning"
