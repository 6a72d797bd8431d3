"""The command line as a person has it: a real process, its output, its exit code."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.world import REF, World, git, put, state_of


def csc(
    *arguments: str,
    cwd: Path,
    code: int = 0,
    stdin: str = "",
    env: dict[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run csc-git; it must end with the expected code and never with a traceback."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "csc_git", *arguments],
        cwd=cwd, capture_output=True, text=True, check=False, input=stdin,
        env=os.environ | (env or {}), timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture
def clone(world: World) -> Path:
    path = world.clone("one")
    git("config", "csc.machine", "one", cwd=path)
    return path


def test_set_get_ls_rm(world: World, clone: Path) -> None:
    assert csc(
        "set", "issue:15", "status", '{"a": [1, "é"]}', cwd=clone
    ).stdout.endswith("synced\n")
    shown = csc("get", "issue:15", "status", cwd=clone)
    assert json.loads(shown.stdout) == {"a": [1, "é"]}
    assert shown.stderr == ""  # quiet in a pipe
    full = json.loads(
        csc("get", "issue:15", "status", "--json", cwd=clone).stdout
    )
    assert full["found"] is True
    assert full["session"].endswith("@one")
    csc("set", "issue:15", "note", "plain text", "--string", cwd=clone)
    csc("set", "issue:15", "piped", "-", cwd=clone, stdin="[1]")
    assert csc("ls", cwd=clone).stdout == "issue:15\n"
    assert csc("ls", "iss*", cwd=clone).stdout == "issue:15\n"
    assert csc("ls", "issue:15", cwd=clone).stdout == "note\npiped\nstatus\n"
    assert (
        json.loads(csc("ls", "issue:15", "--json", cwd=clone).stdout)["keys"][0]
        == "note"
    )
    assert "removed" in csc("rm", "issue:15", "note", cwd=clone).stdout
    assert "was not there" in csc("rm", "issue:15", "note", cwd=clone).stdout
    assert "2 removed" in csc("rm", "issue:15", "--all", cwd=clone).stdout
    assert csc("ls", cwd=clone).stdout == ""
    csc("get", "issue:15", "note", cwd=clone, code=1)
    assert len(world.log()) == 6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["set", "", "k", "1"], "empty"),
        (["set", "a", "k", "{"], "not JSON"),
        (["set", "a", "k", "NaN"], "not JSON"),
        (["set", "sessions", "k", "1"], "kept by csc-git"),
        (["set", "a", "k\x1b[31m", "1"], "control character"),
        (["set", "a", "k", "1", "--limit", "0"], "--limit"),
        (["set", "a", "k", '"12345"', "--limit", "3"], "the limit is 3"),
        (["ls", "["], "nothing closes a ["),
        (["status", "--branch", "-x"], "git takes no such branch"),
        (["status", "--branch", "a..b"], "git takes no such branch"),
        (["status", "--branch", "a b"], "git takes no such branch"),
        (["status", "--remote", "-x"], "name a remote, or a URL"),
        (["status", "--machine", "a b"], "--machine"),
        (["status", "--poll", "never"], "--poll"),
        (["status", "--lease", "-1"], "--lease"),
        (["sync", "--retry", "nothing"], "No edit nothing is parked"),
        (["sync", "--drop", "nothing"], "No edit nothing is parked"),
    ],
)
def test_bad_input_is_refused_in_words(
    clone: Path, arguments: list[str], words: str
) -> None:
    done = csc(*arguments, cwd=clone, code=1)
    assert words in done.stderr
    assert "\x1b" not in done.stderr
    as_json = json.loads(csc(*arguments, "--json", cwd=clone, code=1).stdout)
    assert as_json["what"]
    assert csc("ls", cwd=clone).stdout == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rm", "a"], "Name a key"),
        (["rm", "a", "b", "--all"], "Name a key"),
        (["rm", "a", "--all", "--if-revision", "1"], "is for one key"),
        (["log", "--key", "k"], "--key needs --scope"),
        (["resolve", "abcd"], "--current, --lost, --value"),
        (["init", "--no-register", "--hooks"], "leaves all settings alone"),
        (["status", "--nosuch"], "No such option"),
        (["get", "a"], "Missing argument 'KEY'"),
        (["nosuch"], "No such command"),
    ],
)
def test_wrong_usage_ends_with_2(
    clone: Path, arguments: list[str], words: str
) -> None:
    done = csc(*arguments, cwd=clone, code=2)
    assert words in done.stderr
    assert "--help" in done.stderr
    told = json.loads(csc(*arguments, "--json", cwd=clone, code=2).stdout)
    assert words in told["what"]
    assert "--help" in told["next"]
    assert not (clone / ".git/csc").exists()


def test_outside_a_repository(tmp_path: Path) -> None:
    done = csc("status", cwd=tmp_path, code=1)
    assert "no repository" in done.stderr
    assert "git init" in done.stderr


def test_settings_from_flag_environment_and_git_config(
    world: World, clone: Path
) -> None:
    def machine(*arguments: str, **env: str) -> str:
        answer = csc(
            "status", "--json", "--no-sync", *arguments, cwd=clone, env=env
        ).stdout
        return str(json.loads(answer)["machine"])

    assert machine() == "one"
    assert machine(CSC_MACHINE="env") == "env"
    assert machine("--machine", "flag", CSC_MACHINE="env") == "flag"
    git("config", "csc.limit", "2KiB", cwd=clone)
    csc("set", "a", "k", json.dumps("x" * 3000), "--local", cwd=clone, code=1)
    csc(
        "set",
        "a",
        "k",
        json.dumps("x" * 3000),
        "--local",
        cwd=clone,
        env={"CSC_LIMIT": "1MiB"},
    )
    bad = csc("status", cwd=clone, code=1, env={"CSC_POLL": "x"})
    assert "CSC_POLL" in bad.stderr
    git("config", "csc.sync", "maybe", cwd=clone)
    assert "git config csc.sync" in csc("status", cwd=clone, code=1).stderr
    git("config", "csc.sync", "off", cwd=clone)
    status = json.loads(csc("status", "--json", cwd=clone).stdout)
    assert status["sync"]["state"] == "off"
    git("config", "csc.branch", "team/agents", cwd=clone)
    git("config", "csc.sync", "yes", cwd=clone)
    csc("set", "a", "k", "1", cwd=clone)
    assert git("rev-parse", "team/agents", cwd=world.remote)


def test_status_says_what_there_is(world: World, clone: Path) -> None:
    one = world.open("one")
    author = one.author(one.sign_on().session)
    one.edits.put(author, "session:claude_1", "current_issue", 15)
    one.edits.put(author, "session:claude_1", "todos", ["a", "b"])
    two = world.open("two")
    for coordinator in (one, two):
        put(coordinator, "a", "b", coordinator.clone.machine)
    assert [state_of(c) for c in (one, two, one)] == ["ok"] * 3
    shown = csc("status", cwd=clone).stdout
    assert "remote on one: 5 keys on csc/state" in shown
    assert "claude_1@one  on 15  2 todos" in shown
    assert "conflicts a/b: tester@one's value" in shown
    assert "In step with the remote." in shown
    assert max(map(len, shown.splitlines())) <= 120


def test_log_is_git_log_with_filters(world: World, clone: Path) -> None:
    one = world.open("one")
    author = one.author(one.sign_on().session)
    one.edits.put(author, "issue:15", "status", 1)
    put(one, "issue:15", "other", 1)
    put(one, "issue:15:sub", "k", 1)
    put(one, "issue:1", "status", 1)
    for number in range(300):
        put(one, "many", f"k{number}", number)

    def subjects(*arguments: str) -> list[str]:
        return csc(
            "log", "--format=%s", *arguments, cwd=clone
        ).stdout.splitlines()

    assert len(subjects()) == 306
    assert subjects("-2") == ["store many/k299", "store many/k298"]
    assert subjects("--scope", "issue:15") == [
        "store issue:15:sub/k", "store issue:15/other", "store issue:15/status",
    ]  # fmt: skip
    assert subjects("--scope", "issue:15", "--key", "status") == [
        "store issue:15/status"
    ]
    assert subjects("--scope", "many", "--key", "k7")[-1] == "store many/k7"
    assert subjects("--session", "claude_1") == [
        "store issue:15/status",
        "sign on claude_1@one",
    ]
    assert subjects("--grep", "sub/k", "--reverse") == ["store issue:15:sub/k"]
    assert (
        '+  "value": 1,'
        in csc("log", "-p", "-1", "--scope", "issue:15", cwd=clone).stdout
    )
    lines = csc(
        "log", "--json", "--scope", "issue:15", "--key", "status", cwd=clone
    ).stdout
    (edit,) = map(json.loads, lines.splitlines())
    assert edit["session"] == "claude_1@one"
    assert edit["changed"][0]["key"] == "issue:15/status"
    assert edit["changed"][0]["before"] is None


def test_sync_reports_and_decides(world: World, clone: Path) -> None:
    assert csc("sync", cwd=clone).stdout == "In step with the remote.\n"
    csc("set", "a", "b", "1", cwd=clone)
    git("update-ref", "-d", REF, cwd=world.remote)
    done = csc("sync", cwd=clone, code=1)
    assert "csc-git doctor" in done.stdout
    assert "--recreate" not in done.stdout
    assert "csc-git sync --recreate" in csc("doctor", cwd=clone, code=1).stdout
    assert (
        json.loads(csc("sync", "--json", cwd=clone, code=1).stdout)["state"]
        == "branch-deleted"
    )
    assert csc("set", "a", "c", "2", cwd=clone).stdout == "a/c: local\n"
    refused = csc("sync", "--recreate", cwd=clone, code=1)
    assert "nobody can answer here" in refused.stderr
    assert (
        "does not fit"
        in csc("sync", "--join", "--yes", cwd=clone, code=1).stderr
    )
    csc("sync", "--recreate", "--yes", cwd=clone)
    assert len(world.log()) == 3


def test_sync_shows_what_a_decision_would_change(
    world: World, clone: Path
) -> None:
    csc("set", "a", "b", "1", cwd=clone)
    backup = git("rev-parse", REF, cwd=world.remote)
    csc("set", "a", "lost", "2", cwd=clone)
    git("update-ref", REF, backup, cwd=world.remote)
    shown = asked("sync", "--accept-rewrite", cwd=clone, answer="n")
    assert "The remote lacks 1 confirmed edit:" in shown
    assert "store a/lost" in shown
    assert "Only here: a/lost." in shown
    assert csc("get", "a", "lost", cwd=clone).stdout == "2\n"
    done = csc("sync", "--accept-rewrite", "--yes", cwd=clone).stdout
    command = re.search(r"csc-git (export --at [0-9a-f]+)", done)
    assert command is not None
    exported = csc(*command[1].split(), cwd=clone).stdout.splitlines()
    kept = [json.loads(line)["key"] for line in exported]
    assert kept == ["b", "lost"]
    assert "lost" not in csc("ls", "a", cwd=clone).stdout


def asked(*command: str, cwd: Path, answer: str) -> str:
    """What a command that asks shows in a terminal, and is answered."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execv(sys.executable, [sys.executable, "-m", "csc_git", *command])  # noqa: S606
    shown = b""
    os.write(terminal, f"{answer}\n".encode())
    with suppress(OSError):  # a terminal whose program has ended
        while part := os.read(terminal, 4096):
            shown += part
    os.waitpid(pid, 0)
    return shown.decode()


