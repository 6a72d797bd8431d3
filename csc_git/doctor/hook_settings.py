"""Check the hooks: are all set up, do they run, and do they read the same branch as commands?"""

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
from csc_git.project.project import Project
from csc_git.text import readable

_AGAIN: Final = "csc-git init --undo --hooks, then csc-git init --hooks"
_NOTHING: Final = json.dumps(
    {
        "reason": "clear",
        "tool_input": {},
    }
)
"""The input for a trial run. It describes an event for which no hook does anything."""

_SECONDS: Final = 10.0


def check_hooks(
    project: Project,
    here: Sharing,
) -> Iterator[Finding]:
    """Do the hooks work? If no hooks are set up, there is no finding, since hooks are optional.

    Args:
        project: The repository.
        here: The branch and remote that csc-git commands in this work tree use.
    """
    if not project.has_work_tree:
        return
    registration = HookRegistration(
        project.top,
        memory_of(project),
        {},
    )
    try:
        commands = registration.commands()
    except InvalidSetting as error:
        yield refused("hooks", error)
        return
    if not commands:
        return
    found = [
        *_missing(commands),
        *_set_up_twice(project.top),
        *_disabled(project.top, registration),
    ]
    for event, command in commands.items():
        found.extend(_try_out(event, command, project.top, here))
    if found:
        yield found[0]
    else:
        yield fine("hooks", "set up, and they run")


def _missing(commands: Mapping[str, str]) -> Iterator[Finding]:
    absent = [name for name in EVENTS if name not in commands]
    if absent:
        events = ", ".join(absent)
        message = f"Claude Code runs no hook of csc-git at {events}"
        yield wrong("hooks", message, "csc-git init --hooks")


def _set_up_twice(top: Path) -> Iterator[Finding]:
    """Are our hooks also in the settings that all users of the project share?"""
    file = top / ".claude" / "settings.json"
    if not file.is_file():
        return
    content = json.dumps(read_json(file))
    if "csc-git-hook" in content or "csc_git.hooks" in content:
        yield doubtful(
            "hooks",
            f"Hooks of csc-git are in {file} too, so they run twice; "
            "init does not change that file",
            "Remove the hooks from that file by hand",
        )


def _disabled(
    top: Path,
    registration: HookRegistration,
) -> Iterator[Finding]:
    """Does one of Claude Code's settings switch all hooks off?"""
    shared = top / ".claude" / "settings.json"
    personal = Path.home() / ".claude" / "settings.json"
    for file in (registration.file, shared, personal):
        if not file.is_file():
            continue
        settings: Any = read_json(file)
        if isinstance(settings, dict) and settings.get("disableAllHooks"):
            yield doubtful(
                "hooks",
                f"The hooks are set up, but {file} has disableAllHooks",
                "If the hooks are to run, remove disableAllHooks from that file",
            )


def _try_out(
    event: str,
    command: str,
    top: Path,
    here: Sharing,
) -> Iterator[Finding]:
    """Run a hook with an event for which the hook does nothing. Only our own commands are run."""
    words = _words(command)
    assignments = list(takewhile(_is_own_variable, words))
    variables = dict(word.split("=", 1) for word in assignments)
    hook = words[len(assignments) :]
    if not is_hook(hook, EVENTS[event][0]):
        yield wrong(
            "hooks",
            f"Claude Code runs {command} at {event}, but init would write another command",
            _AGAIN,
        )
        return
    if shutil.which(hook[0]) is None:
        yield wrong(
            "hooks",
            f"Claude Code's hook runs {hook[0]}, which does not exist",
            _AGAIN,
        )
        return
    failure = _failure(hook, top, variables)
    if failure:
        message = f"Claude Code's hook does not work: {failure}"
        yield wrong("hooks", message, _AGAIN)
    else:
        yield from _compare_branch(top, variables, here)


def _words(command: str) -> list[str]:
    """Split a shell command into words. Return no words if a quote is not closed."""
    try:
        return shlex.split(command)
    except ValueError:
        return []


def _is_own_variable(word: str) -> bool:
    """Whether a word of a shell command sets one of our environment variables."""
    return word.startswith("CSC_") and "=" in word


def _failure(
    words: list[str],
    top: Path,
    variables: Mapping[str, str],
) -> str:
    """The error that a hook reports; empty if the hook reports no error."""
    debugging = {
        "CSC_HOOK_DEBUG": "1",
        "CSC_HOOK_SECONDS": str(_SECONDS),
    }
    try:
        done = subprocess.run(  # noqa: S603  what `is_hook` let pass, an argument list
            words,
            cwd=top,
            env=os.environ | variables | debugging,
            input=_NOTHING,
            text=True,
            capture_output=True,
            timeout=2 * _SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return readable(str(error), 200)
    if not done.returncode and not done.stderr:
        return ""
    lines = done.stderr.splitlines() or [
        f"it ends with exit code {done.returncode}"
    ]
    return readable(lines[-1], 200)


def _compare_branch(
    top: Path,
    variables: Mapping[str, str],
    here: Sharing,
) -> Iterator[Finding]:
    """Does a hook read the same branch as csc-git commands?"""
    with environment(os.environ | variables):
        theirs = sharing_at(top, {})
    if theirs.branch == here.branch:
        return
    option = f"--branch {shlex.quote(here.branch)}"
    yield wrong(
        "hooks",
        f"Claude Code's hooks read the branch {theirs.branch}, "
        f"but the server uses {here.branch}",
        f"{_AGAIN} {option}",
    )
