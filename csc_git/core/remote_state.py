"""The states of the sync with the remote.

Two situations are different states only if a person has to do different things about them. No
state loses data: the queue is kept, local work goes on, and the sync is tried again. What a person
has to decide or repair is in the text of what to do next.
"""

from enum import StrEnum
from typing import Final

from csc_git.text import span


class RemoteState(StrEnum):
    """State of the sync with the remote."""

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
    {
        RemoteState.DELETED,
        RemoteState.BEHIND,
        RemoteState.REWRITTEN,
        RemoteState.OTHER_STORE,
    }
)
"""States that are seen when a remote takes the place of the one that was synced with before."""

PASSING: Final = frozenset(
    {
        RemoteState.OK,
        RemoteState.UNREACHABLE,
        RemoteState.TIMEOUT,
        RemoteState.CONTENDED,
        RemoteState.FULL,
    }
)
"""States that may end within moments although nobody does anything."""

_PERSON: Final = (
    "A person decides how to go on: csc-git doctor lists the choices"
)
"""No text that a model reads contains the commands themselves, since they change the data of all.
"""

_WORDS: Final[dict[RemoteState, tuple[str, str]]] = {
    RemoteState.OK: ("In step with the remote", ""),
    RemoteState.NEVER: (
        "The remote has not been asked yet",
        "A server asks, or csc-git sync",
    ),
    RemoteState.OFF: (
        "Sync is switched off",
        "To switch it on: git config csc.sync true",
    ),
    RemoteState.NO_GIT: (
        "There is no git on PATH, and csc-git needs it to reach the remote",
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
        "Pushes go to another repository than fetches come from",
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
    RemoteState.FULL: (
        "The remote's disk is full",
        "Tell its administrator. csc-git retries",
    ),
    RemoteState.PROTECTED: (
        "The remote protects the branch against pushes",
        "Allow pushes to it in the host's branch rules, or use another: git config csc.branch NAME",
    ),
    RemoteState.DECLINED: (
        "A hook of the remote declined the push",
        "See its message. csc-git retries; an edit that is at fault is parked by itself",
    ),
    RemoteState.EMPTY: (
        "The remote has no branch yet, and our first push would become its default branch",
        (
            "Push your project first, or declare that the remote exists for csc-git: "
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
        "The branch on the remote was not made by csc-git",
        (
            "Choose another branch name: git config csc.branch NAME. If the remote has a branch "
            "called csc, choose one that does not start with csc/. csc-git doctor then shows "
            "how to take queued edits along"
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
        "Other clones pushed first each time; no push of this round succeeded",
        "A running server retries, or csc-git sync",
    ),
    RemoteState.STORAGE: (
        "The local disk failed while syncing",
        (
            "Free some space, repair the permissions of <git dir>/csc, or see csc-git doctor. "
            "csc-git retries"
        ),
    ),
    RemoteState.FAILED: (
        "The exchange with the remote failed",
        "See git's message. csc-git retries",
    ),
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
"""What a person can do in a state that needs a decision. Each command first shows what it would do,
and asks.
"""


_OWN_WORDS: Final = frozenset(
    {
        RemoteState.NO_REMOTE,
        RemoteState.PUSHED_ELSEWHERE,
        RemoteState.TIMEOUT,
        RemoteState.DELETED,
        RemoteState.BEHIND,
        RemoteState.REWRITTEN,
        RemoteState.TOO_NEW,
        RemoteState.CONTENDED,
    }
)
"""States whose detail is in csc-git's words, not in git's or the remote's."""


def describe(
    state: RemoteState, detail: str = "", *, earlier: str = ""
) -> tuple[str, str]:
    """Return what happened, and what to do next.

    Args:
        state: The state of the sync.
        detail: What is known besides the state, or empty. The words of git or of the remote are put
            in quotes that nothing in them can close.
        earlier: URL of the remote that was synced with before, if it is another one.
    """
    if earlier:
        what = f"The remote has nothing of this clone's: {of_another(earlier)}"
        return what, _WHICH_REMOTE
    what, then = _WORDS[state]
    if not detail:
        return what, then
    if state in _OWN_WORDS:
        return f"{what} ({detail})", then
    quoted = detail.replace('"', "'")
    return f'{what} ("{quoted}")', then


_WHICH_REMOTE: Final = (
    "Edits wait here. A person decides which remote is right: "
    "csc-git doctor lists the choices"
)


def of_another(earlier: str) -> str:
    """Describe a remote that is not the one synced with before, whose URL is given."""
    return f"it is another remote than {earlier}, which was synced with before"


def choices(state: RemoteState, *, earlier: str = "") -> str:
    """Return how a person can go on from a state that needs a decision; empty for other states.

    Args:
        state: The state of the sync.
        earlier: URL of the remote that was synced with before, if it is another one.
    """
    if not earlier:
        return CHOICES.get(state, "")
    back = f"To use the earlier remote again: git config csc.remote {earlier}"
    if state is not RemoteState.DELETED:
        return back
    return (
        f"{back}. To publish this clone's data on the new remote, where everyone with read access "
        "can see it: csc-git sync --recreate"
    )


_RECENT: Final = 60.0
"""Seconds since the last contact after which a description also gives its age."""

UNCONFIRMED: Final = (
    "The remote has not confirmed it in time",
    "A running server retries",
)
"""What happened and what to do next, for an edit that still waits while all is well."""


def describe_ok(queued: int, age: float | None) -> str:
    """Describe the state OK.

    Args:
        queued: How many edits wait to be pushed.
        age: Seconds since the last contact; None if there was none.
    """
    if queued:
        return "Edits here wait to be pushed"
    if age is not None and age > _RECENT:
        return (
            f"In step with the remote when it was last asked, {span(age)} ago"
        )
    return _WORDS[RemoteState.OK][0]
