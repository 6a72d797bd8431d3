"""What can be wrong with the remote, told apart by what a person has to do about it.

None of these loses anything: the queue stays, and everything local goes on. All are tried again;
what a person must decide, or mend, is said in what to do next.
"""

import re
from enum import StrEnum
from typing import Final

from csc_git.git.words import readable


class RemoteState(StrEnum):
    """How things stand with the remote."""

    OK = "ok"
    NEVER = "never-synced"
    OFF = "off"
    NO_GIT = "no-git"
    NO_REMOTE = "no-remote"
    BAD_URL = "bad-url"
    PUSHED_ELSEWHERE = "pushed-elsewhere"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CREDENTIALS = "credentials"
    HOST_KEY = "host-key"
    NOT_FOUND = "not-found"
    READ_ONLY = "read-only"
    FULL = "remote-full"
    PROTECTED = "protected"
    DECLINED = "declined"
    EMPTY = "empty-remote"
    DELETED = "branch-deleted"
    BEHIND = "remote-behind"
    REWRITTEN = "history-rewritten"
    OTHER_STORE = "other-store"
    NOT_A_STORE = "not-a-store"
    TOO_NEW = "format-too-new"
    OBJECT_FORMAT = "object-format"
    CONTENDED = "contended"
    STORAGE = "local-storage"
    FAILED = "failed"


OF_ANOTHER_REMOTE: Final = frozenset(
    {RemoteState.DELETED, RemoteState.BEHIND, RemoteState.REWRITTEN, RemoteState.OTHER_STORE}
)
"""What is seen of a remote that takes the place of the one synced with before."""

PASSING: Final = frozenset({
    RemoteState.OK, RemoteState.UNREACHABLE, RemoteState.TIMEOUT, RemoteState.CONTENDED,
    RemoteState.FULL,
})  # fmt: skip
"""States that may be over in a moment, without anybody's help."""

_PERSON: Final = "A person decides how to go on: csc-git doctor lists the choices"
"""The commands themselves change what everybody has, so no text that a model reads has them."""

