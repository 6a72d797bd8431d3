"""What a failure of git means: its messages on standard error, as one of the states of sync."""

import re
from collections.abc import Sequence
from typing import Final

from csc_git.core.remote_failure import RemoteFailure
from csc_git.core.remote_state import RemoteState
from csc_git.errors import LostRace
from csc_git.processes.git import Completed
from csc_git.text import readable

_LONGEST: Final = 4096
"""Characters that are read at each end of what a remote printed. It may print any amount."""


class NotAtomic(RemoteFailure):
    """The remote can't move several branches in one step; it moved none of them.

    It lacks the ability, or its attempt to move them together failed.
    """


def _shortened(text: str) -> str:
    """Keep the beginning and the end of a text: a remote may print a megabyte on one line."""
    if len(text) <= 2 * _LONGEST:
        return text
    beginning = text[:_LONGEST]
    end = text[-_LONGEST:]
    return f"{beginning}\n{end}"


_USELESS: Final = re.compile(
    r"fatal: Could not read from remote repository\.|and the repository exists\.|\s*"
    r"|Please make sure you have the correct access rights"
)
"""Lines that git prints at the end of each failure."""


def _message(stderr: str) -> str:
    """Join the lines of git's message, without those that every failure has."""
    printed = _shortened(stderr).splitlines()
    lines = [line.strip() for line in printed]
    useful = [line for line in lines if not _USELESS.fullmatch(line)]
    if not useful:
        useful = [line for line in lines if line]
    return "; ".join(useful)


def failure_of(
    state: RemoteState,
    stderr: str,
) -> RemoteFailure:
    """Make the failure of a git call, with what git printed as its detail.

    Args:
        state: The state of sync that the call ended in.
        stderr: What git printed on standard error; its useful lines become the detail.
    """
    detail = _message(stderr)
    return RemoteFailure(state, detail)


def _any(*patterns: str) -> re.Pattern[str]:
    alternatives = "|".join(patterns)
    return re.compile(alternatives, re.IGNORECASE)


_TRANSPORT: Final = (
    (
        RemoteState.BAD_URL,
        _any(
            r"transport '\w*' not allowed",
            "unable to find remote helper",
        ),
    ),
    (
        RemoteState.OBJECT_FORMAT,
        _any(
            "mismatched algorithms",
            "object format",
            "hash algorithm",
        ),
    ),
    (
        RemoteState.HOST_KEY,
        _any(
            "host key verification failed",
            "host identification has changed",
        ),
    ),
    (
        RemoteState.CREDENTIALS,
        _any(
            "authentication failed",
            "could not read (username|password)",
            r"error: 401",
            r"permission denied \(",
            "terminal prompts disabled",
            "no anonymous write access",
            "too many authentication failures",
            "invalid (username|credentials)",
        ),
    ),
    (
        RemoteState.FULL,
        _any(
            "no space left",
            "disk quota exceeded",
        ),
    ),
    (
        RemoteState.READ_ONLY,
        _any(r"FATAL: W any .{0,200} DENIED"),  # gitolite, of all branches
    ),
    (
        RemoteState.PROTECTED,
        _any(
            "protected branch",
            r"FATAL: [W+-].{0,200} DENIED",
            "deny updating",
        ),
    ),
    (
        RemoteState.READ_ONLY,
        _any(
            "error: 403",
            "insufficient permission",
            "permission denied",
            "read-only file system",
            "access denied or repository not exported",
            "service not enabled",
            "write access to repository not granted",
            "dubious ownership",
            r"unable to (create|write)",
            "repository is archived",
            "read-only",
        ),
    ),
    (
        RemoteState.NOT_FOUND,
        _any(
            "repository not found",
            "does not appear to be a git repository",
            "error: 404",
            "not found",
            "no such file or directory",
            "does not exist",
            r"DENIED by fallthru",
        ),
    ),
    (
        RemoteState.TIMEOUT,
        _any(
            "timed out",
            "operation too slow",
            "timeout",
        ),
    ),
    (
        RemoteState.UNREACHABLE,
        _any(
            "could not resolve",
            "connection (refused|reset|closed)",
            "unreachable",
            "early eof",
            "no route to host",
            "failed to connect",
            "unable to connect",
            "couldn't connect",
            "hung up",
            "unexpected disconnect",
            "empty reply",
            r"error: 5\d\d",
            "broken pipe",
            "unable to look up",
            "recv failure",
            "unable to access",
            "bad line length",
            "could not read from remote repository",
            "temporary failure",
        ),
    ),
)
"""Git's messages, by the state of sync that they mean. The first that matches decides."""

_NAMES: Final = re.compile(
    r"'[^'\n]{0,2000}'|\b[a-z+]{2,10}://\S{0,2000}|(?<=to host )\S{1,300}|(?<=hostname )\S{1,300}"
)
"""URLs and other names in git's messages. People choose them: a repository may be called
`read-only` or `timeout`."""

_NO_ATOMIC_PUSH: Final = _any("does not support --atomic")
"""Git's message before a push that the remote, or the transport to it, can't make atomically."""


def transport_failure(stderr: str) -> RemoteFailure:
    """Recognise the failure that git describes on standard error.

    Only git's own sentences decide. The names in them and what a hook printed decide nothing.
    """
    own = _own(stderr)
    if _NO_ATOMIC_PUSH.search(own):
        return NotAtomic(RemoteState.FAILED, _message(stderr))
    sentences = _NAMES.sub("''", own)
    for state, pattern in _TRANSPORT:
        if pattern.search(sentences):
            return failure_of(state, stderr)
    return failure_of(RemoteState.FAILED, stderr)


_HERE: Final = _any(
    r"refs/csc/",
    r"unable to (create|write)",
    "insufficient permission",
    "unpack",
    "write error",
    "no space left",
    "read-only file system",
    "disk quota",
)

