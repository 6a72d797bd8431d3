"""Mishaps around the store: files that are not what they should be, and what people are told."""

import json
import os
import pty
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from csc_git.cli.main import main
from csc_git.core.pattern import compile_pattern
from csc_git.errors import InvalidName, InvalidPattern, StorageFailed
from tests.agents import agent, run
from tests.world import World, git, put, state_of


@pytest.fixture
def clone(world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone, and we are in it."""
    path = world.clone("one")
    monkeypatch.chdir(path)
    return path


def said(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.output


# The store's own files


def test_a_file_where_our_directory_must_be(clone: Path) -> None:
    (clone / ".git" / "csc").write_text("x")
    assert "The disk refused" in said("set", "a", "b", "1", code=1)

    async def scenario() -> None:
        async with agent(clone) as claude:
            assert "The disk refused" in await claude.refused("sign_on")
            assert "The disk refused" in await claude.prompt("startup")
            with pytest.raises(Exception, match="The disk refused"):
                await claude.read("session://context")

    run(scenario)


@pytest.mark.parametrize(
    "name", ["clone.json", "locks/write", "locks/sync", "sync.json"]
)
def test_a_directory_where_a_file_must_be(clone: Path, name: str) -> None:
    said("set", "a", "b", "1")
    (clone / ".git" / "csc" / name).unlink()
    (clone / ".git" / "csc" / name).mkdir()
    done = CliRunner().invoke(main, ["set", "a", "b", "2"])
    assert isinstance(done.exception, SystemExit) or done.exception is None
    if (
        done.exit_code == 0
    ):  # stored, and it says what stands in the way, if anything does
        assert "synced" in done.output or "The local disk failed" in done.output
        shown = said("get", "a", "b", "--json")
        assert (
            json.loads(shown[shown.index("{") :])["value"] == 2
        )  # beside a warning
    else:
        assert "The disk refused" in done.output


def test_our_own_disk_is_not_taken_for_the_remotes(world: World) -> None:
    one = world.open("one")
    put(one, "a", "b", 1)
    (one.store.repository.path / "refs" / "csc").mkdir(exist_ok=True)
    (one.store.repository.path / "refs" / "csc" / "fetch").write_text(
        "in the way"
    )
    put(world.open("two"), "a", "c", 1, confirm=True)
    assert state_of(one) == "local-storage"
    assert "local disk" in one.store.status.describe()[0]


def test_a_store_without_head_says_how_to_go_on(clone: Path) -> None:
    said("set", "a", "b", "1")
    state = clone / ".git" / "csc" / "state.git"
    (state / "HEAD").unlink()
    refused = said("get", "a", "b", code=1)
    assert "no Git repository any more" in refused
    assert "aside and keep it" in refused
    state.rename(clone / "kept")
    assert said("get", "a", "b", "--fresh").strip() == "1"


def test_contention_that_does_not_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook that pushes first, every time."""
    monkeypatch.setattr("csc_git.store.attempt.MAX_ROUNDS", 2)
    one = world.open("one")
    put(one, "a", "b", 1)
    one.sync()
    hook = world.remote / "hooks" / "pre-receive"
    hook.write_text(
        "#!/bin/sh\nunset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY\n"
        "ref=refs/heads/csc/state\n"
        "new=$(git commit-tree -p $ref -m first $ref^{tree}) && git update-ref $ref $new\n"
    )
    hook.chmod(0o755)
    put(one, "a", "b", 2)
    assert state_of(one) == "contended"
    assert len(one.store.branch.queue()) == 1
    hook.unlink()
    assert state_of(one) == "ok"


def test_a_broken_configuration_is_called_that(clone: Path) -> None:
    with (clone / ".git" / "config").open("a") as config:
        config.write("[broken\n")
    assert "can't read its configuration" in said("status", code=1)


def test_where_there_is_no_repository_the_directory_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path) in said("status", code=1)

    async def scenario() -> None:
        async with agent(tmp_path) as claude:
            with pytest.raises(Exception, match="finds no repository at"):
                await claude.read("session://context")

    run(scenario)


@pytest.mark.parametrize("url", ["ftp://h/x", "ext::sh -c id", "-x", ""])
def test_a_remote_of_no_usable_kind_is_refused_before_anything_is_stored(
    clone: Path, url: str
) -> None:
    assert "can't be used" in said(
        "set", "a", "k", "1", f"--remote={url}", code=1
    )
    assert said("ls") == ""
    git("config", "csc.remote", url or "-", cwd=clone)

    async def scenario() -> None:
        async with agent(clone) as claude:
            assert "csc.remote" in await claude.refused("sign_on")

    run(scenario)


def test_a_bad_branch_is_refused_over_mcp(clone: Path) -> None:
    async def scenario() -> None:
        async with agent(clone, "--branch", "a..b") as claude:
            assert "no such branch name" in await claude.refused("sign_on")

    run(scenario)


# What people type


