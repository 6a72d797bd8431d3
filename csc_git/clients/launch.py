"""Write and read the command lines with which other programs start csc-git."""

import argparse
import shlex
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from csc_git.config.settings import Settings

_SAFE: Final = frozenset({"-P", "-I"})
"""With each of these flags, Python does not import modules from the directory where it starts."""

_PLAIN: Final = _SAFE | {
    "-E",
    "-s",
    "-B",
    "-u",
}
"""Flags of Python that do not change which code is run."""

_MARKS: Final = ("pyvenv.cfg", "conda-meta")
"""A directory that contains one of these names is an environment of venv (PEP 405) or of conda."""


Flags = Mapping[str, Any]
"""Settings from the command line, by name. None means that the user did not give the setting."""


def launch() -> tuple[str, list[str]]:
    """The command that starts csc-git, and its first arguments.

    If `csc-git` is on PATH permanently, the command is `csc-git`, so that the entry works on other
    machines too. Otherwise the command is the Python that runs this code. The flag `-P` keeps
    Python from importing modules from the project.
    """
    if is_on_path("csc-git"):
        return "csc-git", []
    return sys.executable, ["-P", "-m", "csc_git"]


def is_on_path(command: str) -> bool:
    """Whether a command is on PATH permanently, not only while an environment is activated.

    An editor has the PATH of a login shell, which has no activated environment.
    """
    found = shutil.which(command)
    if found is None:
        return False
    prefix = Path(found).parent.parent
    marks = [prefix / mark for mark in _MARKS]
    return not any(mark.exists() for mark in marks)


def is_shareable() -> bool:
    """Whether entries work on other machines too, because they contain no path of this machine."""
    command, _ = launch()
    return command == "csc-git"


def arguments(flags: Flags) -> list[str]:
    """Format settings as arguments of a command. A setting that is None is left out."""
    found = list[str]()
    for name, value in flags.items():
        found.extend(_argument(name, value))
    return found


def has_settings(flags: Flags) -> bool:
    """Whether any setting is given."""
    return any(value is not None for value in flags.values())


def flags_in(given: Sequence[str]) -> dict[str, Any]:
    """Parse the settings, by name, from a command's arguments. `directory` is the value of `-C`."""
    parser = argparse.ArgumentParser(
        add_help=False,
        allow_abbrev=False,
        exit_on_error=False,
    )
    parser.add_argument("-C", "--directory")
    for name, field in Settings.model_fields.items():
        if field.annotation is bool:
            parser.add_argument(
                f"--{name}",
                action=argparse.BooleanOptionalAction,
            )
        else:
            parser.add_argument(f"--{name}")
    try:
        found, _ = parser.parse_known_args(given)
    except argparse.ArgumentError:  # the server won't start, and reports why
        return {}
    flags = dict[str, Any]()
    for name, value in vars(found).items():
        if value is not None:
            flags[name] = value
    return flags


def is_server(words: Sequence[str]) -> bool:
    """Whether a command line starts our server and does nothing else.

    Settings may come with a repository that somebody else made, so any other command in these
    settings must not be run. The command must be csc-git, by its name on PATH or by an absolute
    path, or a Python that doesn't look for modules in the directory where it starts. A shell or
    another launcher is not accepted.
    """
    rest = _arguments_of(
        words,
        "csc_git",
        {"csc-git", "git-csc"},
    )
    while rest[:1] in (["-C"], ["--directory"]):
        rest = rest[2:]
    return rest[:1] == ["serve"]


def is_hook(
    words: Sequence[str],
    event: str,
) -> bool:
    """Whether a command line runs our hook for an event and does nothing else; see `is_server`.

    Args:
        words: The command line, split into words.
        event: The event, as an argument of `csc-git-hook`, for instance `before-edit`.
    """
    rest = _arguments_of(
        words,
        "csc_git.hooks.main",
        {"csc-git-hook"},
    )
    return rest == [event]


def hook_command(
    event: str,
    branch: str | None,
) -> str:
    """The shell command of a hook. The hook reads the same branch as the server.

    Args:
        event: The event, as an argument of `csc-git-hook`, for instance `before-edit`.
        branch: The branch that the server gets as an option; None if the server gets no such
            option.
    """
    start = ["csc-git-hook"]
    if not is_on_path("csc-git-hook"):
        start = [
            sys.executable,
            "-P",
            "-m",
            "csc_git.hooks.main",
        ]
    command = shlex.join([*start, event])
    if branch is None:
        return command
    variable = f"CSC_BRANCH={shlex.quote(branch)}"
    return f"{variable} {command}"


def _arguments_of(
    words: Sequence[str],
    module: str,
    names: Collection[str],
) -> Sequence[str]:
    """The arguments of our command in a command line; empty if the line runs another command.

    Args:
        words: The command line, split into words.
        module: The module with which Python runs the command.
        names: The names that the command itself can have.
    """
    if not words:
        return []
    if any("${" in word for word in words):
        return []  # only the client knows the value of the variable
    command, *rest = words
    path = Path(command)
    has_separator = "/" in command or "\\" in command
    is_absolute = path.is_absolute()
    if has_separator and not is_absolute:
        return []  # the program may be in the project
    if path.name in names:
        return rest
    if path.name.startswith(("python", "pypy")):
        return _arguments_of_module(rest, module)
    return []


def _arguments_of_module(
    words: list[str],
    module: str,
) -> list[str]:
    """The arguments of our module in a command line of Python; empty if Python runs other code."""
    flags = list(takewhile(_PLAIN.__contains__, words))
    if _SAFE.isdisjoint(flags):
        return []
    rest = words[len(flags) :]
    if rest[:2] != ["-m", module]:
        return []
    return rest[2:]


def _argument(
    name: str,
    value: object,
) -> list[str]:
    if value is None:
        return []
    if value is True:
        return [f"--{name}"]
    if value is False:
        return [f"--no-{name}"]
    return [f"--{name}", str(value)]
