"""The team's settings, which are stored on the branch and apply to all clones that share it.

The team's settings are stored under `settings/team`, as `{"version": 1, "lease": 3600, …}`. They
are validated when they are read, since anybody may have written them. Like every value, the team's
settings have an author and a history. A setting of a clone overrides the team's setting of the same
name. A running server uses changed team settings only after the server has been restarted.
"""

from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError

from csc_git.core.value import MAX_FILE, Json
from csc_git.errors import InvalidSetting
from csc_git.text import readable

_MONTH: Final = 30 * 86_400
_LONGEST_VALUE: Final = MAX_FILE // 2


class Unusable(NamedTuple):
    """A team setting that csc-git can't use, with the reason and advice for a person.

    Attributes:
        what: Why the setting can't be used.
        then: What a person can do about the problem.
    """

    what: str
    then: str

    def __str__(self) -> str:
        return f"{self.what}. {self.then}"


class TeamSettings(BaseModel):
    """The team's settings. A setting that the team has not set is None.

    The bounds of team settings are narrower than the bounds of a clone's own settings.

    Attributes:
        version: The version of the format in which the team's settings are stored. Settings in a
            later format are ignored.
        lease: A session is treated as gone after this many seconds without a sign of life.
        limit: A value may have at most this many bytes of JSON.
        poll: At most this many seconds pass between two fetches from the remote.
        guard: What the hook does when a session is about to edit a file that another session has
            claimed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    lease: Annotated[int, Field(ge=60, le=_MONTH)] | None = None
    limit: Annotated[ByteSize, Field(ge=1024, le=_LONGEST_VALUE)] | None = None
    poll: Annotated[float, Field(ge=1, le=3_600)] | None = None
    guard: Literal["warn", "block", "off"] | None = None

    @classmethod
    def of(cls, value: Json) -> tuple[Self, list[Unusable]]:
        """Return the usable settings in a stored value, and the settings that can't be used."""
        if not isinstance(value, dict):
            return cls(), [_NO_OBJECT]
        if is_later(value):
            return cls(), [LATER]
        found = dict[str, Any]()
        unusable = list[Unusable]()
        for name in TEAM_NAMES:
            if name not in value:
                continue
            try:
                checked = cls.model_validate({name: value[name]})
            except ValidationError as error:
                unusable.append(_unusable(name, error))
            else:
                found |= checked.given()
        settings = cls.model_validate(found)
        return settings, sorted(unusable)

    @classmethod
    def check(
        cls,
        name: str,
        value: str,
    ) -> Any:  # noqa: ANN401  a setting's
        """Check a value for one of the team's settings, and return the value to store.

        Args:
            name: The name of the setting.
            value: The value, as a person typed it.

        Raises:
            InvalidSetting: the value is out of bounds.
        """
        settings, unusable = cls.of({name: value})
        if unusable:
            raise InvalidSetting(
                unusable[0].what,
                safe="The team's settings were not changed",
                then="Give another value",
            )
        return settings.given()[name]

    def given(self) -> dict[str, Any]:
        """The settings that the team has set, by name."""
        return self.model_dump(exclude={"version"}, exclude_none=True)


def is_later(value: Json) -> bool:
    """Return whether the settings are in a later format, which this csc-git does not know."""
    if not isinstance(value, dict):
        return False
    version = value.get("version", 1)
    return isinstance(version, int) and version > 1


def _unusable(
    name: str,
    error: ValidationError,
) -> Unusable:
    first = error.errors()[0]
    why = readable(first["msg"], 200)
    return Unusable(
        f"The team's setting {name} can't be used: {why}",
        f"To remove the setting: csc-git team unset {name}",
    )


_NO_OBJECT: Final = Unusable(
    "The team's settings are not stored as a JSON object",
    "To replace the settings: csc-git team set NAME VALUE",
)
LATER: Final = Unusable(
    "A later version of csc-git wrote the team's settings, so this version ignores them",
    "Upgrade csc-git on this machine too",
)
TEAM_NAMES: Final = tuple(
    name for name in TeamSettings.model_fields if name != "version"
)