_WORDS: Final[dict[RemoteState, tuple[str, str]]] = {
    RemoteState.OK: ("In step with the remote", ""),
    RemoteState.NEVER: (
        "The remote has not been asked yet",
        "A server asks, or csc-git sync",
    ),
    RemoteState.OFF: ("Sync is switched off", "To switch it on: git config csc.sync true"),
    RemoteState.NO_GIT: (
        "There is no git on PATH, and only git talks to the remote",
        "Install git, or put it on the PATH of the MCP client",
    ),
    RemoteState.NO_REMOTE: (
        "The repository has no remote to sync with",
        "Add one (git remote add NAME URL) or name one: git config csc.remote NAME-OR-URL",
    ),
    RemoteState.BAD_URL: (
        "The remote's URL is not one csc-git will use",
        "Use https, http, ssh, git, file or a path: git config csc.remote NAME-OR-URL",
    ),
    RemoteState.PUSHED_ELSEWHERE: (
        "Pushes go to another repository than the one that is fetched from",
        (
            "Others would not see your edits. Use a remote that is one repository for both "
            "(git config csc.remote NAME-OR-URL), or see pushurl and pushInsteadOf in git config"
        ),
    ),
    RemoteState.UNREACHABLE: (
        "The remote can't be reached",
        "A running server retries, or csc-git sync. If others can reach it, check proxy and VPN",
    ),
    RemoteState.TIMEOUT: (
        "The remote did not answer in time",
        (
            "A running server retries, or csc-git sync. "
            "To allow more time: git config csc.timeout SECONDS"
        ),
    ),
    RemoteState.CREDENTIALS: (
        "The remote did not accept our credentials, or there are none",
        (
            "Run git fetch yourself once; if that works, the MCP client's environment lacks what "
            "your shell has (SSH_AUTH_SOCK, or a credential helper)"
        ),
    ),
    RemoteState.HOST_KEY: (
        "The remote's ssh host key is not known here, or it changed",
        "Run git fetch yourself once and check the key",
    ),
    RemoteState.NOT_FOUND: (
        "There is no repository at the remote's URL, or we may not see it",
        "Check the URL (git remote -v) and your access",
    ),
    RemoteState.READ_ONLY: (
        "We may read the remote but not write to it",
        "Ask for write access, or sync elsewhere: git config csc.remote NAME-OR-URL",
    ),
    RemoteState.FULL: ("The remote's disk is full", "Tell whoever runs it; it is retried"),
    RemoteState.PROTECTED: (
        "The remote protects the branch against pushes",
        "Allow pushes to it in the host's branch rules, or use another: git config csc.branch NAME",
    ),
    RemoteState.DECLINED: (
        "A hook of the remote declined the push",
        "See its words; it is retried. If one edit is at fault it is held back by itself",
    ),
    RemoteState.EMPTY: (
        "The remote has no branch yet, and our first push would become its default branch",
        (
            "Push your project first, or say that the remote exists for this: "
            "git config csc.dedicated true"
        ),
    ),
    RemoteState.DELETED: (
        "The remote no longer has the branch that was there before",
        f"Nothing here is lost, and edits wait in the queue. {_PERSON}",
    ),
    RemoteState.BEHIND: (
        "The remote's branch is behind what the remote had confirmed",
        f"It was rewound or restored from a backup; this clone still has all edits. {_PERSON}",
    ),
    RemoteState.REWRITTEN: (
        "The remote's branch was rewritten and no longer contains what it had confirmed",
        f"This clone still has all edits. {_PERSON}",
    ),
    RemoteState.OTHER_STORE: (
        "The remote's branch belongs to another store than this clone's",
        f"Nothing here is lost, and edits wait in the queue. {_PERSON}",
    ),
    RemoteState.NOT_A_STORE: (
        "What the remote has in our branch's place was not made by csc-git",
        (
            "Use another name, which begins otherwise if a branch is called as its beginning: "
            "git config csc.branch NAME. csc-git doctor then says how to take queued edits along"
        ),
    ),
    RemoteState.TOO_NEW: (
        "A later csc-git wrote edits that this one can't read",
        "Upgrade csc-git here, the way it was installed",
    ),
    RemoteState.OBJECT_FORMAT: (
        "The remote uses another object format (SHA-1 or SHA-256) than this clone's store",
        "Use a remote of the same format: git config csc.remote NAME-OR-URL",
    ),
    RemoteState.CONTENDED: (
        "Others kept pushing first; no attempt of this round got through",
        "A running server retries, or csc-git sync",
    ),
    RemoteState.STORAGE: (
        "The local disk failed while syncing",
        (
            "Free some space, mend the permissions of <git dir>/csc, or see csc-git doctor; "
            "it is retried"
        ),
    ),
    RemoteState.FAILED: ("Talking to the remote failed", "See git's own words; it is retried"),
}


CHOICES: Final[dict[RemoteState, str]] = {
    RemoteState.DELETED: (
        "If nobody meant to delete it, put this clone's copy back: csc-git sync --recreate"
    ),
    RemoteState.BEHIND: (
        "To push the missing edits again: csc-git sync --restore. "
        "If they were removed on purpose: csc-git sync --accept-rewrite"
    ),
    RemoteState.REWRITTEN: (
        "Ask who rewrote it and why. To take the remote's history and drop confirmed edits that it "
        "lacks: csc-git sync --accept-rewrite. To make those edits again on top of it: "
        "csc-git sync --restore"
    ),
    RemoteState.OTHER_STORE: (
        "If this is the wrong remote or branch, correct csc.remote or csc.branch. If the branch "
        "was deleted and founded again, bring both stores' values together: csc-git sync --join"
    ),
}
"""How a person can go on from a state that waits for a decision. Each command first shows what it
would do, and asks.
"""


def describe(state: RemoteState, detail: str = "") -> tuple[str, str]:
    """What happened, with the remote's own words in quotes that they can't close; what to do."""
    what, then = _WORDS[state]
    if not detail:
        return what, then
    quoted = detail.replace('"', "'")
    return f'{what} ("{quoted}")', then


