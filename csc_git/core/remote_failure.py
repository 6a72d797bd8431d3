"""The error for a failed exchange with the remote: a state of sync, and git's message."""

from typing import Final

from csc_git.core.remote_state import RemoteState, describe
from csc_git.errors import StoreError
from csc_git.text import readable

_LONGEST_DETAIL: Final = 400


class RemoteFailure(StoreError):
    """An exchange with the remote ended in a state other than OK.

    The coordinator does not raise this error to its callers, because local work can go on. Instead,
    the error's state becomes the state of sync.

    Args:
        state: The state in which the exchange ended.
        detail: The message of git or the remote. The message is cut and escaped so that it can be
            shown.
    """

    safe = "Nothing in this clone is lost"

    def __init__(self, state: RemoteState, detail: str = "") -> None:
        self.state = state
        self.detail = readable(detail, _LONGEST_DETAIL)
        what, then = describe(state, self.detail)
        super().__init__(what, then=then)
