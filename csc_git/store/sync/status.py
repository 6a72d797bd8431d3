"""Status: how the last attempt to sync ended, shared by a clone's processes."""

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
    """The outcome of the last attempt.

    Attributes:
        state: See `core.remote_state`.
        detail: The remote's own words.
        contact: When the last successful contact *began*; None if there was none yet.
        attempt: When the last attempt began.
        failures: Failed attempts in a row.
        reasons: Why edits are parked, by op.
        remote: The URL of the last successful contact, without credentials.
        earlier: That URL, if the remote of the last attempt is another one.
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
        """Return what happened, and what to do next."""
        return describe(self.state, self.detail, earlier=self.earlier)

    def choices(self) -> str:
        """Return how a person can go on from a state that needs a decision; empty for others."""
        return choices(self.state, earlier=self.earlier)

    def age(self, now: Instant) -> float | None:
        """Return the seconds since the last successful contact; None if there was none yet."""
        if self.contact is None:
            return None
        return now.since(self.contact)

    def succeeded(self, began: Instant, remote: str) -> "SyncStatus":
        """Return the status after an attempt that succeeded.

        Args:
            began: When the attempt began.
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
            state: How it ended.
            detail: The words of git or of the remote.
            began: When the attempt began.
            remote: The URL that was tried; empty if it is unknown.
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
        """Write it to a file, for the clone's other processes."""
        members: dict[str, Any] = asdict(self)
        write_json(path, members)

    @classmethod
    def load(cls, path: Path) -> "SyncStatus":
        """Read what was saved last; a new status if there is none that can be read."""
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
