"""The doctor: each fault is planted for real, found, and told with what mends it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from csc_git.coordinator.edits import Edits
from csc_git.coordinator.results import Stored
from csc_git.coordinator.roundtrip import round_trip
from csc_git.git.failure import RemoteState
from csc_git.git.lock import FileLock
from tests.git_servers import HttpServer, http_server, ssh_server
from tests.test_cli import csc
from tests.world import World, git, installed, person, put, state_of

Findings = dict[str, tuple[str, str]]


@dataclass
class Patient:
    """A clone that is set up, with all that a fault may be planted in."""

    world: World
    clone: Path
    server: HttpServer
    stack: ExitStack
    env: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.clone / ".git/csc/state.git"

    def hook(self, name: str, script: str) -> None:
        hook = self.world.remote / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        hook.chmod(0o755)

    def examine(self, code: int) -> list[dict[str, Any]]:
        done = csc("doctor", "--json", "--timeout", "5", cwd=self.clone, code=code, env=self.env)
        return list(json.loads(done.stdout)["findings"])


@pytest.fixture
def patient(world: World, tmp_path: Path) -> Iterator[Patient]:
    with ExitStack() as stack:
        server = stack.enter_context(http_server(tmp_path))
        clone = world.clone("one", server.url("remote.git"))
        git("config", "csc.machine", "one", cwd=clone)
        csc("init", "--hooks", cwd=clone)
        yield Patient(world, clone, server, stack)


def test_a_sound_one(patient: Patient) -> None:
    found = patient.examine(0)
    assert {one["level"] for one in found} == {"ok"}, found
    assert [one["check"] for one in found] == [
        "git", "repository", "identity", "lock", "store", "objects", "size", "watcher", "remote",
        "machine", "clock", "branch", "client", "hooks",
    ]  # fmt: skip
    assert "as a client would" in next(o["says"] for o in found if o["check"] == "remote")
    assert "lists 15 tools" in next(o["says"] for o in found if o["check"] == "client")


# The faults


def no_git(patient: Patient) -> None:
    patient.env["PATH"] = str(patient.world.directory / "nothing")


def old_git(patient: Patient) -> None:
    real, old = shutil.which("git"), patient.world.directory / "old"
    old.mkdir()
    script = f'#!/bin/sh\n[ "$1" = version ] && echo git version 2.20.1 && exit\nexec {real} "$@"\n'
    (old / "git").write_text(script, encoding="utf-8")
    (old / "git").chmod(0o755)
    patient.env["PATH"] = f"{old}:{os.environ['PATH']}"


def nobody(_: Patient) -> None:
    git("config", "--global", "--unset", "user.email", cwd=Path.home())


def somebody_elses(patient: Patient) -> None:
    if os.geteuid():
        pytest.skip("needs root")
    for path in [patient.clone, *patient.clone.rglob("*")]:
        os.chown(path, 12345, 12345)


def no_repository(patient: Patient) -> None:
    (patient.clone / ".git").rename(patient.clone / "git")


def bad_setting(patient: Patient) -> None:
    git("config", "csc.lease", "forever", cwd=patient.clone)


def locked(patient: Patient) -> None:
    _stopped_with(patient, "write.lock")


def sync_locked(patient: Patient) -> None:
    _stopped_with(patient, "sync.lock")


def clone_locked(patient: Patient) -> None:
    _stopped_with(patient, "clone.lock")


def seen_locked(patient: Patient) -> None:
    _stopped_with(patient, "seen.lock")


def _stopped_with(patient: Patient, name: str) -> None:
    """A process that has a lock, and is stopped."""
    path = patient.clone / ".git/csc" / name
    code = f"""
from pathlib import Path
from csc_git.git.lock import FileLock
FileLock(Path({str(path)!r})).acquire()
print("held", flush=True)
input()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    patient.stack.enter_context(holder)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    holder.send_signal(signal.SIGSTOP)
    patient.stack.callback(holder.kill)


def damaged(patient: Patient) -> None:
    for file in (patient.state / "objects/pack").glob("*.pack"):
        file.unlink()


