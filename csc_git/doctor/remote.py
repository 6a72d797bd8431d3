"""Check the remote: can the clients' servers reach the remote and write to it?"""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from csc_git.clients.client import PASSED_ON
from csc_git.coordinator import clock
from csc_git.coordinator.coordinator import Coordinator
from csc_git.coordinator.probe import RoundTrip, round_trip
from csc_git.core.remote_state import RemoteState
from csc_git.doctor.environment import client_environment, environment
from csc_git.doctor.finding import Finding, doubtful, fine, wrong
from csc_git.doctor.server_starts import Start
from csc_git.store.sync.status import SyncStatus

Reopen = Callable[[], Coordinator]
"""A function that opens another coordinator of the clone.

The coordinator gets the environment that this process has at the time of the call.
"""

_SLOW: Final = 5.0
_SKEW: Final = 120.0
_MOST_CLOCKS: Final = 3
_TRANSPORT_PREFIXES: Final = ("SSH_", "GIT_")

_SAME_FOR_ALL: Final = frozenset(
    {
        RemoteState.OFF,
        RemoteState.NO_REMOTE,
    }
)
_SET_CLOCK: Final = (
    "Set the clock (timedatectl set-ntp true). "
    "Of two concurrent edits, the edit with the later time wins"
)


def check_remote(
    reopen: Reopen,
    user: str,
    known: Sequence[Start],
) -> Iterator[Finding]:
    """Write an edit, push it and read it back, with the environment of each client's server.

    If the test fails, try again with this shell's environment, to find the cause.

    Args:
        reopen: A function that opens a coordinator of the clone. The coordinator gets the
            environment that this process has at the time of the call.
        user: The author of the test edit.
        known: How clients start their servers, one item for each server. Servers that get the
            same environment are tested only once.
    """
    for group in _by_environment(known):
        with environment(group.environment | _own_settings()):
            tried = _try(reopen, user)
        who = ""
        if len(group.starts) < len(known):
            titles = [start.title for start in group.starts]
            who = " and ".join(titles)
        if tried.works:
            yield _worked(tried, who or "a client")
            continue
        fails_for_all = tried.status.state in _SAME_FOR_ALL
        if fails_for_all or not _works_in_shell(reopen, user, group):
            yield _failed(tried.status)
            return  # no other environment would help
        yield _lacking(
            tried.status,
            who or "your MCP client",
            group.starts,
        )


def check_clock(coordinator: Coordinator) -> Iterator[Finding]:
    """Does this machine's clock agree with the remote's clock and with the authors' clocks?"""
    wrong_clocks = coordinator.summary.clocks()
    for line in wrong_clocks[:_MOST_CLOCKS]:
        yield doubtful("clock", line, _SET_CLOCK)
    theirs = coordinator.store.remote_clock()
    if theirs is None:
        if not wrong_clocks:
            yield fine("clock", "the clocks of all machines agree")
        return
    skew = (clock.now() - theirs).total_seconds()
    if abs(skew) > _SKEW:
        minutes = abs(skew) / 60
        side = "ahead of" if skew > 0 else "behind"
        yield doubtful(
            "clock",
            f"This machine's clock is {minutes:,.0f} minutes {side} the remote's",
            _SET_CLOCK,
        )
    elif not wrong_clocks:
        yield fine("clock", "agrees with the remote's clock")


def _try(
    reopen: Reopen,
    user: str,
) -> RoundTrip:
    coordinator = reopen()
    try:
        return round_trip(coordinator, user)
    finally:
        coordinator.close()


class _Group(NamedTuple):
    """Servers that get the same environment, and how clients start them."""

    environment: dict[str, str]
    starts: list[Start]


def _by_environment(known: Sequence[Start]) -> list[_Group]:
    """Put servers that get the same environment into one group.

    If no client is set up, return one group with the variables that every client passes on.
    """
    if not known:
        inherited = client_environment(None, {})
        return [_Group(inherited, [])]
    groups = list[_Group]()
    for start in known:
        for group in groups:
            if group.environment == start.environment:
                group.starts.append(start)
                break
        else:
            new = _Group(start.environment, [start])
            groups.append(new)
    return groups


def _worked(
    tried: RoundTrip,
    who: str,
) -> Finding:
    remote = tried.status.remote
    took = f"{tried.seconds:.1f} s"
    message = f"{remote}: written, pushed and read back in {took}, as {who} would do it"
    if tried.seconds > _SLOW:
        fix = "The remote is slow: each edit needs that time to reach other clones"
        return doubtful("remote", message, fix)
    return fine("remote", message)


def _failed(status: SyncStatus) -> Finding:
    what, then = status.describe()
    if status.state is RemoteState.OFF:
        return fine("remote", f"{what}. {then}")
    if status.state is RemoteState.NO_REMOTE and not status.detail:
        return doubtful(
            "remote",
            f"{what}: this clone only",
            then,
        )
    message = f"{what}. Local work goes on"
    fix = status.choices() or then
    return wrong("remote", message, fix)


def _lacking(
    status: SyncStatus,
    who: str,
    group: Sequence[Start],
) -> Finding:
    """Report the variables that this shell has but a client's server does not get.

    Args:
        status: The result of the test that ran in the server's environment.
        who: The clients whose servers get this environment.
        group: How these clients start their servers; empty if no client is set up.
    """
    what, _ = status.describe()
    message = f"The remote works in this shell, but not as {who} starts the server: {what}"
    names = _transport_variables()
    if not group:
        listed = ", ".join(names)
        fix = f"Pass these variables of this shell to the server: {listed}"
        return wrong("remote", message, fix)
    start = group[0]
    wanted = {name: os.environ[name] for name in names}
    by_init, by_hand = start.lacks(wanted)
    advice = []
    if by_init:
        listed = ", ".join(by_init)
        advice.append(f"To pass on {listed}: {start.again}")
    if by_hand:
        listed = ", ".join(by_hand)
        advice.append(f"Add {listed} to env in {start.file}")
    fix = (
        "; ".join(advice)
        or "Compare the server's environment with this shell's: env"
    )
    return wrong("remote", message, fix)


def _own_settings() -> dict[str, str]:
    """The shell's `CSC_` variables.

    `check_agreement` has already compared these variables with the server's.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("CSC_")
    }


def _works_in_shell(
    reopen: Reopen,
    user: str,
    group: _Group,
) -> bool:
    """Whether the test succeeds with this shell's environment.

    If the group's environment equals this shell's environment, return False without a test.
    """
    if group.environment == dict(os.environ):
        return False
    tried = _try(reopen, user)
    return tried.works


def _transport_variables() -> list[str]:
    """Names of this shell's variables that decide how remotes are reached."""
    by_prefix = [n for n in os.environ if n.startswith(_TRANSPORT_PREFIXES)]
    proxies = [name for name in PASSED_ON if name in os.environ]
    return sorted({*by_prefix, *proxies})
