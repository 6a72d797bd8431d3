"""Settings: their names, types, bounds and defaults. The defaults work as they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError

from csc_git.config.sources import DEFAULT_BRANCH, given
from csc_git.core.lease import DEFAULT_SECONDS
from csc_git.core.session import check_machine
from csc_git.core.value import DEFAULT_LIMIT, MAX_FILE
from csc_git.errors import InvalidName, InvalidSetting
from csc_git.project.project import Project
from csc_git.project.url import check_branch, is_usable_url
from csc_git.text import readable

SHARING: Final = frozenset(
    {
        "branch",
        "remote",
        "sync",
    }
)
"""Settings that decide which branch and remote a clone shares its state on."""

_DAY: Final = 86_400
_MONTH: Final = 30 * _DAY
_LONGEST_VALUE: Final = MAX_FILE // 2


class Settings(BaseModel):
    """Everything that can be set.

    Attributes:
        branch: The branch that holds the state.
        remote: A remote of the project, or a URL; None for `origin`, or the only one.
        machine: This machine's name; None for the host name at first use.
        sync: Whether to talk to the remote at all.
        poll: Most seconds between two fetches from the remote; fewer while others write.
        timeout: Seconds that one call to the remote may take.
        confirm: Seconds that `confirm=true` and `fresh=true` wait at most.
        lease: Seconds without a sign of a session after which it counts as gone.
        limit: Longest value, in bytes of JSON.
        dedicated: Whether the remote is only for csc-git, so that ours may be its first branch.
        guard: What the hook does before an edit of a file that another session has claimed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    branch: str = DEFAULT_BRANCH
    remote: str | None = None
    machine: str | None = None
    sync: bool = True
    poll: Annotated[float, Field(ge=0.1, le=_DAY)] = 30.0
    timeout: Annotated[float, Field(ge=0.1, le=3_600)] = 60.0
    confirm: Annotated[float, Field(ge=0, le=600)] = 20.0
    lease: Annotated[int, Field(ge=1, le=_MONTH)] = DEFAULT_SECONDS
    limit: Annotated[ByteSize, Field(ge=1, le=_LONGEST_VALUE)] = ByteSize(
        DEFAULT_LIMIT
    )
    dedicated: bool = False
    guard: Literal["warn", "block", "off"] = "warn"


def load(
    project: Project,
    flags: Mapping[str, Any] | None = None,
    team: Mapping[str, Any] | None = None,
) -> Settings:
    """Load the settings of a project, and check them.

    Args:
        project: The repository whose `git config csc.*` is read.
        flags: Flags of the command line by name; one that is None is not given.
        team: The team's settings, already checked; each applies where nothing is set here.

    Raises:
        InvalidSetting: a value can't be used; the message names it and where it was set.
    """
    found = given(project, Settings.model_fields, flags)
    values = dict(team or {})
    sources = dict[str, str]()
    for name, one in found.items():
        values[name] = one.value
        sources[name] = one.source
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise _invalid(
            sources[name],
            first["input"],
            first["msg"],
        ) from None
    _check_branch(settings, sources, project.common_dir)
    _check_remote(settings, sources)
    _check_machine(settings, sources)
    return settings


def _check_branch(
    settings: Settings,
    sources: Mapping[str, str],
    directory: Path,
) -> None:
    if settings.branch == DEFAULT_BRANCH:
        return
    if not check_branch(settings.branch, directory):
        why = "git takes no such branch name"
        raise _invalid(
            sources["branch"],
            settings.branch,
            why,
        )


def _check_remote(
    settings: Settings,
    sources: Mapping[str, str],
) -> None:
    if settings.remote is None:
        return
    if not is_usable_url(settings.remote):
        why = (
            "name a remote, or a URL by https, http, ssh, git, file, or a path"
        )
        raise _invalid(
            sources["remote"],
            settings.remote,
            why,
        )


def _check_machine(
    settings: Settings,
    sources: Mapping[str, str],
) -> None:
    if settings.machine is None:
        return
    try:
        check_machine(settings.machine)
    except InvalidName as error:
        source = sources["machine"]
        raise _invalid(source, settings.machine, error.then) from None


def _invalid(
    source: str,
    value: object,
    why: str,
) -> InvalidSetting:
    shown = readable(repr(value), 100)
    return InvalidSetting(
        f"{source} is {shown}, which can't be used: {why}",
        then=f"Correct {source}",
    )