def rotten(patient: Patient) -> None:
    """A disk that gives back other bytes than were written: of a value, which nothing names."""
    one = patient.world.open(patient.clone)
    put(one, "a", "k", "x" * 50)
    value = git("rev-parse", "csc/state:data/a/k.json", cwd=patient.state).strip()
    for listing in (patient.state / "objects/pack").glob("*.idx"):
        shown = subprocess.run(
            ["git", "show-index"], input=listing.read_bytes(), capture_output=True, check=True,
            cwd=patient.state,
        ).stdout.decode()  # fmt: skip
        for line in shown.splitlines():
            offset, name, *_ = line.split()
            if name == value:
                pack = listing.with_suffix(".pack")
                pack.chmod(0o644)
                with pack.open("r+b") as file:
                    file.seek(int(offset) + 6)
                    file.write(b"\xff" * 4)
                one.close()
                return
    pytest.fail("it is in no pack")


def unreadable_store(patient: Patient) -> None:
    (patient.state / "config").write_text("[core\n", encoding="utf-8")


def unnoticed(patient: Patient) -> None:
    _without_inotify(patient, "watches")


def unwatched(patient: Patient) -> None:
    _without_inotify(patient, "instances")


def _without_inotify(patient: Patient, what: str) -> None:
    """A user namespace has limits of its own."""
    limits = f"echo 0 > /proc/sys/user/max_inotify_{what}"
    if subprocess.run(["unshare", "-Ur", "sh", "-c", limits], check=False).returncode:
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


def down(patient: Patient) -> None:
    patient.server.answer = 503


def locked_out(patient: Patient) -> None:
    patient.server.password = "s3cret"


def only_in_the_shell(patient: Patient) -> None:
    """The key is in an agent that the client's server isn't told of."""
    if not Path("/usr/sbin/sshd").exists():
        pytest.skip("needs sshd")
    ssh = patient.stack.enter_context(ssh_server(patient.world.directory / "ssh"))
    git("config", "core.sshCommand", f"ssh -F {ssh.config}", cwd=patient.clone)
    git("remote", "set-url", "origin", ssh.url(patient.world.remote), cwd=patient.clone)
    patient.env["SSH_AUTH_SOCK"] = ssh.agent
    csc("init", "--client", "cursor", cwd=patient.clone, code=1)


def ssh_by_variable(patient: Patient) -> None:
    """What `init` hands to no client."""
    only_in_the_shell(patient)
    ssh = git("config", "core.sshCommand", cwd=patient.clone).strip()
    git("config", "--unset", "core.sshCommand", cwd=patient.clone)
    patient.env["GIT_SSH_COMMAND"] = ssh
    (patient.clone / ".mcp.json").unlink()


def protected(patient: Patient) -> None:
    patient.hook("update", "echo 'GH006: Protected branch update failed' >&2; exit 1")


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


def foreign(patient: Patient) -> None:
    work = patient.world.directory / "work"
    git("clone", "-q", "-b", "csc/state", str(patient.world.remote), str(work), cwd=Path("/"))
    (work / "data" / "notes.txt").write_text("by hand\n", encoding="utf-8")
    git("add", ".", cwd=work)
    git("commit", "-q", "-m", "by hand", cwd=work)
    git("push", "-q", "origin", "HEAD:csc/state", cwd=work)


def held(patient: Patient) -> None:
    refuse = "while read o n r; do git show $n:data/a/secret.json >/dev/null 2>&1 && "
    patient.hook("pre-receive", refuse + "{ echo 'found a secret' >&2; exit 1; }; done; exit 0")
    one = patient.world.open(patient.clone)
    put(one, "a", "secret", 1)
    put(one, "a", "other", 1)
    state_of(one)


def conflict(patient: Patient) -> None:
    one, two = patient.world.open(patient.clone), patient.world.open("two")
    for coordinator in (one, two):
        put(coordinator, "a", "k", str(coordinator.clone.machine))
        state_of(coordinator)


def unregistered(patient: Patient) -> None:
    csc("init", "--undo", cwd=patient.clone)


def no_command(patient: Patient) -> None:
    entry = {"mcpServers": {"csc-git": {"command": "/gone/csc-git", "args": ["serve"]}}}
    (patient.clone / ".mcp.json").write_text(json.dumps(entry), encoding="utf-8")


def no_directory(patient: Patient) -> None:
    _told(patient, "-C", "/nowhere")


def no_entry(patient: Patient) -> None:
    entry = {"mcpServers": {"csc-git": "csc-git serve"}}
    (patient.clone / ".mcp.json").write_text(json.dumps(entry), encoding="utf-8")


def does_not_start(patient: Patient) -> None:
    entry = {"mcpServers": {"csc-git": {"command": sys.executable, "args": ["-c", "1/0"]}}}
    (patient.clone / ".mcp.json").write_text(json.dumps(entry), encoding="utf-8")


