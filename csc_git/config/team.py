"""What a team has agreed on: settings that stand on the branch, for all its clones.

They stand under `settings/team`, as `{"version": 1, "lease": 3600, …}`: validated by whoever reads
them, since anybody may have written them, and as every value with their author and history. What a
person sets for a clone wins over them. They hold from the next start of a server on.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError

from csc_git.core.value import Json
from csc_git.errors import InvalidSetting
from csc_git.git.objects import MAX_BLOB
from csc_git.git.words import readable

_DAYS: Final = 30 * 86_400


class TeamSettings(BaseModel):
    """What can be agreed on; None: nothing is. The bounds are narrower than a person's own.

    Attributes:
        version: Of this form. Settings of a later one are left alone.
        lease: Seconds after which a session not heard of is taken to be gone.
        limit: Longest value, in bytes of JSON.
        poll: Most seconds between looks at the remote.
        guard: What the hook does before an edit of a file that another session has claimed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    lease: Annotated[int, Field(ge=60, le=_DAYS)] | None = None
    limit: Annotated[ByteSize, Field(ge=1024, le=MAX_BLOB // 2)] | None = None
    poll: Annotated[float, Field(ge=1, le=3_600)] | None = None
    guard: Literal["warn", "block", "off"] | None = None

    @classmethod
    def of(cls, value: Json) -> Self:
        """Read what stands on the branch.

        Raises:
            InvalidSetting: it is no such settings; says why.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "value"
            raise InvalidSetting(
                f"The team's {where} can't be used: {readable(first['msg'], 200)}",
                then="See csc-git team; correct it with csc-git team set, or unset",
            ) from None

    def given(self) -> dict[str, Any]:
        """The settings that are agreed on."""
        return self.model_dump(exclude={"version"}, exclude_none=True)


TEAM_NAMES: Final = tuple(name for name in TeamSettings.model_fields if name != "version")