def test_init_and_undo(world: World, clone: Path) -> None:
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


def test_init_in_two_clones_on_one_machine(world: World) -> None:
    one, two = world.clone("one"), world.clone("two")
    for clone in (one, two):
        git("config", "csc.machine", "laptop", cwd=clone)
        assert (
            "other clone" not in csc("init", "--no-register", cwd=clone).stdout
        )
    server = world.open("one", machine="laptop")
    server.sign_on()
    assert state_of(server) == "ok"
    for clone, others in ((two, True), (one, False)):
        shown = csc("init", "--no-register", cwd=clone).stdout
        assert ("like 1 other clone" in shown) == others
        csc("doctor", cwd=clone)
    assert csc("conflicts", cwd=one).stdout == ""
    git("config", "csc.machine", "desktop", cwd=two)  # as the advice has it
    assert "other clone" not in csc("init", "--no-register", cwd=two).stdout
    server.sign_off()
    csc("init", "--undo", cwd=one)
    csc("init", "--undo", cwd=two)
    assert csc("ls", cwd=two).stdout == "sessions\n"


def test_trying_the_remote_leaves_no_key_and_no_line_in_the_log(
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
def test_init_merges_and_undo_gives_the_very_bytes_back(
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
def test_init_leaves_unreadable_settings_alone(clone: Path, text: str) -> None:
    settings = clone / ".mcp.json"
    settings.write_text(text)
    assert "can't be read" in csc("init", cwd=clone, code=1).stderr
    assert settings.read_text() == text


def test_init_says_when_the_remote_does_not_work(
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


def test_help_fits_a_terminal(clone: Path) -> None:
    for command in (
        "",
        "get",
        "set",
        "ls",
        "rm",
        "log",
        "sync",
        "status",
        "init",
        "demo",
        "serve",
    ):
        shown = csc(*command.split(), "--help", cwd=clone).stdout
        assert max(map(len, shown.splitlines())) <= 80
        assert "Usage: " in shown


def test_git_csc_works_as_a_git_command(clone: Path) -> None:
    assert "keys on csc/state" in git(
        "csc", "status", cwd=clone, env=_as_installed()
    )


@pytest.mark.skipif(not shutil.which("man"), reason="needs man")
def test_the_manual_page_is_found_and_lists_the_commands(clone: Path) -> None:
    shown = subprocess.run(
        ["git", "csc", "--help"], cwd=clone, env=_as_installed() | {"MANOPT": "--warnings"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stderr == ""
    listed = re.compile(r"^ +([a-z][a-z-]+)  +(\w.*\.)$", re.MULTILINE)
    told = listed.findall(
        csc("--help", cwd=clone).stdout.partition("\nCommands:")[2]
    )
    assert len(told) > 20
    assert listed.findall(shown.stdout.partition("\nCOMMANDS")[2]) == told


def _as_installed() -> dict[str, str]:
    """The environment in which a shell finds our commands."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "MANWIDTH": "100"}