def test_rm_says_whether_the_remote_knows(clone: Path) -> None:
    said("set", "a", "b", "1")
    said("set", "a", "c", "1")
    assert said("rm", "a", "b").strip() == "a/b: removed, synced"
    git("remote", "set-url", "origin", "/nowhere", cwd=clone)
    alone = said("rm", "--all", "a")
    assert "a: 1 removed, local" in alone
    assert "safe here and queued" in alone


@pytest.mark.usefixtures("clone")
def test_get_of_nothing_says_so_in_a_pipe_too() -> None:
    assert said("get", "a", "b", code=1).strip() == (
        "csc-git: a/b has no value. What there is: csc-git ls a"
    )


@pytest.mark.usefixtures("clone")
def test_a_negative_number_is_a_value() -> None:
    assert "synced" in said("set", "a", "k", "-1")
    assert said("get", "a", "k").strip() == "-1"


@pytest.mark.usefixtures("clone")
def test_a_value_that_is_no_json_is_explained_once() -> None:
    text = said("set", "a", "k", '"\\ud800"', code=1)
    assert text.count("Nothing was changed") == 1
    assert "lone surrogate" in text
    assert "nested deeper" in said(
        "set", "a", "k", "[" * 200 + "]" * 200, code=1
    )


@pytest.mark.usefixtures("clone")
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
def test_log_leaves_its_options_to_git(options: list[str]) -> None:
    said("set", "a", "k", '"Cat"')
    command = [sys.executable, "-m", "csc_git", "log", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "store a/k" in done.stdout


@pytest.mark.usefixtures("clone")
@pytest.mark.parametrize(
    "options", [["--oneline"], ["-p"], ["--stat", "--graph"], ["--", "data"]]
)
def test_log_as_json_whatever_else_is_asked(options: list[str]) -> None:
    said("set", "a", "k", "1")
    lines = said("log", "--json", *options).splitlines()
    assert json.loads(lines[0])["subject"] == "store a/k"


@pytest.mark.usefixtures("clone")
def test_log_in_a_terminal_is_coloured_not_littered() -> None:
    """With the real pager in a real terminal."""
    said("set", "a", "k", "1")
    leader, follower = pty.openpty()
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in {"LESS", "PAGER"}
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "csc_git", "log"],
        stdin=follower, stdout=follower, stderr=follower, env=env | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(follower)
    shown = b""
    try:
        while part := os.read(leader, 4096):
            shown += part
    except OSError:  # the other end is closed
        pass
    assert process.wait(30) == 0
    os.close(leader)
    assert b"store a/k" in shown
    assert b"ESC[" not in shown


# init


def test_init_looks_at_the_settings_file_before_it_writes(clone: Path) -> None:
    for content in (b"{bad", b"\xff\xfe", b"[]"):
        (clone / ".mcp.json").write_bytes(content)
        text = said("init", code=1)
        assert "can't be read as settings" in text
        assert "Nothing was changed" in text
        assert said("ls") == ""
        assert (clone / ".mcp.json").read_bytes() == content


def test_init_where_the_settings_file_is_a_directory_or_a_dangling_link(
    clone: Path,
) -> None:
    (clone / ".mcp.json").mkdir()
    assert "can't be read as settings" in said("init", code=1)
    (clone / ".mcp.json").rmdir()
    (clone / ".mcp.json").symlink_to(clone / "nowhere" / "x")
    assert "can't be read as settings" in said("init", code=1)


def test_undoing_init_gives_back_the_very_bytes(clone: Path) -> None:
    for content in (
        b'{\r\n  "mcpServers": {\r\n    "x": {}\r\n  }\r\n}\r\n',
        b'{"a": "\xc3\xa9"}',
    ):
        (clone / ".mcp.json").write_bytes(content)
        (clone / ".mcp.json").chmod(0o600)
        said("init")
        assert json.loads((clone / ".mcp.json").read_bytes())["mcpServers"][
            "csc-git"
        ]
        said("init", "--undo")
        assert (clone / ".mcp.json").read_bytes() == content
        assert (clone / ".mcp.json").stat().st_mode & 0o777 == 0o600


def test_init_registers_the_settings_it_tried(clone: Path) -> None:
    said("init", "--branch", "other/b", "--poll", "3")
    entry = json.loads((clone / ".mcp.json").read_text())["mcpServers"][
        "csc-git"
    ]
    assert entry["args"][-4:] == ["--branch", "other/b", "--poll", "3"]
    assert "git config csc.branch other/b" in said("init", code=1)
    git("config", "csc.branch", "other/b", cwd=clone)
    assert "was registered already" in said("init")
    assert "csc-git changed" in said("init", "--poll", "4")
    entry = json.loads((clone / ".mcp.json").read_text())["mcpServers"][
        "csc-git"
    ]
    assert entry["args"][-3:] == ["serve", "--poll", "4"]
    assert "+++ " in said("init", "--poll", "5", "--dry-run")
    said("init", "--undo")
    assert not (clone / ".mcp.json").exists()


