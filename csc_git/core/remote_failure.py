"""A failed exchange with the remote, as a state of sync and the words of git or the remote."""

from typing import Final

from csc_git.core.remote_state import RemoteState, describe
from csc_git.errors import StoreError
from csc_git.text import readable

_LONGEST_DETAIL: Final = 400


class RemoteFailure(StoreError):
    """An exchange with the remote ended in a state other than OK.

    Callers of the coordinator do not get it, because local work goes on: it becomes the state of
    sync.

    Args:
        state: The state it ended in.
        detail: The message of git or the remote; cut and escaped so that it can be shown.
    """

    safe = "Nothing here is lost"

    def __init__(self, state: RemoteState, detail: str = "") -> None:
        self.state = state
        self.detail = readable(detail, _LONGEST_DETAIL)
        what, then = describe(state, self.detail)
        super().__init__(what, then=then)
