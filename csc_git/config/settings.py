"""Settings: what can be set, within which bounds; all have defaults that work."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError

from csc_git.config.sources import given
from csc_git.core.lease import DEFAULT_SECONDS
from csc_git.core.session import check_machine
from csc_git.core.value import DEFAULT_LIMIT
from csc_git.errors import InvalidName, InvalidSetting
from csc_git.git.objects.reader import MAX_BLOB
from csc_git.git.project import Project
from csc_git.git.remote import DEFAULT_BRANCH
from csc_git.git.url import check_branch, is_usable_url
from csc_git.text import readable

SHARING: Final = frozenset({"branch", "remote", "sync"})
"""Settings that decide which branch and remote a clone shares its state on."""


class Settings(BaseModel):
    """Everything that can be set.

    Attributes:
        branch: The branch that holds the state.
        remote: A remote of the project, or a URL; None for `origin`, or the only one.
        machine: This machine's name; None for the host name at first use.
        sync: Whether to talk to the remote at all.
        poll: Most seconds between looks at the remote; fewer while others write.
        timeout: Seconds that one call to the remote may take.
        confirm: Seconds that `confirm=true` and `fresh=true` wait at most.
        lease: Seconds after which a session not heard of is taken to be gone.
        limit: Longest value, in bytes of JSON.
        dedicated: Whether the remote exists for this, so that ours may be its first branch.
        guard: What the hook does before an edit of a file that another session has claimed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    branch: str = DEFAULT_BRANCH
    remote: str | None = None
    machine: str | None = None
    sync: bool = True
    poll: Annotated[float, Field(ge=0.1, le=86_400)] = 30.0
    timeout: Annotated[float, Field(ge=0.1, le=3_600)] = 60.0
    confirm: Annotated[float, Field(ge=0, le=600)] = 20.0
    lease: Annotated[int, Field(ge=1, le=30 * 86_400)] = DEFAULT_SECONDS
    limit: Annotated[ByteSize, Field(ge=1, le=MAX_BLOB // 2)] = ByteSize(
        DEFAULT_LIMIT
    )
    dedicated: bool = False
    guard: Literal["warn", "block", "off"] = "warn"


def load(
    project: Project,
    flags: Mapping[str, Any] | None = None,
    team: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings that hold for a project.

    Args:
        project: Whose `git config csc.*` counts.
        flags: From the command line; None values are as if not given.
        team: What the team has agreed on, checked; for what nobody set here.

    Raises:
        InvalidSetting: a value can't be used; the message names it and where it was set.
    """
    found = given(project, Settings.model_fields, flags)
    source = {name: one.source for name, one in found.items()}
    try:
        here = {name: one.value for name, one in found.items()}
        settings = Settings.model_validate({**(team or {}), **here})
    except ValidationError as error:
        first = error.errors()[0]
        raise _invalid(
            source[str(first["loc"][0])], first["input"], first["msg"]
        ) from None
    _check(settings, source, project.common_dir)
    return settings


def _check(
    settings: Settings, source: Mapping[str, str], directory: Path
) -> None:
    if settings.branch != DEFAULT_BRANCH and not check_branch(
        settings.branch, directory
    ):
        raise _invalid(
            source["branch"], settings.branch, "git takes no such branch name"
        )
    if settings.remote is not None and not is_usable_url(settings.remote):
        why = (
            "name a remote, or a URL by https, http, ssh, git, file, or a path"
        )
        raise _invalid(source["remote"], settings.remote, why)
    if settings.machine is not None:
        try:
            check_machine(settings.machine)
        except InvalidName as error:
            raise _invalid(
                source["machine"], settings.machine, error.then
            ) from None


def _invalid(source: str, value: object, why: str) -> InvalidSetting:
    return InvalidSetting(
        f"{source} is {readable(repr(value), 100)}, which can't be used: {why}",
        then=f"Correct {source}",
    )