def other_branch(patient: Patient) -> None:
    git("config", "csc.branch", "other/branch", cwd=patient.clone)
    text = (patient.clone / ".mcp.json").read_text(encoding="utf-8")
    settings = json.loads(text)
    settings["mcpServers"]["csc-git"]["args"] += ["--branch", "csc/state"]
    (patient.clone / ".mcp.json").write_text(json.dumps(settings), encoding="utf-8")


def _told(patient: Patient, *arguments: str, **env: str) -> None:
    """Have the client's entry say more."""
    file = patient.clone / ".mcp.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    entry = settings["mcpServers"]["csc-git"]
    entry["args"] += arguments
    entry.setdefault("env", {}).update(env)
    file.write_text(json.dumps(settings), encoding="utf-8")


def other_remote(patient: Patient) -> None:
    git("init", "-q", "--bare", "../private.git", cwd=patient.clone)
    _told(patient, "--remote=../private.git")


def private(patient: Patient) -> None:
    _told(patient, "--no-sync")


def only_here_private(patient: Patient) -> None:
    git("config", "csc.sync", "false", cwd=patient.clone)
    _told(patient, CSC_SYNC="true")


def branch_by_variable(patient: Patient) -> None:
    _told(patient, CSC_BRANCH="other/branch")


def other_repository(patient: Patient) -> None:
    patient.world.clone("elsewhere")
    _told(patient, "-C", "../elsewhere")


def of_this_project_alone(patient: Patient) -> None:
    """What `claude mcp add` writes without a scope; it comes before the project's."""
    entry = {"csc-git": {"command": "/gone/csc-git", "args": ["serve"]}}
    says = {"projects": {str(patient.clone): {"mcpServers": entry}}}
    (Path.home() / ".claude.json").write_text(json.dumps(says), encoding="utf-8")


def one_client_of_two(patient: Patient) -> None:
    """Claude Code hands on all that the shell has; Cursor does not."""
    only_in_the_shell(patient)
    hooks = ["init", "--undo", "--client", "cursor"]
    csc(*hooks, cwd=patient.clone, env=patient.env)
    arguments = ["-m", "csc_git", "serve"]
    entry = {"mcpServers": {"csc-git": {"command": sys.executable, "args": arguments}}}
    (patient.clone / ".cursor").mkdir(exist_ok=True)
    (patient.clone / ".cursor/mcp.json").write_text(json.dumps(entry), encoding="utf-8")


def activated_only(patient: Patient) -> None:
    command = installed(patient.world.directory / "environment" / "bin")
    (command.parents[1] / "pyvenv.cfg").touch()
    entry = {"mcpServers": {"csc-git": {"command": "csc-git", "args": ["serve"]}}}
    (patient.clone / ".mcp.json").write_text(json.dumps(entry), encoding="utf-8")
    patient.env["PATH"] = f"{command.parent}:{os.environ['PATH']}"


def no_hook_command(patient: Patient) -> None:
    settings = patient.clone / ".claude/settings.local.json"
    text = settings.read_text(encoding="utf-8").replace(sys.executable, "/gone/csc-git-hook")
    text = text.replace('"csc-git-hook ', '"/gone/csc-git-hook ')
    settings.write_text(text, encoding="utf-8")


def _hooks(patient: Patient) -> tuple[Path, dict[str, Any]]:
    file = patient.clone / ".claude/settings.local.json"
    return file, json.loads(file.read_text(encoding="utf-8"))


def hook_missing(patient: Patient) -> None:
    file, says = _hooks(patient)
    del says["hooks"]["SessionEnd"]
    file.write_text(json.dumps(says), encoding="utf-8")


def hook_dead(patient: Patient) -> None:
    file, says = _hooks(patient)
    command = "/usr/bin/env -i python3 -P -c 'import gone' csc-git-hook session-end"
    says["hooks"]["SessionEnd"][0]["hooks"][0]["command"] = command
    file.write_text(json.dumps(says), encoding="utf-8")


def hooks_disabled(patient: Patient) -> None:
    file, says = _hooks(patient)
    file.write_text(json.dumps(says | {"disableAllHooks": True}), encoding="utf-8")


def hooks_elsewhere(patient: Patient) -> None:
    file, says = _hooks(patient)
    hook = says["hooks"]["PreToolUse"][0]["hooks"][0]
    hook["command"] = f"CSC_BRANCH=team/x {hook['command']}"
    file.write_text(json.dumps(says), encoding="utf-8")


