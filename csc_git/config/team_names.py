"""What a team has agreed on: settings that stand on the branch, for all its clones.

They are stored under `settings/team`, as `{"version": 1, "lease": 3600, …}`. They are validated
when they are read, since anybody may have written them. Like every value they have an author and a
history. What a person sets for a clone wins over them. They apply from the next start of a server.
"""

from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError

from csc_git.core.value import Json
from csc_git.errors import InvalidSetting
from csc_git.git.objects.reader import MAX_BLOB
from csc_git.text import readable

_DAYS: Final = 30 * 86_400


class Unusable(NamedTuple):
    """What stands on the branch and can't be used: why, and what to do about it."""

    what: str
    then: str

    def __str__(self) -> str:
        return f"{self.what}. {self.then}"


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
    def of(cls, value: Json) -> tuple[Self, list[Unusable]]:
        """What can be used of what stands on the branch; and of the rest, why it can't."""
        if not isinstance(value, dict):
            return cls(), [
                Unusable("The team's settings are no JSON object", _RENEW)
            ]
        if is_later(value):
            return cls(), [LATER]
        found, unusable = dict[str, Any](), list[Unusable]()
        for name in value.keys() & {*TEAM_NAMES}:
            try:
                found[name] = (
                    cls.model_validate({name: value[name]}).given().get(name)
                )
            except ValidationError as error:
                why = readable(error.errors()[0]["msg"], 200)
                what = f"The team's {name} can't be used: {why}"
                unusable.append(
                    Unusable(what, f"To remove it: csc-git team unset {name}")
                )
        return cls.model_validate(found), sorted(unusable)

    @classmethod
    def check(cls, name: str, value: str) -> Any:  # noqa: ANN401  a setting's
        """A value that is to be agreed on, as it will stand there.

        Raises:
            InvalidSetting: it is out of bounds.
        """
        settings, unusable = cls.of({name: value})
        if unusable:
            raise InvalidSetting(
                unusable[0].what,
                safe="Nothing was agreed on",
                then="Give another",
            )
        return settings.given()[name]

    def given(self) -> dict[str, Any]:
        """The settings that are agreed on."""
        return self.model_dump(exclude={"version"}, exclude_none=True)


def is_later(value: Json) -> bool:
    """Whether a later csc-git wrote settings, in a form that this one doesn't know."""
    version = value.get("version", 1) if isinstance(value, dict) else 1
    return isinstance(version, int) and version > 1


_RENEW: Final = "To put others in their place: csc-git team set NAME VALUE"
LATER: Final = Unusable(
    "A later csc-git wrote the team's settings, so they do not apply here",
    "Upgrade csc-git here too",
)
TEAM_NAMES: Final = tuple(
    name for name in TeamSettings.model_fields if name != "version"
)
