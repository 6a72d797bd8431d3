"""The remote: can it be reached, by a server as the client starts it, and be written?"""

import os
from collections.abc import Iterator, Mapping
from typing import Final

from csc_git.clients.client import INHERITED
from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.roundtrip import RoundTrip, round_trip
from csc_git.doctor.environment import environment
from csc_git.doctor.finding import Finding, doubtful, fine, wrong
from csc_git.errors import CscError
from csc_git.git.failure import RemoteState

_SLOW: Final = 5.0
_SKEW: Final = 120.0
_TELLING: Final = ("SSH_", "GIT_", "http", "HTTP", "all_proxy", "ALL_PROXY", "NO_PROXY", "no_proxy")


def check_remote(
    coordinator: Coordinator, user: str, given: Mapping[str, str]
) -> Iterator[Finding]:
    """Write, push and read back, as the client's server would; and as the shell can, if that fails.

    Args:
        coordinator: Of the clone.
        user: The person on whose behalf.
        given: The environment that the client gives its server.
    """
    try:
        with environment(given):
            tried = round_trip(coordinator, user)
    except CscError as error:
        yield wrong("remote", error.what, error.then)
        return
    if tried.works:
        yield from _worked(coordinator, tried)
        return
    what, then = tried.status.describe()
    if tried.status.state is RemoteState.OFF:
        yield fine("remote", f"{what}. {then}")
    elif tried.status.state is RemoteState.NO_REMOTE and not coordinator.project.remotes:
        yield doubtful("remote", f"{what}: this clone only", then)
    elif _mends_in_the_shell(coordinator, user, given):
        missing = [name for name in _telling() if name not in given]
        says = f"It works in this shell, but not as your MCP client starts the server: {what}"
        advice = "Hand over what the shell has"
        names = f" ({', '.join(missing)})" if missing else ""
        yield wrong("remote", says, f"{advice}{names}: csc-git init --undo, then csc-git init")
    else:
        yield wrong("remote", f"{what}. Local work goes on", then)


def check_clock(coordinator: Coordinator) -> Iterator[Finding]:
    """Is this machine's clock right, by the remote's, and by those of the branch's authors?"""
    ahead = coordinator.overview.status().clocks_ahead
    if ahead:
        says = f"Values by {', '.join(ahead[:3])} lie in the future; their time is not believed"
        yield doubtful("clock", says, "Set the clock of that machine")
    theirs = coordinator.store.remote_clock()
    skew = (clock.now() - theirs).total_seconds() if theirs is not None else None
    if skew is not None and abs(skew) > _SKEW:
        side = "ahead of" if skew > 0 else "behind"
        says = f"This clock is {abs(skew) / 60:,.0f} minutes {side} the remote's"
        advice = "Set it (timedatectl set-ntp true). Of two concurrent edits the later time wins"
        yield doubtful("clock", says, advice)
    elif not ahead:
        how = "as the remote's" if skew is not None else "no value lies in the future"
        yield fine("clock", how)


def _worked(coordinator: Coordinator, tried: RoundTrip) -> Iterator[Finding]:
    where = coordinator.overview.status().remote
    says = f"{where}: written, pushed and read back in {tried.seconds:.1f} s, as a client would"
    if tried.seconds > _SLOW:
        yield doubtful("remote", says, "It is slow: edits take as long to reach others")
    else:
        yield fine("remote", says)


def _mends_in_the_shell(coordinator: Coordinator, user: str, given: Mapping[str, str]) -> bool:
    if all(given.get(name) == value for name, value in os.environ.items()):
        return False
    return round_trip(coordinator, user).works


def _telling() -> list[str]:
    """Variables of this shell that say how remotes are reached."""
    names = (name for name in os.environ if name.startswith(_TELLING))
    return sorted(name for name in names if name not in INHERITED)
