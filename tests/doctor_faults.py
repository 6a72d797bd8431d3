"""Faults of a clone that is set up. Each function causes one for real."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from csc_git.cli.main import main
from csc_git.coordinator import clock
from csc_git.core.key import TEAM_KEY
from csc_git.store.transaction import Draft
from tests.by_hand import break_on_disk, check_out_branch
from tests.git_servers import HttpServer, ssh_server
from tests.world import World, git, installed, put, state_of


@dataclass
class Patient:
    """A clone that is set up, and everything that a fault can be caused in."""

    world: World
    clone: Path
    server: HttpServer
    stack: ExitStack
    env: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.clone / ".git/csc/state.git"

    def hook(self, name: str, script: str) -> None:
        self.world.install_hook(name, script)

    def register(self) -> None:
        """Register a client. The doctor takes as long for it as for all other checks."""
        self.run("init", "--hooks")

    def examine(self, code: int) -> list[dict[str, Any]]:
        output = self.run("doctor", "--json", "--timeout", "5", code=code)
        return list(json.loads(output)["findings"])

    def run(self, command: str, *arguments: str, code: int = 0) -> str:
        """Run a command in this process, which has imported everything already; what it prints."""
        line = [command, "-C", str(self.clone), *arguments]
        done = CliRunner().invoke(main, line, env=self.env)
        assert done.exception is None or isinstance(
            done.exception, SystemExit
        ), done.exception
        assert done.exit_code == code, done.output
        return done.stdout


def no_git(patient: Patient) -> None:
    patient.env["PATH"] = str(patient.world.directory / "nothing")


def old_git(patient: Patient) -> None:
    real, old = shutil.which("git"), patient.world.directory / "old"
    old.mkdir()
    script = f'#!/bin/sh\n[ "$1" = version ] && echo git version 2.20.1 && exit\nexec {real} "$@"\n'
    (old / "git").write_text(script, encoding="utf-8")
    (old / "git").chmod(0o755)
    patient.env["PATH"] = f"{old}:{os.environ['PATH']}"


def no_email(_: Patient) -> None:
    git("config", "--global", "--unset", "user.email", cwd=Path.home())


def other_owner(patient: Patient) -> None:
    if os.geteuid():
        pytest.skip("needs root")
    for path in [patient.clone, *patient.clone.rglob("*")]:
        os.chown(path, 12345, 12345)


def no_repository(patient: Patient) -> None:
    (patient.clone / ".git").rename(patient.clone / "git")


def broken_config(_: Patient) -> None:
    with (Path.home() / ".gitconfig").open("a", encoding="utf-8") as file:
        file.write("[x\n")


def bad_branch(patient: Patient) -> None:
    """The full name of a ref, from which git would make refs/heads/refs/heads/…"""
    git("config", "csc.branch", "refs/heads/csc/state", cwd=patient.clone)


def bad_setting(patient: Patient) -> None:
    git("config", "csc.lease", "forever", cwd=patient.clone)


def locked(patient: Patient) -> None:
    _stopped_with(patient, "locks/write")


def no_lock(patient: Patient) -> None:
    path = patient.clone / ".git/csc/locks/write"
    path.unlink()
    path.mkdir()


def sync_locked(patient: Patient) -> None:
    _stopped_with(patient, "locks/sync")


def clone_locked(patient: Patient) -> None:
    _stopped_with(patient, "locks/clone")


def seen_locked(patient: Patient) -> None:
    _stopped_with(patient, "locks/seen")


def _stopped_with(patient: Patient, name: str) -> None:
    """Start a process that acquires a lock, and stop it."""
    path = patient.clone / ".git/csc" / name
    code = f"""
from pathlib import Path
from csc_git.files.lock import FileLock
FileLock(Path({str(path)!r})).acquire()
print("locked", flush=True)
input()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    patient.stack.enter_context(holder)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"locked\n"
    holder.send_signal(signal.SIGSTOP)
    patient.stack.callback(holder.kill)


def lost_pack(patient: Patient) -> None:
    for file in (patient.state / "objects/pack").glob("*.pack"):
        file.unlink()


def damaged_value(patient: Patient) -> None:
    one = patient.world.open(patient.clone)
    put(one, "a", "k", "x" * 50)
    one.close()
    break_on_disk(patient.state, "data/a/k.json")