def unreadable(patient: Patient) -> None:
    (patient.clone / ".mcp.json").write_text('{"mcpServers": ', encoding="utf-8")


def unreadable_hooks(patient: Patient) -> None:
    (patient.clone / ".claude/settings.local.json").write_text("{,}", encoding="utf-8")


def namesake(patient: Patient) -> None:
    other = patient.world.clone("other")
    git("config", "csc.machine", "one", cwd=other)
    csc("init", "--no-register", cwd=other)


@pytest.mark.parametrize(
    ("plant", "check", "level", "says", "fix"),
    [
        (no_git, "git", "error", "no git on PATH", "Install git 2.31"),
        (old_git, "git", "error", "git 2.20.1 is too old", "Install git 2.31"),
        (nobody, "identity", "warning", "no e-mail", "git config --global user.email"),
        (somebody_elses, "repository", "error", "another user", "safe.directory"),
        (no_repository, "repository", "error", "no repository", "git init"),
        (bad_setting, "settings", "error", "csc.lease", "Correct git config csc.lease"),
        (locked, "lock", "error", "which is stopped, holds", "kill -CONT"),
        (sync_locked, "lock", "error", "sync.lock", "kill -CONT"),
        (clone_locked, "lock", "error", "clone.lock", "kill -CONT"),
        (seen_locked, "lock", "error", "seen.lock", "kill -CONT"),
        (rotten, "store", "error", "is damaged", "move that directory aside"),
        (unreadable_store, "store", "error", "can't be read", "state.git aside"),
        (damaged, "store", "error", "is damaged", "move that directory aside"),
        (unnoticed, "watcher", "warning", "after a second only", "max_user_watches"),
        (unwatched, "watcher", "warning", "after a second only", "max_user_instances"),
        (no_remote, "remote", "warning", "no remote", "git remote add"),
        (down, "remote", "error", "can't be reached", "retries"),
        (locked_out, "remote", "error", "credentials", "Run git fetch yourself"),
        (only_in_the_shell, "remote", "error", "works in this shell", "SSH_AUTH_SOCK"),
        (ssh_by_variable, "remote", "error", "works in this shell", "GIT_SSH_COMMAND to env in"),
        (protected, "remote", "error", "protects the branch", "branch rules"),
        (branch_gone, "remote", "error", "no longer has the branch", "--recreate"),
        (other_store, "remote", "error", "another store", "git config --get-regexp csc"),
        (wrong_clock, "clock", "warning", "180 minutes ahead", "timedatectl"),
        (foreign, "foreign", "warning", "notes.txt", "csc-git log"),
        (held, "held", "warning", "store a/secret", "csc-git sync --retry"),
        (conflict, "conflicts", "warning", "1 value lost", "csc-git conflicts"),
        (unregistered, "client", "warning", "No client", "csc-git init"),
        (no_command, "client", "error", "/gone/csc-git, which is not there", "Install csc-git"),
        (no_directory, "client", "error", "won't start at /nowhere", "Mend its entry"),
        (no_entry, "client", "error", "names no command", "csc-git init --undo --client claude"),
        (does_not_start, "client", "error", "ZeroDivisionError", "Run it yourself"),
        (activated_only, "client", "warning", "virtual environment is active", "pipx install"),
        (other_branch, "client", "error", "other/branch", "git config csc.branch csc/state"),
        (other_remote, "client", "error", "private.git, but", "git config csc.remote ../priv"),
        (private, "client", "error", "shares with nobody", "git config csc.sync false"),
        (only_here_private, "client", "error", "shares with a remote", "git config csc.sync true"),
        (branch_by_variable, "client", "error", "other/branch", "git config csc.branch other/b"),
        (other_repository, "client", "error", "another repository", "Mend its entry"),
        (of_this_project_alone, "client", "error", "/gone/csc-git", "--scope local"),
        (one_client_of_two, "remote", "error", "not as Cursor starts", "init --client cursor"),
        (hook_missing, "hooks", "error", "no hook of ours at SessionEnd", "csc-git init --hooks"),
        (hook_dead, "hooks", "error", "does not work: ModuleNotFound", "--undo --hooks"),
        (hooks_disabled, "hooks", "warning", "disableAllHooks", "Take it out"),
        (hooks_elsewhere, "hooks", "error", "look at the branch team/x", "--branch csc/state"),
        (unreadable, "client", "error", "can't be read as settings", "Mend the file"),
        (unreadable_hooks, "hooks", "error", "can't be read as settings", "Mend the file"),
        (namesake, "machine", "warning", "like 1 other clone", "git config csc.machine NAME"),
        (no_hook_command, "hooks", "error", "which is not there", "--hooks"),
    ],
)
def test_a_fault_is_found_and_told_with_what_mends_it(
    patient: Patient,
    plant: Callable[[Patient], None],
    check: str,
    level: str,
    says: str,
    fix: str,
) -> None:
    plant(patient)
    found = _examined(patient, 1 if level == "error" else 0)
    by_check = {one["check"]: one for one in reversed(found) if one["level"] != "ok"}
    assert list(by_check) == [check] or plant in {damaged, rotten, no_git}, found
    assert len([one for one in found if one["check"] == check and one["level"] != "ok"]) == 1
    assert by_check[check]["level"] == level
    assert says in by_check[check]["says"]
    assert fix in by_check[check]["fix"]


