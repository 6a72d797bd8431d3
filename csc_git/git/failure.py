"""Find the state of sync after git failed, from git's messages on standard error."""

import re
from collections.abc import Sequence
from typing import Final

from csc_git.core.remote_failure import RemoteFailure
from csc_git.core.remote_state import RemoteState
from csc_git.errors import LostRace
from csc_git.processes.git import Completed
from csc_git.text import readable

_LONGEST: Final = 4096
"""A remote's output may have any length. Only this many characters at the beginning and at the end
of the output are read."""


class NotAtomic(RemoteFailure):
    """The remote can't move several branches in one step, and it moved no branch.

    Either the remote does not support atomic pushes, or the atomic push failed on the remote.
    """


def _shortened(text: str) -> str:
    """Return the beginning and the end of a long text, since a remote may print a long line."""
    if len(text) <= 2 * _LONGEST:
        return text
    beginning = text[:_LONGEST]
    end = text[-_LONGEST:]
    return f"{beginning}\n{end}"


_USELESS: Final = re.compile(
    r"fatal: Could not read from remote repository\.|and the repository exists\.|\s*"
    r"|Please make sure you have the correct access rights"
)
"""Matches lines that git prints after every failure."""


def _message(stderr: str) -> str:
    """Join the lines of git's message, without the lines that git prints after every failure."""
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
    """Make the error for a failed git call, with git's message as the error's detail.

    Args:
        state: The state of sync in which the call ended.
        stderr: Git's output on standard error. The useful lines of this output become the detail.
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
        # gitolite prints this if the user may not write to any branch
        _any(r"FATAL: W any .{0,200} DENIED"),
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
"""For each state of sync, patterns of git's messages that mean this state. The first pattern that
matches decides."""

_NAMES: Final = re.compile(
    r"'[^'\n]{0,2000}'|\b[a-z+]{2,10}://\S{0,2000}|(?<=to host )\S{1,300}|(?<=hostname )\S{1,300}"
)
"""Matches URLs and other names in git's messages. People choose such names: a repository may be
called `read-only` or `timeout`."""

_NO_ATOMIC_PUSH: Final = _any("does not support --atomic")
"""Git's message if several branches can't be pushed atomically. The reason may be the remote or the
transport to it."""


def transport_failure(stderr: str) -> RemoteFailure:
    """Find the kind of failure that git describes on standard error.

    Only git's own sentences are examined. Names in these sentences, and the output of hooks, are
    ignored.
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
    """Check whether git failed because an object of csc-git's own repository is damaged."""
    own = _own(stderr)
    return _BROKEN.search(own) is not None


def _own(stderr: str) -> str:
    """Select the lines that the local git printed, without the lines that the remote printed."""
    lines = _shortened(stderr).splitlines()
    own = [line for line in lines if not line.startswith("remote:")]
    return "\n".join(own)


def _remotes(printed: str) -> str:
    """Join the lines that the remote printed, which begin with `remote:`."""
    lines = printed.splitlines()
    theirs = [line for line in lines if line.startswith("remote:")]
    return " ".join(theirs)


def is_branch_missing(fetch: Completed) -> bool:
    """Check whether a fetch failed because the remote does not have the branch."""
    return not fetch.ok and _NO_BRANCH in fetch.err.lower()


def fetch_failure(stderr: str) -> RemoteFailure:
    """Find the kind of failure of a fetch.

    If git reports that it could not write to a disk, the local disk is meant.
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
"""If git rejects a push for one of these reasons, another clone has pushed first."""

_FOR_OTHERS: Final = _any("atomic")
"""The reason that git prints for a branch if it did not move another branch of the same push."""

_IN_THE_WAY: Final = re.compile(r"'refs/heads/[^']+' exists; cannot create")
"""Git's message if another branch has the name of the directory that would contain our branch."""

_HOST_PROTECTS: Final = _any(
    r"^remote: (error: )?GH006:",
    r"^remote: GitLab: You are not allowed to push",
    r"^remote: FATAL: [W+-].{0,200} DENIED",
)
"""The beginnings of the lines by which GitHub, GitLab and gitolite report a protected branch."""

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
    """Find the kind of failure of a push.

    Args:
        reasons: The reason for each branch that was not moved, as `git push --porcelain` prints it.
            Empty if git failed before the remote accepted or rejected any branch.
        stderr: Git's output on standard error.

    Returns:
        `LostRace` if another clone pushed first, `NotAtomic` if the remote can't move several
        branches in one step, or else another `RemoteFailure`.
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
    """Find the kind of failure for a line `! … [remote rejected] (reason)` of `git push`.

    Git's reason decides. A hook may print anything, so the lines that the remote prints are
    ignored. The only exceptions are lines in the form that the large hosts use. If the remote's
    disk works but the remote could not unpack the pushed objects, the cause is that the remote
    refused an object. The state is then `DECLINED`, so that csc-git searches for the edit with this
    object.

    Args:
        reason: The reason in that line, without the parentheses.
        stderr: Git's output on standard error, which includes the lines of the remote.
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
    """Find the state of sync if the remote could not unpack the pushed objects."""
    if _NO_ROOM.search(printed):
        return RemoteState.FULL
    if _NO_ACCESS.search(printed):
        return RemoteState.READ_ONLY
    return RemoteState.DECLINED