def unreadable_store(patient: Patient) -> None:
    (patient.state / "config").write_text("[core\n", encoding="utf-8")


def no_inotify_watches(patient: Patient) -> None:
    _without_inotify(patient, "watches")


def no_inotify_instances(patient: Patient) -> None:
    _without_inotify(patient, "instances")


def _without_inotify(patient: Patient, what: str) -> None:
    """Run the doctor in a user namespace, which has its own limits."""
    limits = f"echo 0 > /proc/sys/user/max_inotify_{what}"
    if subprocess.run(
        ["unshare", "-Ur", "sh", "-c", limits], check=False
    ).returncode:
        pytest.skip("needs user namespaces")
    wrapper = patient.world.directory / "python"
    wrapper.write_text(
        f'#!/bin/sh\nexec unshare -Ur sh -c \'{limits}; exec "$@"\' sh {sys.executable} "$@"\n',
        encoding="utf-8",
    )
    wrapper.chmod(0o755)
    patient.env["DOCTOR_PYTHON"] = str(wrapper)


def no_remote(patient: Patient) -> None:
    git("remote", "remove", "origin", cwd=patient.clone)


def remote_down(patient: Patient) -> None:
    patient.server.answer = 503


def wrong_password(patient: Patient) -> None:
    patient.server.password = "s3cret"


def ssh_agent_only_in_shell(patient: Patient) -> None:
    """The ssh key is in an agent, which the client's server can't reach."""
    if not Path("/usr/sbin/sshd").exists():
        pytest.skip("needs sshd")
    ssh = patient.stack.enter_context(
        ssh_server(patient.world.directory / "ssh")
    )
    git("config", "core.sshCommand", f"ssh -F {ssh.config}", cwd=patient.clone)
    git(
        "remote",
        "set-url",
        "origin",
        ssh.url(patient.world.remote),
        cwd=patient.clone,
    )
    patient.run("init", "--client", "cursor", code=1)
    patient.env["SSH_AUTH_SOCK"] = ssh.agent


def ssh_command_only_in_shell(patient: Patient) -> None:
    """A variable that `init` passes to no client."""
    ssh_agent_only_in_shell(patient)
    ssh = git("config", "core.sshCommand", cwd=patient.clone).strip()
    git("config", "--unset", "core.sshCommand", cwd=patient.clone)
    patient.env["GIT_SSH_COMMAND"] = ssh
    (patient.clone / ".mcp.json").unlink()


def protected_branch(patient: Patient) -> None:
    patient.hook(
        "update", "echo 'GH006: Protected branch update failed' >&2; exit 1"
    )


def branch_gone(patient: Patient) -> None:
    git("update-ref", "-d", "refs/heads/csc/state", cwd=patient.world.remote)


def other_store(patient: Patient) -> None:
    git("update-ref", "-d", "refs/heads/csc/state", cwd=patient.world.remote)
    assert state_of(patient.world.open("two")) == "never-synced" or put(
        patient.world.open("two"), "a", "k", 1
    )
    assert state_of(patient.world.open("two")) == "ok"


def wrong_clock(patient: Patient) -> None:
    patient.server.skew = -3 * 3600


def foreign_file(patient: Patient) -> None:
    work = patient.world.directory / "work"
    check_out_branch(patient.world, work)
    (work / "data").mkdir(exist_ok=True)
    (work / "data" / "notes.txt").write_text("by hand\n", encoding="utf-8")
    git("add", ".", cwd=work)
    git("commit", "-q", "-m", "by hand", cwd=work)
    git("push", "-q", "origin", "HEAD:csc/state", cwd=work)


def parked_edit(patient: Patient) -> None:
    refuse = "while read o n r; do git show $n:data/a/secret.json >/dev/null 2>&1 && "
    patient.hook(
        "pre-receive",
        refuse + "{ echo 'found a secret' >&2; exit 1; }; done; exit 0",
    )
    one = patient.world.open(patient.clone)
    put(one, "a", "secret", 1)
    put(one, "a", "other", 1)
    state_of(one)


def edits_of_another_branch(patient: Patient) -> None:
    """Edits that are queued for a branch which is no longer configured."""
    one = patient.world.open(patient.clone)
    put(one, "a", "k", 1)
    git("config", "csc.branch", "team/x", cwd=patient.clone)


