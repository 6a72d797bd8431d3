"""Completion in bash, zsh and fish."""

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.commands import csc
from tests.terminal import terminal
from tests.world import World, installed


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("csc-git wat", ["watch"]),
        ("csc-git get iss", ["issue:15"]),
        ("csc-git get issue:1", ["15"]),
        ("csc-git get issue:15 s", ["status"]),
        ("csc-git sign-off bui", ["builder@one"]),
        ("csc-git rm --al", ["--all"]),
        ("csc-git get issue:15 $", [""]),  # nothing that a shell would run
    ],
)
@pytest.mark.usefixtures("busy")
def test_bash_completes_commands_scopes_and_keys(
    clone: Path, typed: str, offered: list[str]
) -> None:
    """It is asked as readline asks, with readline's word breaks."""
    csc("set", "issue:15", "status", "1", "--local", cwd=clone)
    csc("set", "issue:15", "$(touch pwned)", "1", "--local", cwd=clone)
    command = installed(clone.parent / "bin")
    script = f"""
        {csc("completion", "bash", cwd=clone).stdout}
        COMP_WORDBREAKS=$' \\t\\n"\\'@><=;|&(:'
        COMP_LINE={typed!r} COMP_POINT={len(typed)}
        _csc_git_completion {command} && printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=clone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split("\n")[:-1] == offered, done.stderr


_NOTING = """#!/bin/sh
[ -n "$_CSC_GIT_COMPLETE" ] || [ "$1" = completion ] || exec printf '%s\\n' "$*" >> {noted}
exec {python} -m csc_git "$@"
"""

_SETTINGS = {
    "zsh": (".zshrc", "autoload -Uz compinit; compinit -u\n"
            "eval \"$(csc-git completion zsh)\"\nPS1='ready> '\n"),
    "fish": (".config/fish/config.fish", "csc-git completion fish | source\n"
             "function fish_prompt; echo 'ready> '; end\n"),
}  # fmt: skip


def _lines(file: Path) -> list[str]:
    return (
        file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    )


def _has_run(noted: Path, commands: int, _: str) -> bool:
    return len(_lines(noted)) >= commands


def _is_ready(times: int, text: str) -> bool:
    return text.count("ready>") >= times


@pytest.mark.parametrize(
    "shell",
    [pytest.param(s, marks=pytest.mark.skipif(not shutil.which(s), reason=f"needs {s}"))
     for s in _SETTINGS],
)  # fmt: skip
@pytest.mark.usefixtures("busy")
def test_zsh_and_fish_complete_commands_scopes_and_keys(
    clone: Path, fresh_user: Path, shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell is set up as `completion --help` explains, and runs what was completed."""
    csc("set", "issue:15", "status", "1", "--local", cwd=clone)
    csc("set", "issue:15", "$(touch pwned)", "1", "--local", cwd=clone)
    command = installed(clone.parent / "bin")
    noted = clone.parent / "noted"
    command.write_text(
        _NOTING.format(noted=noted, python=sys.executable), encoding="utf-8"
    )
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    name, settings = _SETTINGS[shell]
    (fresh_user / name).parent.mkdir(parents=True, exist_ok=True)
    (fresh_user / name).write_text(settings, encoding="utf-8")
    typed = {
        "csc-git wat": "watch",
        "csc-git get iss": "get issue:15",
        "csc-git get issue:1": "get issue:15",
        "csc-git get issue:15 ": "get issue:15 status",  # never what a shell would run
        "csc-git sign-off bui": "sign-off builder@one",
        "csc-git rm --al": "rm --all",
    }
    with terminal(
        clone, "setsid", "-c", "-w", shell
    ) as shown:  # job control wants its own
        for number, line in enumerate(typed, 1):
            shown.until(partial(_is_ready, number))
            shown.type(line.encode() + b"\t\r")
            shown.until(partial(_has_run, noted, number))
    assert _lines(noted) == list(typed.values())
    assert not (clone / "pwned").exists()


def test_completion_makes_no_store(world: World) -> None:
    clone = world.clone("two")
    env = {
        "_CSC_GIT_COMPLETE": "bash_complete",
        "COMP_WORDS": "csc-git get i",
        "COMP_CWORD": "2",
    }
    csc(cwd=clone, env=env)
    assert not (clone / ".git/csc").exists()


def test_completion_is_silent_outside_a_repository(tmp_path: Path) -> None:
    env = {
        "_CSC_GIT_COMPLETE": "bash_complete",
        "COMP_WORDS": "csc-git get i",
        "COMP_CWORD": "2",
    }
    done = subprocess.run(
        [sys.executable, "-m", "csc_git"],
        cwd=tmp_path, env=os.environ | env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == ("", "")
