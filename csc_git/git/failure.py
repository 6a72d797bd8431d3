"""What a failure of git means: its words on standard error, read into one of the states of sync."""

import re
from typing import Final

from csc_git.core.remote_state import RemoteState, describe
from csc_git.text import readable


class RemoteFailure(Exception):
    """An attempt to talk to the remote ended in a state other than OK.

    Args:
        state: Which one.
        detail: The remote's or git's own words; made fit to be shown.
    """

    def __init__(self, state: RemoteState, detail: str = "") -> None:
        self.state, self.detail = (
            state,
            readable(_telling(_shortened(detail)), _LONGEST_DETAIL),
        )
        super().__init__(describe(state, self.detail)[0])


_LONGEST: Final = 4096
"""Characters at each end of what a remote printed that are looked at: it may print any amount."""

_LONGEST_DETAIL: Final = 400


def _shortened(text: str) -> str:
    """The beginning and the end of a text; a remote may print a megabyte on one line."""
    if len(text) <= 2 * _LONGEST:
        return text
    return f"{text[:_LONGEST]}\n{text[-_LONGEST:]}"


_USELESS: Final = re.compile(
    r"fatal: Could not read from remote repository\.|and the repository exists\.|\s*"
    r"|Please make sure you have the correct access rights"
)
"""Lines that git ends with whatever happened."""


def _telling(stderr: str) -> str:
    """Git's message, without the lines that every failure has."""
    lines = [line.strip() for line in stderr.splitlines()]
    useful = [line for line in lines if not _USELESS.fullmatch(line)]
    return "; ".join(useful or filter(None, lines))


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_TRANSPORT: Final[list[tuple[re.Pattern[str], RemoteState]]] = [
    (_any(r"transport '\w*' not allowed", "unable to find remote helper"), RemoteState.BAD_URL),
    (_any("mismatched algorithms", "object format", "hash algorithm"), RemoteState.OBJECT_FORMAT),
    (_any("host key verification failed", "host identification has changed"), RemoteState.HOST_KEY),
    (
        _any("authentication failed", "could not read (username|password)", r"error: 401",
             r"permission denied \(", "terminal prompts disabled", "no anonymous write access",
             "too many authentication failures", "invalid (username|credentials)"),
        RemoteState.CREDENTIALS,
    ),
    (_any("no space left", "disk quota exceeded"), RemoteState.FULL),
    (_any(r"FATAL: W any .{0,200} DENIED"), RemoteState.READ_ONLY),  # gitolite, of all branches
    (_any("protected branch", r"FATAL: [W+-].{0,200} DENIED", "deny updating"),
     RemoteState.PROTECTED),
    (
        _any(r"error: 403", "insufficient permission", "permission denied", "read-only file system",
             "access denied or repository not exported", "service not enabled",
             "write access to repository not granted", "dubious ownership",
             r"unable to (create|write)", "repository is archived", "read-only"),
        RemoteState.READ_ONLY,
    ),
    (
        _any("repository not found", "does not appear to be a git repository", "error: 404",
             "not found", "no such file or directory", "does not exist", r"DENIED by fallthru"),
        RemoteState.NOT_FOUND,
    ),
    (_any("timed out", "operation too slow", "timeout"), RemoteState.TIMEOUT),
    (
        _any("could not resolve", "connection (refused|reset|closed)", "unreachable", "early eof",
             "no route to host", "failed to connect", "unable to connect", "couldn't connect",
             "hung up", "unexpected disconnect", "empty reply", r"error: 5\d\d", "broken pipe",
             "unable to look up", "recv failure", "unable to access", "bad line length",
             "could not read from remote repository", "temporary failure"),
        RemoteState.UNREACHABLE,
    ),
]  # fmt: skip


_NAMES: Final = re.compile(
    r"'[^'\n]{0,2000}'|\b[a-z+]{2,10}://\S{0,2000}|(?<=to host )\S{1,300}|(?<=hostname )\S{1,300}"
)
"""URLs and other names in git's messages. They are people's own words: a repository may be called
`read-only` or `timeout`."""