def team_setting(patient: Patient) -> None:
    one = patient.world.open(patient.clone)
    draft = Draft("by hand", "mallory@x", {TEAM_KEY: {"lease": 1}})
    one.store.transact(lambda _: draft, clock.now())


def lost_refs(patient: Patient) -> None:
    shutil.rmtree(patient.state / "refs")


def open_conflict(patient: Patient) -> None:
    one, two = patient.world.open(patient.clone), patient.world.open("two")
    for coordinator in (one, two):
        put(coordinator, "a", "k", str(coordinator.clone.machine))
        state_of(coordinator)


def unregistered(patient: Patient) -> None:
    patient.run("init", "--undo")


def no_command(patient: Patient) -> None:
    entry = {
        "mcpServers": {
            "csc-git": {"command": "/gone/csc-git", "args": ["serve"]}
        }
    }
    (patient.clone / ".mcp.json").write_text(
        json.dumps(entry), encoding="utf-8"
    )


def no_directory(patient: Patient) -> None:
    _extend_entry(patient, "-C", "/nowhere")


def no_entry(patient: Patient) -> None:
    entry = {"mcpServers": {"csc-git": "csc-git serve"}}
    (patient.clone / ".mcp.json").write_text(
        json.dumps(entry), encoding="utf-8"
    )


def does_not_start(patient: Patient) -> None:
    server = {
        "command": sys.executable,
        "args": ["-P", "-m", "csc_git", "serve", "--pol", "5"],
    }
    entry = {"mcpServers": {"csc-git": server}}
    (patient.clone / ".mcp.json").write_text(
        json.dumps(entry), encoding="utf-8"
    )


def other_branch(patient: Patient) -> None:
    git("config", "csc.branch", "other/branch", cwd=patient.clone)
    text = (patient.clone / ".mcp.json").read_text(encoding="utf-8")
    settings = json.loads(text)
    settings["mcpServers"]["csc-git"]["args"] += ["--branch", "csc/state"]
    (patient.clone / ".mcp.json").write_text(
        json.dumps(settings), encoding="utf-8"
    )


def _extend_entry(patient: Patient, *arguments: str, **env: str) -> None:
    """Add arguments and variables to the client's entry."""
    file = patient.clone / ".mcp.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    entry = settings["mcpServers"]["csc-git"]
    entry["args"] += arguments
    entry.setdefault("env", {}).update(env)
    file.write_text(json.dumps(settings), encoding="utf-8")


def other_remote(patient: Patient) -> None:
    git("init", "-q", "--bare", "../private.git", cwd=patient.clone)
    _extend_entry(patient, "--remote=../private.git")


def sync_off_for_client(patient: Patient) -> None:
    _extend_entry(patient, "--no-sync")


def sync_off_for_commands(patient: Patient) -> None:
    git("config", "csc.sync", "false", cwd=patient.clone)
    _extend_entry(patient, CSC_SYNC="true")


def branch_by_variable(patient: Patient) -> None:
    _extend_entry(patient, CSC_BRANCH="other/branch")


def other_repository(patient: Patient) -> None:
    patient.world.clone("elsewhere")
    _extend_entry(patient, "-C", "../elsewhere")


def entry_runs_a_shell(patient: Patient) -> None:
    """The entry runs a shell, whose effect can't be known from its text."""
    server = {
        "command": "sh",
        "args": ["-c", "exec csc-git serve --remote ../private.git"],
    }
    file = patient.clone / ".mcp.json"
    file.write_text(
        json.dumps({"mcpServers": {"csc-git": server}}), encoding="utf-8"
    )


def in_another_worktree(patient: Patient) -> None:
    """Another work tree of the clone, which shares its store."""
    git("add", "-f", ".mcp.json", cwd=patient.clone)
    git("commit", "-q", "-m", "ours", cwd=patient.clone)
    git("worktree", "add", "-q", "../tree", cwd=patient.clone)
    _extend_entry(
        replace(patient, clone=patient.clone.parent / "tree"), "--no-sync"
    )


def second_url(patient: Patient) -> None:
    """A remote with two URLs, of which the first is synced."""
    git("init", "-q", "--bare", "../private.git", cwd=patient.clone)
    there = str(patient.clone.parent / "private.git")
    git("remote", "set-url", "--add", "origin", there, cwd=patient.clone)
    _extend_entry(patient, "--remote", there)


