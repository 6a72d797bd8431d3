"""Status: how things stood with the remote at the last attempt, shared by a clone's processes."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from csc_git.core.lease import Instant
from csc_git.core.remote_state import (
    CHOICES,
    OF_ANOTHER_REMOTE,
    RemoteState,
    describe,
)
from csc_git.files.durable import read_json, write_json

_ANOTHER: Final = "it is another remote"


@dataclass(frozen=True)
class SyncStatus:
    """The outcome of the last attempt.

    Attributes:
        state: See `core.remote_state`.
        detail: The remote's own words.
        contact: When the last successful contact *began*; None if there was none yet.
        attempt: When the last attempt began.
        failures: Failed attempts in a row.
        reasons: Why edits are held back, by op.
        remote: The URL of the last successful contact, without credentials.
    """

    state: RemoteState = RemoteState.NEVER
    detail: str = ""
    contact: Instant | None = None
    attempt: Instant | None = None
    failures: int = 0
    reasons: dict[str, str] = field(default_factory=dict)
    remote: str = ""

    def describe(self) -> tuple[str, str]:
        """What happened, and what to do next."""
        if self.state in OF_ANOTHER_REMOTE and self.detail.startswith(_ANOTHER):
            what = f"The remote has nothing of this clone's: {self.detail}"
            return what, (
                "Edits wait here. A person decides which remote is right: csc-git doctor lists the "
                "choices"
            )
        return describe(self.state, self.detail)

    def choices(self) -> str:
        """How a person can go on from a state that waits for a decision; empty for the others."""
        if self.state is RemoteState.DELETED and self.detail.startswith(
            _ANOTHER
        ):
            return (
                f"To use the earlier remote again: git config csc.remote {self.remote}. "
                "To publish this clone's data on the new remote, where everyone with read access "
                "can see it: csc-git sync --recreate"
            )
        if self.state in OF_ANOTHER_REMOTE and self.detail.startswith(_ANOTHER):
            return f"To use the earlier remote again: git config csc.remote {self.remote}"
        return CHOICES.get(self.state, "")

    def age(self, now: Instant) -> float | None:
        """Seconds since the last successful contact."""
        return None if self.contact is None else now.since(self.contact)

    def succeeded(self, began: Instant, remote: str) -> "SyncStatus":
        """After an attempt that went through."""
        done = replace(self, contact=began, attempt=began, remote=remote)
        return replace(done, state=RemoteState.OK, detail="", failures=0)

    def failed(
        self, state: RemoteState, detail: str, began: Instant, remote: str = ""
    ) -> "SyncStatus":
        """After one that didn't."""
        if (
            state in OF_ANOTHER_REMOTE
            and remote
            and self.remote not in {"", remote}
        ):
            detail = (
                f"{_ANOTHER} than {self.remote}, which was synced with before"
            )
        return replace(
            self,
            state=state,
            detail=detail,
            attempt=began,
            failures=self.failures + 1,
        )

    def save(self, path: Path) -> None:
        """Publish it to the clone's other processes."""
        members: dict[str, Any] = asdict(self)
        write_json(path, members)

    @classmethod
    def load(cls, path: Path) -> "SyncStatus":
        """What was last published; a fresh one if nothing was, or nothing that can be read."""
        try:
            content = read_json(path)
            return cls(
                state=RemoteState(content["state"]),
                detail=str(content["detail"]),
                contact=_instant(content["contact"]),
                attempt=_instant(content["attempt"]),
                failures=int(content["failures"]),
                reasons={
                    str(op): str(why) for op, why in content["reasons"].items()
                },
                remote=str(content.get("remote", "")),
            )
        except OSError as error:
            return cls(state=RemoteState.STORAGE, detail=error.strerror or "")
        except (KeyError, TypeError, ValueError, AttributeError):
            return cls()


def _instant(value: Any) -> Instant | None:  # noqa: ANN401  any JSON
    return None if value is None else Instant.from_json(value)