@pytest.mark.parametrize("plant", [other_remote, private, only_here_private, other_repository])
def test_where_a_client_shares_with_others_nothing_is_shown_to_either(
    patient: Patient, plant: Callable[[Patient], None]
) -> None:
    """There is one store: what is queued for the one would be pushed to the other."""
    plant(patient)
    put(patient.world.open(patient.clone), "plan", "secret", 1)
    before = git("for-each-ref", cwd=patient.world.remote)
    patient.examine(1)
    said = csc("init", cwd=patient.clone, code=1).stdout
    assert "shares with" in said or "another repository" in said
    assert git("for-each-ref", cwd=patient.world.remote) == before
    elsewhere = patient.clone.parent / "private.git"
    assert not elsewhere.exists() or not git("for-each-ref", cwd=elsewhere)
    assert len(patient.world.open(patient.clone).store.branch.queue()) == 1


def test_a_store_that_was_moved_aside_comes_back_without_a_conflict(patient: Patient) -> None:
    (patient.clone / ".git/csc/state.git").rename(patient.world.directory / "aside.git")
    assert {one["level"] for one in patient.examine(0)} == {"ok"}


def test_what_the_remote_took_yesterday_it_may_decline_today(patient: Patient) -> None:
    patient.examine(0)
    patient.hook("update", "echo 'GH006: Protected branch update failed' >&2; exit 1")
    for _ in range(2):
        (wrong,) = [found for found in patient.examine(1) if found["level"] != "ok"]
        assert "protects the branch" in wrong["says"]
    assert len(patient.world.open(patient.clone).store.branch.queue()) == 1
    patient.hook("update", "exit 0")
    patient.examine(0)


def test_a_trial_that_is_set_aside_is_no_success(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = patient.world.open(patient.world.clone("new", patient.server.url("remote.git")))
    mine = f"git ls-tree -r $3 | grep -q {one.clone.id[:8]}/tried.json"
    patient.hook("update", f"if {mine}; then echo no trials here >&2; exit 1; fi")
    put_alone = Edits.put

    def put_by_two(edits: Edits, *args: Any) -> Stored:
        stored = put_alone(edits, *args)
        put_alone(edits, person(one), "a", "k", 1)  # as a server of the clone may, just then
        return stored

    monkeypatch.setattr(Edits, "put", put_by_two)
    tried = round_trip(one, "ada")
    assert not tried.works
    assert tried.status.state is RemoteState.DECLINED
    assert "no trials here" in tried.status.detail
    assert len(one.store.branch.held()) == 1


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


def test_it_leaves_everything_else_as_it_is(patient: Patient) -> None:
    before = git("status", "--porcelain", "--ignored", cwd=patient.clone)
    edits = len(patient.world.log())
    patient.examine(0)
    assert git("status", "--porcelain", "--ignored", cwd=patient.clone) == before
    assert len(patient.world.log()) == edits + 1  # the round trip
    lock = FileLock(patient.clone / ".git/csc/write.lock")
    assert lock.try_acquire()
    lock.release()


def test_in_a_pipe_each_finding_is_a_line_and_its_fix_another(patient: Patient) -> None:
    unregistered(patient)
    lines = csc("doctor", cwd=patient.clone).stdout.splitlines()
    assert lines[0].startswith("ok  git         version ")
    assert "??  client      No client" in lines[-4]
    assert lines[-3] == "                fix: csc-git init  (or csc-git init --client other)"
    assert lines[-1] == "0 errors, 1 warning"