def test_init_takes_the_place_of_nothing_that_others_wrote(clone: Path) -> None:
    file = clone / ".mcp.json"
    theirs = (
        '{"mcpServers": {"csc-git": {"command": "csc-git", "args": ["serve"]}}}'
    )
    file.write_text(theirs)
    assert "was registered already" in said("init")
    assert "csc-git init --undo" in said("init", "--poll", "4", code=1)
    assert file.read_text() == theirs


def test_init_with_a_remote_that_is_not_there_is_no_success(
    clone: Path,
) -> None:
    shown = said("init", "--remote", "nosuch", code=1)
    assert "!!  remote" in shown
    assert ".mcp.json was left alone" in shown
    assert "the same again" in shown
    assert not (clone / ".mcp.json").exists()


def test_what_a_team_has_committed_is_taken_out_with_a_word(
    clone: Path,
) -> None:
    said("init")
    git("add", ".mcp.json", cwd=clone)
    git("commit", "-q", "-m", "shared", cwd=clone)
    assert "commit its removal only if" in said("init", "--undo")
    assert "none here name csc-git" in said("init", "--undo")


@pytest.mark.usefixtures("clone")
def test_hooks_alone_are_undone() -> None:
    said("init", "--hooks")
    shown = said("init", "--undo", "--hooks")
    assert "settings.local.json: csc-git removed" in shown
    assert ".mcp.json" not in shown
    assert "was registered already" in said("init")


def test_as_people_of_git_type_it(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    assert "local" in said("-C", str(clone), "set", "a", "k", "1", "--local")
    assert "a" in said("-C", str(clone), "ls")
    assert "guard" in said("-C", str(clone), "team", "set", "guard", "block")
    assert "Did you mean status?" in said("statsu", code=2)
    assert said("help", "get") == said("get", "--help")
    assert said("help", "team", "set") == said("team", "set", "--help")
    assert said("help") == said("--help")


@pytest.mark.usefixtures("clone")
def test_a_difference_leaves_out_what_is_csc_gits_own() -> None:
    said("set", "a", "k", json.dumps("x" * 100))
    said("team", "set", "guard", "warn")
    assert "x" * 100 in said("diff", "1h")
    assert "settings" not in said("diff", "1h")
    assert "settings/team" in said("diff", "1h", "--all")


def test_what_the_team_agreed_on_shows_where_something_else_holds(
    clone: Path,
) -> None:
    git("config", "csc.guard", "off", cwd=clone)
    assert "git config csc.guard (the team: block)" in said(
        "team", "set", "guard", "block"
    )
    assert "(the team" not in said("team", "unset", "guard")


# What models send


def test_wrong_arguments_are_told_in_words(clone: Path) -> None:
    async def scenario() -> None:
        async with agent(clone) as claude:
            await claude.call("sign_on")
            unknown = await claude.refused(
                "store_data", scope="a", key="k", value=1, confrim=True
            )
            assert unknown.startswith(
                "No argument is called confrim. There are: scope, key"
            )
            missing = await claude.refused("store_data", scope="a", value=1)
            assert "key: Field required. Nothing was changed." in missing
            assert "pydantic" not in missing
            assert (await claude.call("list_scopes"))["scopes"] == ["sessions"]
            assert "session name" in await claude.refused(
                "sign_on", session_id=""
            )

    run(scenario)


@pytest.mark.parametrize("pattern", ["[]", "[!]", "[z-a]", "a[b", "[!"])
def test_more_globs_that_are_none(pattern: str) -> None:
    with pytest.raises(InvalidPattern):
        compile_pattern(pattern)


def test_globs_that_are_some() -> None:
    for pattern, text in (
        ("[]a]", "]"),
        ("[!]a]", "b"),
        ("[a-c]*", "b1"),
        ("[-a]", "-"),
    ):
        assert compile_pattern(pattern).match(text)


@pytest.mark.parametrize(
    "name", [" ", "\u200b", "a\ufeffb", "\u202eevil", "\xad"]
)
def test_names_that_hide_something(world: World, name: str) -> None:
    with pytest.raises(InvalidName):
        put(world.open("one"), name, "k", 1)


@pytest.mark.usefixtures("clone")
def test_every_error_tells_three_things() -> None:
    text: Any = said("get", "", "k", code=1)
    assert re.fullmatch(r"csc-git: .+\. Nothing was changed\. .+\.\n", text)


def test_a_ref_that_cannot_be_read_is_no_missing_one(world: World) -> None:
    """Out of file descriptors, a store is not empty, and a held edit not gone."""
    one = world.open("one")
    put(one, "a", "k", 1)
    assert one.sync().state == "ok"
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        for read in (
            lambda: one.retrieve("a", "k"),
            lambda: one.list_keys("a"),
            one.store.branch.parked,
            lambda: put(one, "a", "k", 2),
            one.sync,
        ):
            with pytest.raises((OSError, StorageFailed)):
                read()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert one.store.status.state == "local-storage"
    assert one.retrieve("a", "k").value == 1
    assert one.sync().state == "ok"
