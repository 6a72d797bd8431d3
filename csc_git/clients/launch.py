"""Launching: the command lines by which others start csc-git, written and read."""

import argparse
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from itertools import dropwhile
from pathlib import Path
from typing import Any, Final

from csc_git.config.settings import Settings

_MODULES: Final = (["csc_git"], ["csc_git.hooks.main"])
_SAFE: Final = frozenset({"-P", "-I"})
"""Of a Python's flags, those that keep it from looking for modules where it is started."""

_PLAIN: Final = _SAFE | {"-E", "-s", "-B", "-u"}
"""Those that run nothing."""

_MARKS: Final = ("pyvenv.cfg", "conda-meta")
"""Of an environment: what venv (PEP 405) and conda leave in it."""


def launch() -> tuple[str, list[str]]:
    """Command and first arguments that start csc-git.

    By its name where that is on PATH for good, so that the entry works on other machines too; else
    by this interpreter, told not to look for modules in the project (`-P`).
    """
    if is_on_path("csc-git"):
        return "csc-git", []
    return sys.executable, ["-P", "-m", "csc_git"]


def is_on_path(command: str) -> bool:
    """Whether a command is on PATH, and not only because an environment is activated in this shell.

    An editor has the PATH of a login shell, in which no environment is.
    """
    found = shutil.which(command)
    return found is not None and not any((Path(found).parent.parent / m).exists() for m in _MARKS)


def is_shareable() -> bool:
    """Whether entries work on other machines too: they name no path of this one."""
    return launch()[0] == "csc-git"


def arguments(flags: Mapping[str, Any]) -> list[str]:
    """Settings as arguments of a command; those that are None are not given."""
    return [part for name, value in flags.items() for part in _argument(name, value)]


def flags_in(given: Sequence[str]) -> dict[str, Any]:
    """The settings that a command's arguments give, and under `directory` that of `-C`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-C", "--directory")
    for name, field in Settings.model_fields.items():
        if field.annotation is bool:
            parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction)
        else:
            parser.add_argument(f"--{name}")
    try:
        found, _ = parser.parse_known_args(given)
    except argparse.ArgumentError:  # it doesn't start; who starts it is told why
        return {}
    return {name: value for name, value in vars(found).items() if value is not None}


def is_ours(words: Sequence[str]) -> bool:
    """Whether a command line runs csc-git itself, or its hook, as far as its words tell.

    Settings may come with a repository: whatever else they name must not be run for a look at
    them. So it is by its name on PATH or from an absolute path, and by no shell or launcher.
    """
    command, *rest = words or [""]
    path = Path(command)
    is_in_project = not path.is_absolute() and bool({"/", "\\"} & {*command})
    if "${" in " ".join(words) or is_in_project:
        return False
    if path.name.startswith(("python", "pypy")):
        asked = [*dropwhile(_PLAIN.__contains__, rest)]
        is_safe = bool(_SAFE & {*rest[: len(rest) - len(asked)]})
        return is_safe and asked[:1] == ["-m"] and asked[1:2] in _MODULES
    return path.name in {"csc-git", "csc-git-hook"}


def hook_command(event: str, branch: str | None) -> str:
    """The shell command of a hook, which looks at the branch that the server serves."""
    start = ["csc-git-hook"]
    if not is_on_path("csc-git-hook"):
        start = [sys.executable, "-P", "-m", "csc_git.hooks.main"]
    where = f"CSC_BRANCH={shlex.quote(branch)} " if branch is not None else ""
    return where + shlex.join([*start, event])


def _argument(name: str, value: Any) -> list[str]:  # noqa: ANN401  a setting's
    if value is None:
        return []
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [f"--{name}", str(value)]
