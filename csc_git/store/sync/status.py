"""Status: the outcome of the last attempt to sync, which all processes of a clone share."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from csc_git.core.lease import Instant
from csc_git.core.remote_state import (
    OF_ANOTHER_REMOTE,
    RemoteState,
    choices,
    describe,
    of_another,
)
from csc_git.files.durable import read_json, write_json


@dataclass(frozen=True)
class SyncStatus:
    """The outcome of the last attempt to sync.

    Attributes:
        state: The state of the sync, see `core.remote_state`.
        detail: The message of the remote or of git.
        contact: The start of the last successful attempt; None if no attempt has succeeded.
        attempt: The start of the last attempt; None if there was no attempt.
        failures: The number of failed attempts since the last successful attempt.
        reasons: The reason why each parked edit is parked. The dict's keys are the edits' ops.
        remote: The URL of the remote at the last successful attempt, without credentials.
        earlier: The URL of the last successful attempt, if the last attempt failed at a remote with
            a different URL; otherwise empty.
    """

    state: RemoteState = RemoteState.NEVER
    detail: str = ""
    contact: Instant | None = None
    attempt: Instant | None = None
    failures: int = 0
    reasons: dict[str, str] = field(default_factory=dict)
    remote: str = ""
    earlier: str = ""

    def describe(self) -> tuple[str, str]:
        """Return two texts: what happened, and what to do next."""
        return describe(self.state, self.detail, earlier=self.earlier)

    def choices(self) -> str:
        """Return the choices that a person has if the state needs a decision; otherwise ""."""
        return choices(self.state, earlier=self.earlier)

    def age(self, now: Instant) -> float | None:
        """Return the seconds since the last successful attempt; None if there was none."""
        if self.contact is None:
            return None
        return now.since(self.contact)

    def succeeded(self, began: Instant, remote: str) -> "SyncStatus":
        """Return the status after an attempt that succeeded.

        Args:
            began: The time at which the attempt began.
            remote: The remote's URL, without credentials.
        """
        return replace(
            self,
            state=RemoteState.OK,
            detail="",
            contact=began,
            attempt=began,
            failures=0,
            remote=remote,
            earlier="",
        )

    def failed(
        self,
        state: RemoteState,
        detail: str,
        began: Instant,
        remote: str = "",
    ) -> "SyncStatus":
        """Return the status after an attempt that failed.

        Args:
            state: The state after the attempt.
            detail: The message of the remote or of git.
            began: The time at which the attempt began.
            remote: The URL that was tried; empty if the URL is unknown.
        """
        earlier = ""
        is_another = bool(remote and self.remote) and remote != self.remote
        if state in OF_ANOTHER_REMOTE and is_another:
            earlier = self.remote
            detail = of_another(earlier)
        return replace(
            self,
            state=state,
            detail=detail,
            attempt=began,
            failures=self.failures + 1,
            earlier=earlier,
        )

    def save(self, path: Path) -> None:
        """Write the status to a file, for the clone's other processes."""
        members: dict[str, Any] = asdict(self)
        write_json(path, members)

    @classmethod
    def load(cls, path: Path) -> "SyncStatus":
        """Read the saved status; return a new status if there is no readable saved status."""
        try:
            content = read_json(path)
            reasons = content["reasons"].items()
            return cls(
                state=RemoteState(content["state"]),
                detail=str(content["detail"]),
                contact=_instant(content["contact"]),
                attempt=_instant(content["attempt"]),
                failures=int(content["failures"]),
                reasons={str(op): str(why) for op, why in reasons},
                remote=str(content.get("remote", "")),
                earlier=str(content.get("earlier", "")),
            )
        except OSError as error:
            return cls(state=RemoteState.STORAGE, detail=error.strerror or "")
        except (KeyError, TypeError, ValueError, AttributeError):
            return cls()


def _instant(value: Any) -> Instant | None:  # noqa: ANN401  any JSON
    if value is None:
        return None
    return Instant.from_json(value)