def transport_failure(stderr: str) -> RemoteFailure:
    """The failure that git describes on standard error.

    Only git's own sentences decide: neither the names in them, nor what a hook printed.
    """
    sentences = _NAMES.sub("''", _own(_shortened(stderr)))
    for pattern, state in _TRANSPORT:
        if pattern.search(sentences):
            return RemoteFailure(state, stderr)
    return RemoteFailure(RemoteState.FAILED, stderr)


_HERE: Final = _any(
    r"refs/csc/", r"unable to (create|write)", "insufficient permission", "unpack", "write error",
    "no space left", "read-only file system", "disk quota",
)  # fmt: skip


_BROKEN: Final = re.compile(
    r"(packed|loose) object \w+ .*is corrupt|inflate: data stream error"
)


def is_broken_here(stderr: str) -> bool:
    """Whether git gave up because an object of our own repository is not what was written."""
    return _BROKEN.search(_own(_shortened(stderr))) is not None


def _own(stderr: str) -> str:
    """Git's messages about this side."""
    return "\n".join(
        line for line in stderr.splitlines() if not line.startswith("remote:")
    )


def fetch_failure(stderr: str) -> RemoteFailure:
    """The failure of a fetch: what was refused a place on a disk was refused it here."""
    if is_broken_here(stderr):
        return RemoteFailure(RemoteState.STORAGE, stderr)
    failure = transport_failure(stderr)
    suspect = failure.state in {
        RemoteState.READ_ONLY,
        RemoteState.FULL,
        RemoteState.FAILED,
    }
    if suspect and _HERE.search(_own(_shortened(stderr))):
        return RemoteFailure(RemoteState.STORAGE, stderr)
    return failure


LOST_RACE: Final = _any(
    "fetch first", "non-fast-forward", "stale info", "failed to update ref", "cannot lock ref",
    "failed to lock", "incorrect old value", "reference already exists",
)  # fmt: skip
"""Reasons for a rejected push that mean: somebody else pushed; fetch, replay, try again."""


IN_THE_WAY: Final = re.compile(r"'refs/heads/[^']+' exists; cannot create")
"""Git's message if a branch has the name of the directory that ours would be in."""

_HOSTS_WORDS: Final = _any(
    r"^remote: (error: )?GH006:", r"^remote: GitLab: You are not allowed to push",
    r"^remote: FATAL: [W+-].{0,200} DENIED",
)  # fmt: skip
"""How the line begins by which a host reports a protected branch: GitHub, GitLab, gitolite."""

_HOST_SAYS_PROTECTED: Final = re.compile(_HOSTS_WORDS.pattern, re.MULTILINE)
_PROTECTED: Final = _any("protected branch", "deny updating")
_CONTENT: Final = _any("hook declined", "rule violations", "push declined")
_NO_ROOM: Final = _any("no space left", "disk quota exceeded")
_NO_ACCESS: Final = _any(
    r"unable to (create|write)", "insufficient permission", "read-only file"
)


def rejection(reason: str, stderr: str) -> RemoteFailure:
    """The failure behind a `! … [remote rejected] (reason)` of `git push --porcelain`.

    git's reason decides. A hook may print anything, so its words decide nothing; only lines that
    begin as the large hosts' own do are believed. Where the remote could not unpack what was
    pushed, and its disk is not to blame, it refused an object: the edit at fault can be found.
    """
    words = _shortened(stderr)
    lines = [line for line in words.splitlines() if line.startswith("remote:")]
    detail = f"{reason}: {' '.join(lines)}" if lines else reason
    if _PROTECTED.search(reason) or _HOST_SAYS_PROTECTED.search(words):
        return RemoteFailure(RemoteState.PROTECTED, detail)
    if _CONTENT.search(reason):
        return RemoteFailure(RemoteState.DECLINED, detail)
    if "unpacker error" in reason or "unpack" in reason:
        if _NO_ROOM.search(words):
            return RemoteFailure(RemoteState.FULL, detail)
        state = (
            RemoteState.READ_ONLY
            if _NO_ACCESS.search(words)
            else RemoteState.DECLINED
        )
        return RemoteFailure(state, detail)
    failure = transport_failure(f"{reason}\n{words}")
    state = (
        RemoteState.DECLINED
        if failure.state is RemoteState.FAILED
        else failure.state
    )
    return RemoteFailure(state, detail)
