"""The hooks: are all of them there, do their commands work, do they look where commands do?"""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from csc_git.clients.hooks import EVENTS, HookRegistration
from csc_git.clients.launch import is_hook
from csc_git.clients.registration import memory_of
from csc_git.doctor.environment import environment
from csc_git.doctor.finding import Finding, doubtful, fine, refused, wrong
from csc_git.doctor.server_starts import Sharing, sharing_at
from csc_git.errors import InvalidSetting
from csc_git.files.durable import read_json
from csc_git.git.project import Project
from csc_git.text import readable

_AGAIN: Final = "csc-git init --undo --hooks, then csc-git init --hooks"
_NOTHING: Final = json.dumps({"reason": "clear", "tool_input": {}})
"""Of an event that no hook has anything to do at."""

_SECONDS: Final = 10.0


def check_hooks(project: Project, here: Sharing) -> Iterator[Finding]:
    """Nothing where there are no hooks; they are optional."""
    registration = HookRegistration(project.top, memory_of(project), {})
    try:
        commands = registration.commands() if project.has_work_tree else {}
    except InvalidSetting as error:
        yield refused("hooks", error)
        return
    if not commands:
        return
    found = [
        *_missing(commands),
        *_elsewhere(project.top),
        *_disabled(project.top, registration),
    ]
    for event, command in commands.items():
        found += _trial(event, command, project.top, here)
    yield from found[:1] or [fine("hooks", "set up, and they run")]


def _missing(commands: Mapping[str, str]) -> Iterator[Finding]:
    if absent := [name for name in EVENTS if name not in commands]:
        message = f"Claude Code runs no hook of ours at {', '.join(absent)}"
        yield wrong("hooks", message, "csc-git init --hooks")


def _elsewhere(top: Path) -> Iterator[Finding]:
    """Do ours stand in the settings that are shared with others too?"""
    file = top / ".claude" / "settings.json"
    said = json.dumps(read_json(file)) if file.is_file() else ""
    if "csc-git-hook" in said or "csc_git.hooks" in said:
        message = f"Hooks of ours stand in {file} too, so they run twice; init leaves those alone"
        yield doubtful("hooks", message, "Take them out there by hand")


def _disabled(top: Path, registration: HookRegistration) -> Iterator[Finding]:
    """Claude Code runs no hooks if one of its settings switches them off."""
    shared, own = (
        top / ".claude" / "settings.json",
        Path.home() / ".claude" / "settings.json",
    )
    for settings in (registration.file, shared, own):
        said: Any = read_json(settings) if settings.is_file() else None
        if isinstance(said, dict) and said.get("disableAllHooks"):
            message = f"They are set up, but {settings} has disableAllHooks"
            yield doubtful(
                "hooks", message, "Take it out there, if they are to run"
            )


def _trial(
    event: str, command: str, top: Path, here: Sharing
) -> Iterator[Finding]:
    """Run it as an event would that asks nothing of it; nothing is run that is not ours."""
    words = _words(command)
    set_first = [
        *takewhile(lambda word: word.startswith("CSC_") and "=" in word, words)
    ]
    given = dict(word.split("=", 1) for word in set_first)
    words = words[len(set_first) :]
    if not is_hook(words, EVENTS[event][0]):
        message = f"Claude Code runs {command} at {event}, which is not what init would write"
        yield wrong("hooks", message, _AGAIN)
    elif shutil.which(words[0]) is None:
        yield wrong(
            "hooks",
            f"Claude Code's hook runs {words[0]}, which is not there",
            _AGAIN,
        )
    elif why := _failure(words, top, given):
        yield wrong("hooks", f"Claude Code's hook does not work: {why}", _AGAIN)
    else:
        yield from _compared(top, given, here)


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # a quote that nothing closes
        return []


def _failure(words: list[str], top: Path, given: Mapping[str, str]) -> str:
    """The error that a hook reports; empty if it reports none."""
    patient = {"CSC_HOOK_DEBUG": "1", "CSC_HOOK_SECONDS": str(_SECONDS)}
    try:
        done = subprocess.run(  # noqa: S603  what `is_hook` let pass, an argument list
            words, cwd=top, env=os.environ | given | patient, input=_NOTHING, text=True,
            capture_output=True, timeout=2 * _SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return readable(str(error), 200)
    said = done.stderr.splitlines() or [f"it ends with {done.returncode}"]
    return readable(said[-1], 200) if done.returncode or done.stderr else ""


def _compared(
    top: Path, given: Mapping[str, str], here: Sharing
) -> Iterator[Finding]:
    with environment(os.environ | given):
        branch = sharing_at(top, {}).branch
    if branch != here.branch:
        message = f"Claude Code's hooks read the branch {branch}, but the server uses {here.branch}"
        yield wrong(
            "hooks", message, f"{_AGAIN} --branch {shlex.quote(here.branch)}"
        )