_NO_BRANCH: Final = "couldn't find remote ref"
_BROKEN: Final = re.compile(
    r"(packed|loose) object \w+ .*is corrupt|inflate: data stream error"
)


def _is_broken_here(stderr: str) -> bool:
    """Check whether git gave up because an object of our own repository is damaged."""
    own = _own(stderr)
    return _BROKEN.search(own) is not None


def _own(stderr: str) -> str:
    """Select git's messages about this side, from a shortened text."""
    lines = _shortened(stderr).splitlines()
    own = [line for line in lines if not line.startswith("remote:")]
    return "\n".join(own)


def _remotes(printed: str) -> str:
    """Join the lines that the remote printed."""
    lines = printed.splitlines()
    theirs = [line for line in lines if line.startswith("remote:")]
    return " ".join(theirs)


def is_branch_missing(fetch: Completed) -> bool:
    """Check whether a fetch failed because the remote has no branch of that name."""
    return not fetch.ok and _NO_BRANCH in fetch.err.lower()


def fetch_failure(stderr: str) -> RemoteFailure:
    """Recognise the failure of a fetch.

    Where git could not write to a disk, it was the local one.
    """
    if _is_broken_here(stderr):
        return failure_of(RemoteState.STORAGE, stderr)
    failure = transport_failure(stderr)
    suspect = failure.state in {
        RemoteState.READ_ONLY,
        RemoteState.FULL,
        RemoteState.FAILED,
    }
    if suspect and _HERE.search(_own(stderr)):
        return failure_of(RemoteState.STORAGE, stderr)
    return failure


_LOST_RACE: Final = _any(
    "fetch first",
    "non-fast-forward",
    "stale info",
    "failed to update ref",
    "cannot lock ref",
    "failed to lock",
    "incorrect old value",
    "reference already exists",
)
"""Reasons for a rejected push that mean: somebody else pushed; fetch, replay, try again."""

_FOR_OTHERS: Final = _any("atomic")
"""Reasons for a branch that was not moved because others in the same push were not moved."""

_IN_THE_WAY: Final = re.compile(r"'refs/heads/[^']+' exists; cannot create")
"""Git's message if a branch has the name of the directory that ours would be in."""

_HOST_PROTECTS: Final = _any(
    r"^remote: (error: )?GH006:",
    r"^remote: GitLab: You are not allowed to push",
    r"^remote: FATAL: [W+-].{0,200} DENIED",
)
"""How the line begins by which a host reports a protected branch: GitHub, GitLab, gitolite."""

_PROTECTED_BY_HOST: Final = re.compile(_HOST_PROTECTS.pattern, re.MULTILINE)
_PROTECTED: Final = _any(
    "protected branch",
    "deny updating",
)
_CONTENT: Final = _any(
    "hook declined",
    "rule violations",
    "push declined",
)
_NO_ROOM: Final = _any(
    "no space left",
    "disk quota exceeded",
)
_NO_ACCESS: Final = _any(
    r"unable to (create|write)",
    "insufficient permission",
    "read-only file",
)


def push_failure(
    reasons: Sequence[str],
    stderr: str,
) -> RemoteFailure | LostRace:
    """Recognise the failure of a push.

    Args:
        reasons: Git's reason for each branch that was not moved, as `git push --porcelain` prints
            it. Empty if git gave up before the remote looked at the branches.
        stderr: What git printed on standard error.

    Returns:
        `LostRace` if somebody else pushed first, `NotAtomic` if the remote can't move several
        branches in one step, else another failure.
    """
    if _is_broken_here(stderr):
        return failure_of(RemoteState.STORAGE, stderr)
    if not reasons:
        return transport_failure(stderr)
    if _IN_THE_WAY.search(stderr):
        return failure_of(RemoteState.NOT_A_STORE, stderr)
    causes = [one for one in reasons if not _FOR_OTHERS.search(one)]
    if not causes:
        return NotAtomic(RemoteState.FAILED, reasons[0])
    cause = causes[0]
    if _LOST_RACE.search(cause):
        return LostRace(f"{cause}: {readable(stderr)}")
    return rejection(cause, stderr)


def rejection(
    reason: str,
    stderr: str,
) -> RemoteFailure:
    """Recognise the failure behind a `! … [remote rejected] (reason)` of `git push --porcelain`.

    Git's reason decides. A hook may print anything, so its output decides nothing. Only lines that
    begin as those of the large hosts do are believed. Where the remote could not unpack what was
    pushed, and its disk is not to blame, it refused an object: the edit at fault can be found.

    Args:
        reason: The text in parentheses.
        stderr: What git printed on standard error, with the lines of the remote.
    """
    printed = _shortened(stderr)
    detail = reason
    if theirs := _remotes(printed):
        detail = f"{reason}: {theirs}"
    state = _rejected_state(reason, printed)
    return failure_of(state, detail)


def _rejected_state(
    reason: str,
    printed: str,
) -> RemoteState:
    if _PROTECTED.search(reason) or _PROTECTED_BY_HOST.search(printed):
        return RemoteState.PROTECTED
    if _CONTENT.search(reason):
        return RemoteState.DECLINED
    if "unpack" in reason:
        return _unpacking_state(printed)
    failure = transport_failure(f"{reason}\n{printed}")
    if failure.state is RemoteState.FAILED:
        return RemoteState.DECLINED
    return failure.state


def _unpacking_state(printed: str) -> RemoteState:
    """Find the state of a remote that could not unpack what was pushed."""
    if _NO_ROOM.search(printed):
        return RemoteState.FULL
    if _NO_ACCESS.search(printed):
        return RemoteState.READ_ONLY
    return RemoteState.DECLINED
