"""Launching: the command lines by which others start csc-git, written and read."""

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
"""Of a Python's flags, those that keep it from looking for modules where it is started."""

_PLAIN: Final = _SAFE | {"-E", "-s", "-B", "-u"}
"""Those that run nothing."""

_MARKS: Final = ("pyvenv.cfg", "conda-meta")
"""Of an environment: what venv (PEP 405) and conda leave in it."""


def launch() -> tuple[str, list[str]]:
    """Command and first arguments that start csc-git.

    By its name where that is on PATH for good, so that the entry works on other machines too; else
    by this interpreter, which does not look for modules in the project (`-P`).
    """
    if is_on_path("csc-git"):
        return "csc-git", []
    return sys.executable, ["-P", "-m", "csc_git"]


def is_on_path(command: str) -> bool:
    """Whether a command is on PATH, and not only because an environment is activated in this shell.

    An editor has the PATH of a login shell, in which no environment is.
    """
    found = shutil.which(command)
    return found is not None and not any(
        (Path(found).parent.parent / m).exists() for m in _MARKS
    )


def is_shareable() -> bool:
    """Whether entries work on other machines too: they name no path of this one."""
    return launch()[0] == "csc-git"


def arguments(flags: Mapping[str, Any]) -> list[str]:
    """Settings as arguments of a command; those that are None are not given."""
    return [
        part for name, value in flags.items() for part in _argument(name, value)
    ]


def flags_in(given: Sequence[str]) -> dict[str, Any]:
    """The settings that a command's arguments give, and under `directory` that of `-C`."""
    parser = argparse.ArgumentParser(
        add_help=False, allow_abbrev=False, exit_on_error=False
    )
    parser.add_argument("-C", "--directory")
    for name, field in Settings.model_fields.items():
        if field.annotation is bool:
            parser.add_argument(
                f"--{name}", action=argparse.BooleanOptionalAction
            )
        else:
            parser.add_argument(f"--{name}")
    try:
        found, _ = parser.parse_known_args(given)
    except argparse.ArgumentError:  # it doesn't start, and reports why
        return {}
    return {
        name: value for name, value in vars(found).items() if value is not None
    }


def is_server(words: Sequence[str]) -> bool:
    """Whether a command line starts our server and does nothing else, judged by its words.

    Settings may come with a repository: whatever else they name must not be run for a look at
    them. So it is csc-git by its name on PATH or from an absolute path, and by no shell or
    launcher; or a Python that doesn't look for modules where it is started.
    """
    given = _given(words, "csc_git", {"csc-git", "git-csc"})
    while given[:1] in (["-C"], ["--directory"]):
        given = given[2:]
    return given[:1] == ["serve"]


def is_hook(words: Sequence[str], event: str) -> bool:
    """Whether a command line runs our hook for an event, and nothing else; see `is_server`."""
    return _given(words, "csc_git.hooks.main", {"csc-git-hook"}) == [event]


def _given(
    words: Sequence[str], module: str, names: Collection[str]
) -> Sequence[str]:
    """The arguments that a command of ours gets by a command line; nothing if it runs another."""
    command, *rest = words or [""]
    path = Path(command)
    is_in_project = not path.is_absolute() and bool({"/", "\\"} & {*command})
    if is_in_project or any("${" in word for word in words):
        return []
    if path.name in names:
        return rest
    flags = [*takewhile(_PLAIN.__contains__, rest)]
    is_python = path.name.startswith(("python", "pypy")) and bool(
        _SAFE & {*flags}
    )
    asked = rest[len(flags) :]
    return asked[2:] if is_python and asked[:2] == ["-m", module] else []


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
