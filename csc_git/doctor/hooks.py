"""The hooks: are all of them there, do their commands work, do they look where commands do?"""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from csc_git.clients.hooks import EVENTS, HookRegistration
from csc_git.doctor.environment import environment
from csc_git.doctor.finding import Finding, doubtful, fine, refused, wrong
from csc_git.doctor.start import Sharing, sharing_at
from csc_git.errors import CscError, InvalidSetting
from csc_git.git.durable import read_json
from csc_git.git.project import Project
from csc_git.git.words import readable

_AGAIN: Final = "csc-git init --undo --hooks, then csc-git init --hooks"
_NOTHING: Final = json.dumps({"reason": "clear", "tool_input": {}})
"""Of an event that no hook has anything to do at."""

_SECONDS: Final = 10.0


def check_hooks(project: Project, memory: Path, here: Sharing) -> Iterator[Finding]:
    """Nothing where there are no hooks; they are optional."""
    registration = HookRegistration(project.top, memory, {})
    try:
        commands = registration.commands() if project.has_work_tree else {}
    except InvalidSetting as error:
        yield refused("hooks", error)
        return
    if not commands:
        return
    found = [*_missing(commands), *_disabled(project.top, registration.file)]
    for command in dict.fromkeys(commands.values()):
        found += _trial(command, project.top, here)
    yield from found[:1] or [fine("hooks", "set up, and they run")]


def _missing(commands: Mapping[str, str]) -> Iterator[Finding]:
    if absent := [name for name in EVENTS if name not in commands]:
        says = f"Claude Code runs no hook of ours at {', '.join(absent)}"
        yield wrong("hooks", says, "csc-git init --hooks")


def _disabled(top: Path, file: Path) -> Iterator[Finding]:
    """Claude Code runs no hooks where one of its settings says so."""
    for settings in (
        file,
        top / ".claude" / "settings.json",
        Path.home() / ".claude/settings.json",
    ):
        said: Any = read_json(settings) if settings.is_file() else None
        if isinstance(said, dict) and said.get("disableAllHooks"):
            says = f"They are set up, but disableAllHooks stands in {settings}"
            yield doubtful("hooks", says, "Take it out there, if they are to run")


def _trial(command: str, top: Path, here: Sharing) -> Iterator[Finding]:
    """Run it at an event that asks nothing of it."""
    words = shlex.split(command)
    given = dict(word.split("=", 1) for word in words if word.startswith("CSC_") and "=" in word)
    program = next((word for word in words if not word.startswith("CSC_")), "")
    if shutil.which(program) is None:
        yield wrong("hooks", f"Claude Code's hook runs {program}, which is not there", _AGAIN)
        return
    done = subprocess.run(  # noqa: S602  a shell command, as Claude Code runs it
        command, shell=True, cwd=top, input=_NOTHING, text=True, capture_output=True,
        timeout=_SECONDS, check=False,
        env=os.environ | {"CSC_HOOK_DEBUG": "1", "CSC_HOOK_SECONDS": str(_SECONDS)},
    )  # fmt: skip
    if done.returncode or done.stderr:
        why = readable(done.stderr.splitlines()[-1] if done.stderr else f"exit {done.returncode}")
        yield wrong("hooks", f"Claude Code's hook does not work: {why}", _AGAIN)
    try:
        with environment(os.environ | given):
            branch = sharing_at(top, {}).branch
    except CscError as error:
        yield refused("hooks", error)
        return
    if branch != here.branch:
        says = f"Claude Code's hooks look at the branch {branch}, but the one here is {here.branch}"
        yield wrong("hooks", says, f"{_AGAIN}{_flag(here.branch)}")


def _flag(branch: str) -> str:
    return f" --branch {shlex.quote(branch)}"
