"""The command line: a real process, its output and its exit code."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from csc_git.coordinator.coordinator import Coordinator
from tests.agents import agent, run
from tests.commands import csc, csc_here
from tests.world import REF, World, git, put, state_of


def test_values_are_stored_read_listed_and_removed(
    world: World, clone: Path
) -> None:
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
        (["set", "sessions", "k", "1"], "reserved for csc-git"),
        (["set", "a", "k\x1b[31m", "1"], "control character"),
        (["set", "a", "k", "1", "--limit", "0"], "--limit"),
        (["set", "a", "k", '"12345"', "--limit", "3"], "the limit is 3"),
        (["ls", "["], "has a [ without a ]"),
        (["status", "--branch", "-x"], "as the name of a branch"),
        (["status", "--branch", "a..b"], "as the name of a branch"),
        (["status", "--branch", "a b"], "as the name of a branch"),
        (["status", "--remote", "-x"], "give the name of a remote"),
        (["status", "--machine", "a b"], "--machine"),
        (["status", "--poll", "never"], "--poll"),
        (["status", "--lease", "-1"], "--lease"),
        (["sync", "--retry", "nothing"], "No edit nothing is parked"),
        (["sync", "--drop", "nothing"], "No edit nothing is parked"),
    ],
)
def test_bad_input_is_refused_with_an_explanation(
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
        (
            ["rm", "a", "--all", "--if-revision", "1"],
            "is only for a single key",
        ),
        (["log", "--key", "k"], "--key needs --scope"),
        (["resolve", "abcd"], "--current, --lost, --value"),
        (["init", "--no-register", "--hooks"], "changes no settings"),
        (["status", "--nosuch"], "No such option"),
        (["get", "a"], "Missing argument 'KEY'"),
        (["nosuch"], "No such command"),
    ],
)
def test_wrong_usage_exits_with_2(
    clone: Path, arguments: list[str], words: str
) -> None:
    done = csc(*arguments, cwd=clone, code=2)
    assert words in done.stderr
    assert "--help" in done.stderr
    error = json.loads(csc(*arguments, "--json", cwd=clone, code=2).stdout)
    assert words in error["what"]
    assert "--help" in error["next"]
    assert not (clone / ".git/csc").exists()


def test_a_command_outside_a_repository_explains_itself(tmp_path: Path) -> None:
    done = csc("status", cwd=tmp_path, code=1)
    assert "no repository" in done.stderr
    assert "git init" in done.stderr


def test_settings_come_from_flag_environment_or_git_config(
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


def test_status_lists_sessions_keys_and_conflicts(
    world: World, clone: Path
) -> None:
    one = world.open("one")
    author = one.authors.session(one.authors.sign_on().session)
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
    author = one.authors.session(one.authors.sign_on().session)
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


def test_sync_reports_a_state_and_takes_a_decision(
    world: World, clone: Path
) -> None:
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
        "can't be used now"
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
    assert "Keys that only this clone has: a/lost." in shown
    assert csc("get", "a", "lost", cwd=clone).stdout == "2\n"
    done = csc("sync", "--accept-rewrite", "--yes", cwd=clone).stdout
    command = re.search(r"csc-git (export --at [0-9a-f]+)", done)
    assert command is not None
    exported = csc(*command[1].split(), cwd=clone).stdout.splitlines()
    kept = [json.loads(line)["key"] for line in exported]
    assert kept == ["b", "lost"]
    assert "lost" not in csc("ls", "a", cwd=clone).stdout


def asked(*command: str, cwd: Path, answer: str) -> str:
    """Answer a command that asks in a terminal; what it shows."""
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


def test_help_fits_in_80_columns(clone: Path) -> None:
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


def test_csc_works_as_a_git_command(clone: Path) -> None:
    assert "keys on csc/state" in git(
        "csc", "status", cwd=clone, env=_as_installed()
    )


@pytest.mark.skipif(not shutil.which("man"), reason="needs man")
def test_the_manual_page_lists_all_commands(clone: Path) -> None:
    shown = subprocess.run(
        ["git", "csc", "--help"], cwd=clone, env=_as_installed() | {"MANOPT": "--warnings"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stderr == ""
    listed = re.compile(r"^ +([a-z][a-z-]+)  +(\w.*\.)$", re.MULTILINE)
    commands = listed.findall(
        csc("--help", cwd=clone).stdout.partition("\nCommands:")[2]
    )
    assert len(commands) > 20
    assert listed.findall(shown.stdout.partition("\nCOMMANDS")[2]) == commands


def _as_installed() -> dict[str, str]:
    """The environment in which a shell finds our commands."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "MANWIDTH": "100"}


def test_a_broken_git_configuration_is_reported(clone_cwd: Path) -> None:
    with (clone_cwd / ".git" / "config").open("a") as config:
        config.write("[broken\n")
    assert "can't read its configuration" in csc_here("status", code=1)


