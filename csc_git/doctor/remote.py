"""The remote: can it be reached, by a server as the client starts it, and be written?"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from csc_git.clients.client import PASSED_ON
from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.probe import RoundTrip, round_trip
from csc_git.core.remote_state import RemoteState
from csc_git.doctor.environment import client_environment, environment
from csc_git.doctor.finding import Finding, doubtful, fine, wrong
from csc_git.doctor.server_starts import Start
from csc_git.store.status import SyncStatus

_SLOW: Final = 5.0
_SKEW: Final = 120.0
_MOST_CLOCKS: Final = 3
_TELLING: Final = ("SSH_", "GIT_")

_SAME_FOR_ALL: Final = frozenset({RemoteState.OFF, RemoteState.NO_REMOTE})


def check_remote(
    reopened: Callable[[], Coordinator], user: str, known: Sequence[Start]
) -> Iterator[Finding]:
    """Write, push and read back, as each client's server would; as the shell can, if that fails.

    Args:
        reopened: Gives a coordinator of the clone, made in the environment as it is then.
        user: The person on whose behalf.
        known: How clients start their servers. Those that give them the same environment are
            tried as one.
    """
    for given, group in _by_environment(known):
        with environment(given | _own_settings()):
            tried = _tried(reopened, user)
        who = (
            " and ".join(start.title for start in group)
            if len(group) < len(known)
            else ""
        )
        if tried.works:
            yield _worked(tried, who or "a client")
        elif tried.status.state in _SAME_FOR_ALL or not _mends_in_the_shell(
            reopened, user, given
        ):
            yield _failed(tried.status)
            return  # it does for nobody
        else:
            yield _lacking(tried.status, who or "your MCP client", group)


def _tried(reopened: Callable[[], Coordinator], user: str) -> RoundTrip:
    coordinator = reopened()
    try:
        return round_trip(coordinator, user)
    finally:
        coordinator.close()


def check_clock(coordinator: Coordinator) -> Iterator[Finding]:
    """Is this machine's clock right, by the remote's, and by those of the branch's authors?"""
    wrong_ones = coordinator.summary.clocks()
    for line in wrong_ones[:_MOST_CLOCKS]:
        advice = "Set it (timedatectl set-ntp true). Of two concurrent edits the later time wins"
        yield doubtful("clock", line, advice)
    theirs = coordinator.store.remote_clock()
    skew = (
        (clock.now() - theirs).total_seconds() if theirs is not None else None
    )
    if skew is not None and abs(skew) > _SKEW:
        side = "ahead of" if skew > 0 else "behind"
        message = (
            f"This clock is {abs(skew) / 60:,.0f} minutes {side} the remote's"
        )
        advice = "Set it (timedatectl set-ntp true). Of two concurrent edits the later time wins"
        yield doubtful("clock", message, advice)
    elif not wrong_ones:
        how = (
            "as the remote's"
            if skew is not None
            else "those of all machines agree"
        )
        yield fine("clock", how)


def _by_environment(
    known: Sequence[Start],
) -> list[tuple[dict[str, str], list[Start]]]:
    """Starts that give their servers the same environment; any client's, if there are none."""
    found = list[tuple[dict[str, str], list[Start]]]()
    for start in known:
        same = (group for given, group in found if given == start.environment)
        if (group := next(same, None)) is None:
            found.append((start.environment, [start]))
        else:
            group.append(start)
    return found or [(client_environment(None, {}), [])]


def _worked(tried: RoundTrip, who: str) -> Finding:
    how = f"written, pushed and read back in {tried.seconds:.1f} s, as {who} would"
    message = f"{tried.status.remote}: {how}"
    if tried.seconds > _SLOW:
        return doubtful(
            "remote", message, "It is slow: edits take as long to reach others"
        )
    return fine("remote", message)


def _failed(status: SyncStatus) -> Finding:
    what, then = status.describe()
    if status.state is RemoteState.OFF:
        return fine("remote", f"{what}. {then}")
    if status.state is RemoteState.NO_REMOTE and not status.detail:
        return doubtful("remote", f"{what}: this clone only", then)
    return wrong(
        "remote", f"{what}. Local work goes on", status.choices() or then
    )


def _lacking(status: SyncStatus, who: str, group: Sequence[Start]) -> Finding:
    """What the server is not given that the shell has."""
    message = f"It works in this shell, but not as {who} starts the server: {status.describe()[0]}"
    if not group:
        return wrong(
            "remote",
            message,
            f"Hand over what the shell has ({', '.join(_telling())})",
        )
    start = group[0]
    by_init, by_hand = start.lacks(
        {name: os.environ[name] for name in _telling()}
    )
    advice = []
    if by_init:
        advice.append(f"Hand over {', '.join(by_init)}: {start.again}")
    if by_hand:
        advice.append(f"Add {', '.join(by_hand)} to env in {start.file}")
    return wrong(
        "remote",
        message,
        "; ".join(advice) or "Compare its environment with this one: env",
    )


def _own_settings() -> dict[str, str]:
    """The shell's settings for us; that the server's lead to the same place was seen before."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("CSC_")
    }


def _mends_in_the_shell(
    reopened: Callable[[], Coordinator], user: str, given: Mapping[str, str]
) -> bool:
    return dict(given) != dict(os.environ) and _tried(reopened, user).works


def _telling() -> list[str]:
    """Variables of this shell that say how remotes are reached."""
    return sorted(
        name
        for name in os.environ
        if name in PASSED_ON or name.startswith(_TELLING)
    )
