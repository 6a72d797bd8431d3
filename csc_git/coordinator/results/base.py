"""The base classes of all answers."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from csc_git.core.clock import format_time
from csc_git.store.tree.snapshot import Stored
from csc_git.text import printable, printable_json

Where = Literal["local", "synced"]


def _terse(schema: dict[str, Any]) -> None:
    """Remove titles from a schema. Titles only repeat the names, and cost tokens."""
    schema.pop("title", None)
    properties = schema.get("properties", {})
    for member in properties.values():
        member.pop("title", None)


class Result(BaseModel):
    """Base of all answers. pydantic completes each model when it is first used."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra=_terse,
        defer_build=True,
    )

    def to_text(self, exclude: set[str] | None = None) -> str:
        """Return the answer as JSON for an AI model, with invisible characters escaped."""
        text = self.model_dump_json(indent=2, exclude=exclude)
        return printable_json(text)


def build_all() -> None:
    """Complete the pydantic model of every imported result class now.

    It is not safe if two threads complete the same model at the same time.
    """
    models = list(Result.__subclasses__())
    while models:
        model = models.pop()
        models += model.__subclasses__()
        model.model_rebuild()


class Version(Result):
    """A value that somebody stored: data, with its author and time."""

    value: Any
    session: str
    time: str
    revision: str | None = None

    @classmethod
    def of(cls, stored: Stored | None) -> "Version | None":
        """Return the version that a key has now; None if the key has no value."""
        if stored is None:
            return None
        entry = stored.entry
        return cls(
            value=entry.value,
            session=printable(entry.session),
            time=format_time(entry.time),
            revision=stored.revision,
        )
