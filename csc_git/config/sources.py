"""Read settings from flags, from the environment and from git's `csc.*` configuration.

A setting can be given as a flag, as `CSC_<NAME>` in the environment, or as `git config csc.<name>`.
If a setting is given in several of these places, the first in this order is used. This module does
not validate values. So a caller that needs only one or two settings does not wait until all
settings are validated. Only this module reads the `CSC_` variables and git's `csc.*` configuration.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from csc_git.project.project import Project

DEFAULT_BRANCH: Final = "csc/state"


class Given(NamedTuple):
    """The value of a setting, and the flag, variable or git setting from which it was read."""

    value: Any
    source: str


def given(
    project: Project,
    names: Iterable[str],
    flags: Mapping[str, Any] | None = None,
) -> dict[str, Given]:
    """Return the settings that are given by a flag, the environment or git's configuration.

    Args:
        project: The repository whose `git config csc.*` is read.
        names: Names of the settings to look for.
        flags: The values of command-line flags, by the name of the setting. A flag that was not
            given has the value None.
    """
    config = project.section("csc.")
    found = dict[str, Given]()
    for name in names:
        one = _given(
            name,
            flags or {},
            config,
        )
        if one is not None:
            found[name] = one
    return found


def _given(
    name: str,
    flags: Mapping[str, Any],
    config: Mapping[str, str],
) -> Given | None:
    flag = flags.get(name)
    if flag is not None:
        return Given(flag, f"--{name}")
    variable = f"CSC_{name.upper()}"
    value = os.environ.get(variable)
    if value:
        return Given(value, variable)
    if name in config:
        return Given(config[name], f"git config csc.{name}")
    return None
