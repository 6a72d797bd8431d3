"""The settings, with their types, bounds and defaults. A user does not have to set any setting."""

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
"""These settings decide whether a clone shares its state, and on which branch and remote."""

_DAY: Final = 86_400
_MONTH: Final = 30 * _DAY
_LONGEST_VALUE: Final = MAX_FILE // 2


class Settings(BaseModel):
    """All settings of a clone.

    Attributes:
        branch: The branch that holds the state.
        remote: The name of a remote of the project, or a URL. None means `origin`, or the only
            remote of the project if this remote has another name.
        machine: This machine's name. None means the host name that the machine had when csc-git
            first ran in the clone.
        sync: Whether this clone syncs with the remote.
        poll: At most this many seconds pass between two fetches from the remote. While other clones
            write, csc-git fetches more often.
        timeout: One call to the remote may take at most this many seconds.
        confirm: A call with `confirm=true` or `fresh=true` waits at most this many seconds for the
            remote.
        lease: A session is treated as gone after this many seconds without a sign of life.
        limit: A value may have at most this many bytes of JSON.
        dedicated: Whether the remote is used only for csc-git. If so, the branch of csc-git may be
            the first branch that the remote gets.
        guard: What the hook does when a session is about to edit a file that another session has
            claimed.
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
    """Load the settings of a project and check their values.

    Args:
        project: The repository whose `git config csc.*` is read.
        flags: The values of command-line flags, by the name of the setting. A flag that was not
            given has the value None.
        team: The team's settings, which the caller has checked. A team setting applies only if
            this clone has no value for the setting.

    Raises:
        InvalidSetting: a value can't be used; the message contains the value and the place where
            it was set.
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
        why = "git does not accept this as the name of a branch"
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
            "give the name of a remote, a path, "
            "or a URL that starts with https, http, ssh, git or file"
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