class RemoteFailure(Exception):
    """An attempt to talk to the remote ended in a state other than OK.

    Args:
        state: Which one.
        detail: The remote's or git's own words; made fit to be shown.
    """

    def __init__(self, state: RemoteState, detail: str = "") -> None:
        self.state, self.detail = state, readable(_telling(_shortened(detail)), _LONGEST_DETAIL)
        super().__init__(describe(state, self.detail)[0])


_LONGEST: Final = 4096
"""Characters at each end of what a remote printed that are looked at: it may print any amount."""

_LONGEST_DETAIL: Final = 400


def _shortened(text: str) -> str:
    """The beginning and the end of a text; a remote may print a megabyte on one line."""
    if len(text) <= 2 * _LONGEST:
        return text
    return f"{text[:_LONGEST]}\n{text[-_LONGEST:]}"


_UNTELLING: Final = re.compile(
    r"fatal: Could not read from remote repository\.|and the repository exists\.|\s*"
    r"|Please make sure you have the correct access rights"
)
"""Lines that git ends with whatever happened."""


def _telling(stderr: str) -> str:
    """What git says, without what it says of every failure."""
    lines = [line.strip() for line in stderr.splitlines()]
    told = [line for line in lines if not _UNTELLING.fullmatch(line)]
    return "; ".join(told or filter(None, lines))


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


_BROKEN: Final = re.compile(r"(packed|loose) object \w+ .*is corrupt|inflate: data stream error")


def is_broken_here(stderr: str) -> bool:
    """Whether git gave up because an object of our own repository is not what was written."""
    return _BROKEN.search(_own(_shortened(stderr))) is not None


def _own(stderr: str) -> str:
    """What git says of this side."""
    return "\n".join(line for line in stderr.splitlines() if not line.startswith("remote:"))


def fetch_failure(stderr: str) -> RemoteFailure:
    """The failure of a fetch: what was refused a place on a disk was refused it here."""
    if is_broken_here(stderr):
        return RemoteFailure(RemoteState.STORAGE, stderr)
    failure = transport_failure(stderr)
    suspect = failure.state in {RemoteState.READ_ONLY, RemoteState.FULL, RemoteState.FAILED}
    if suspect and _HERE.search(_own(_shortened(stderr))):
        return RemoteFailure(RemoteState.STORAGE, stderr)
    return failure


LOST_RACE: Final = _any(
    "fetch first", "non-fast-forward", "stale info", "failed to update ref", "cannot lock ref",
    "failed to lock", "incorrect old value", "reference already exists",
)  # fmt: skip
"""Reasons for a rejected push that mean: somebody else pushed; fetch, replay, try again."""


IN_THE_WAY: Final = re.compile(r"'refs/heads/[^']+' exists; cannot create")
"""What git says where a branch is called as the directory in which ours would be."""

_HOSTS_WORDS: Final = _any(
    r"^remote: (error: )?GH006:", r"^remote: GitLab: You are not allowed to push",
    r"^remote: FATAL: [W+-].{0,200} DENIED",
)  # fmt: skip
"""How hosts begin the line that says that a branch is protected: GitHub, GitLab, gitolite."""

_HOST_SAYS_PROTECTED: Final = re.compile(_HOSTS_WORDS.pattern, re.MULTILINE)
_PROTECTED: Final = _any("protected branch", "deny updating")
_CONTENT: Final = _any("hook declined", "rule violations", "push declined")
_NO_ROOM: Final = _any("no space left", "disk quota exceeded")
_NO_ACCESS: Final = _any(r"unable to (create|write)", "insufficient permission", "read-only file")


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
        state = RemoteState.READ_ONLY if _NO_ACCESS.search(words) else RemoteState.DECLINED
        return RemoteFailure(state, detail)
    failure = transport_failure(f"{reason}\n{words}")
    state = RemoteState.DECLINED if failure.state is RemoteState.FAILED else failure.state
    return RemoteFailure(state, detail)