def local_scope_entry(patient: Patient) -> None:
    """An entry as `claude mcp add` writes it without a scope. It precedes the project's."""
    entry = {"csc-git": {"command": "/gone/csc-git", "args": ["serve"]}}
    message = {"projects": {str(patient.clone): {"mcpServers": entry}}}
    (Path.home() / ".claude.json").write_text(
        json.dumps(message), encoding="utf-8"
    )


def one_client_of_two(patient: Patient) -> None:
    """Claude Code passes the shell's variables to the server, and Cursor does not."""
    ssh_agent_only_in_shell(patient)
    patient.run("init", "--undo", "--client", "cursor")
    arguments = ["-P", "-m", "csc_git", "serve"]
    entry = {
        "mcpServers": {
            "csc-git": {"command": sys.executable, "args": arguments}
        }
    }
    (patient.clone / ".cursor").mkdir(exist_ok=True)
    (patient.clone / ".cursor/mcp.json").write_text(
        json.dumps(entry), encoding="utf-8"
    )


def active_environment_only(patient: Patient) -> None:
    command = installed(patient.world.directory / "environment" / "bin")
    (command.parents[1] / "pyvenv.cfg").touch()
    entry = {
        "mcpServers": {"csc-git": {"command": "csc-git", "args": ["serve"]}}
    }
    (patient.clone / ".mcp.json").write_text(
        json.dumps(entry), encoding="utf-8"
    )
    patient.env["PATH"] = f"{command.parent}:{os.environ['PATH']}"


def no_hook_command(patient: Patient) -> None:
    settings = patient.clone / ".claude/settings.local.json"
    text = settings.read_text(encoding="utf-8").replace(
        sys.executable, "/gone/python3"
    )
    text = text.replace('"csc-git-hook ', '"/gone/csc-git-hook ')
    settings.write_text(text, encoding="utf-8")


def hooks_of(patient: Patient) -> tuple[Path, dict[str, Any]]:
    file = patient.clone / ".claude/settings.local.json"
    return file, json.loads(file.read_text(encoding="utf-8"))


def hook_missing(patient: Patient) -> None:
    file, document = hooks_of(patient)
    del document["hooks"]["SessionEnd"]
    file.write_text(json.dumps(document), encoding="utf-8")


def hook_dead(patient: Patient) -> None:
    file, document = hooks_of(patient)
    python = (
        Path(sys.base_prefix) / "bin" / "python3"
    )  # in which nothing is installed
    command = f"{python} -I -m csc_git.hooks.main session-end"
    document["hooks"]["SessionEnd"][0]["hooks"][0]["command"] = command
    file.write_text(json.dumps(document), encoding="utf-8")


def hook_misspelt(patient: Patient) -> None:
    file, document = hooks_of(patient)
    hook = document["hooks"]["SessionStart"][0]["hooks"][0]
    hook["command"] = hook["command"].replace("session-start", "session-strt")
    file.write_text(json.dumps(document), encoding="utf-8")


def hooks_twice(patient: Patient) -> None:
    file, document = hooks_of(patient)
    (file.parent / "settings.json").write_text(
        json.dumps(document), encoding="utf-8"
    )


def hooks_disabled(patient: Patient) -> None:
    file, document = hooks_of(patient)
    file.write_text(
        json.dumps(document | {"disableAllHooks": True}), encoding="utf-8"
    )


def hooks_elsewhere(patient: Patient) -> None:
    file, document = hooks_of(patient)
    hook = document["hooks"]["PreToolUse"][0]["hooks"][0]
    hook["command"] = f"CSC_BRANCH=team/x {hook['command']}"
    file.write_text(json.dumps(document), encoding="utf-8")


def unreadable_settings(patient: Patient) -> None:
    (patient.clone / ".mcp.json").write_text(
        '{"mcpServers": ', encoding="utf-8"
    )


def unreadable_hooks(patient: Patient) -> None:
    (patient.clone / ".claude/settings.local.json").write_text(
        "{,}", encoding="utf-8"
    )


def same_machine_name(patient: Patient) -> None:
    other = patient.world.clone("other")
    one = patient.world.open(other, machine="one")
    one.authors.sign_on()
    assert one.syncing.sync().state == "ok"


OF_CLIENTS = frozenset(
    {
        ssh_agent_only_in_shell,
        ssh_command_only_in_shell,
        one_client_of_two,
    }
)
"""Faults of the remote that only a client has."""