def test_the_directory_without_a_repository_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path) in csc_here("status", code=1)

    async def scenario() -> None:
        async with agent(tmp_path) as claude:
            with pytest.raises(Exception, match="finds no repository at"):
                await claude.read("session://context")

    run(scenario)


def test_rm_reports_whether_the_remote_has_it(clone_cwd: Path) -> None:
    csc_here("set", "a", "b", "1")
    csc_here("set", "a", "c", "1")
    assert csc_here("rm", "a", "b").strip() == "a/b: removed, synced"
    git("remote", "set-url", "origin", "/nowhere", cwd=clone_cwd)
    alone = csc_here("rm", "--all", "a")
    assert "a: 1 removed, local" in alone
    assert "safe here and queued" in alone


@pytest.mark.usefixtures("clone_cwd")
def test_get_of_a_missing_key_is_an_error_in_a_pipe_too() -> None:
    assert csc_here("get", "a", "b", code=1).strip() == (
        "csc-git: a/b has no value. To list the keys: csc-git ls a"
    )


@pytest.mark.usefixtures("clone_cwd")
def test_a_negative_number_is_a_value() -> None:
    assert "synced" in csc_here("set", "a", "k", "-1")
    assert csc_here("get", "a", "k").strip() == "-1"


@pytest.mark.usefixtures("clone_cwd")
def test_a_value_that_is_not_json_is_explained_once() -> None:
    text = csc_here("set", "a", "k", '"\\ud800"', code=1)
    assert text.count("Nothing was changed") == 1
    assert "lone surrogate" in text
    assert "nested deeper" in csc_here(
        "set", "a", "k", "[" * 200 + "]" * 200, code=1
    )


@pytest.mark.usefixtures("clone_cwd")
@pytest.mark.parametrize(
    "options",
    [
        ["-SCat"],
        ["-G", "Cat"],
        ["-C"],
        ["--", "data/a"],
        ["--scope", "a", "--oneline"],
        ["-1"],
    ],
)
def test_log_passes_its_options_to_git(options: list[str]) -> None:
    csc_here("set", "a", "k", '"Cat"')
    command = [sys.executable, "-m", "csc_git", "log", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "store a/k" in done.stdout


@pytest.mark.usefixtures("clone_cwd")
@pytest.mark.parametrize(
    "options", [["--oneline"], ["-p"], ["--stat", "--graph"], ["--", "data"]]
)
def test_log_prints_json_with_any_other_option(options: list[str]) -> None:
    csc_here("set", "a", "k", "1")
    lines = csc_here("log", "--json", *options).splitlines()
    assert json.loads(lines[0])["subject"] == "store a/k"


def test_global_options_and_help_work_as_in_git(
    clone_cwd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    assert "local" in csc_here(
        "-C", str(clone_cwd), "set", "a", "k", "1", "--local"
    )
    assert "a" in csc_here("-C", str(clone_cwd), "ls")
    assert "guard" in csc_here(
        "-C", str(clone_cwd), "team", "set", "guard", "block"
    )
    assert "Did you mean status?" in csc_here("statsu", code=2)
    assert csc_here("help", "get") == csc_here("get", "--help")
    assert csc_here("help", "team", "set") == csc_here("team", "set", "--help")
    assert csc_here("help") == csc_here("--help")


@pytest.mark.usefixtures("clone_cwd")
def test_diff_leaves_out_settings_unless_asked() -> None:
    csc_here("set", "a", "k", json.dumps("x" * 100))
    csc_here("team", "set", "guard", "warn")
    assert "x" * 100 in csc_here("diff", "1h")
    assert "settings" not in csc_here("diff", "1h")
    assert "settings/team" in csc_here("diff", "1h", "--all")


@pytest.mark.usefixtures("clone_cwd")
def test_an_error_has_three_sentences() -> None:
    text: Any = csc_here("get", "", "k", code=1)
    assert re.fullmatch(r"csc-git: .+\. Nothing was changed\. .+\.\n", text)


def test_sessions_and_claims_print_tabs_in_a_pipe(
    busy: Coordinator, clone: Path
) -> None:
    cells = csc("sessions", cwd=clone).stdout.rstrip("\n").split("\t")
    assert cells[:2] == ["builder@one", "here"]
    assert cells[3:5] == ["issue 15 \\x1b[31m [bold]is[/bold] red", "2 todos"]
    cells = csc("claims", cwd=clone).stdout.rstrip("\n").split("\t")
    assert cells[:2] + cells[3:] == [
        "src/api",
        "builder@one",
        "session ends",
        "the parser",
    ]
    found = json.loads(csc("sessions", "--json", cwd=clone).stdout)["sessions"]
    assert found[0]["session"] == "builder@one"
    assert (
        json.loads(csc("claims", "--json", cwd=clone).stdout)["claims"][0][
            "note"
        ]
        == "the parser"
    )
    busy.authors.sign_off()
    assert csc("sessions", cwd=clone).stdout == ""
    assert csc("claims", cwd=clone).stdout == ""
    assert "gone" in csc("sessions", "--all", cwd=clone).stdout
