"""Where settings come from: the only reader of the environment and of git's `csc.*` configuration.

Each may be given as a flag, as `CSC_<NAME>` in the environment, or as `git config csc.<name>`, in
this order. Nothing is validated here, so a caller that needs only one or two of them does not wait
for the rest.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from csc_git.git.project import Project


class Given(NamedTuple):
    """A value that somebody gave, and where."""

    value: Any
    source: str


def given(
    project: Project,
    names: Iterable[str],
    flags: Mapping[str, Any] | None = None,
) -> dict[str, Given]:
    """The settings that somebody gave, of those named.

    Args:
        project: Whose `git config csc.*` counts.
        names: Which.
        flags: From the command line; None values are as if not given.
    """
    config = project.section("csc.")
    found = ((name, _given(name, config, flags or {})) for name in names)
    return {name: one for name, one in found if one is not None}


def _given(
    name: str, config: Mapping[str, str], flags: Mapping[str, Any]
) -> Given | None:
    if (flag := flags.get(name)) is not None:
        return Given(flag, f"--{name}")
    variable = f"CSC_{name.upper()}"
    if value := os.environ.get(variable):
        return Given(value, variable)
    return (
        Given(config[name], f"git config csc.{name}")
        if name in config
        else None
    )
