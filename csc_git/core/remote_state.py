"""The states of the sync with the remote.

Two situations are different states only if a person must react to them in different ways. No data
is lost in any state: the queue is kept, local work goes on, and the sync is tried again. The text
of each state describes what happened, and what a person has to decide or repair.
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
"""States in which a sync can end if the configured remote is not the remote of the last sync."""

PASSING: Final = frozenset(
    {
        RemoteState.OK,
        RemoteState.UNREACHABLE,
        RemoteState.TIMEOUT,
        RemoteState.CONTENDED,
        RemoteState.FULL,
    }
)
"""States that may end soon even if nobody does anything."""

_PERSON: Final = (
    "A person decides how to go on: csc-git doctor lists the choices"
)
"""Texts for models contain this sentence instead of the commands that a person can run. Those
commands change the data of all clones."""

_WORDS: Final[dict[RemoteState, tuple[str, str]]] = {
    RemoteState.OK: ("In step with the remote", ""),
    RemoteState.NEVER: (
        "The remote has not been asked yet",
        "A running server asks it; you can also run csc-git sync",
    ),
    RemoteState.OFF: (
        "Sync is switched off",
        "To switch sync on: git config csc.sync true",
    ),
    RemoteState.NO_GIT: (
        "There is no git on PATH, and csc-git needs it to reach the remote",
        "Install git, or put it on the PATH of the MCP client",
    ),
    RemoteState.NO_REMOTE: (
        "The repository has no remote to sync with",
        (
            "Add a remote (git remote add NAME URL), or set the remote to use: "
            "git config csc.remote NAME-OR-URL"
        ),
    ),
    RemoteState.BAD_URL: (
        "csc-git does not use URLs of the kind that the remote has",
        (
            "Set a path, or a URL that begins with https, http, ssh, git or file: "
            "git config csc.remote NAME-OR-URL"
        ),
    ),
    RemoteState.PUSHED_ELSEWHERE: (
        "The remote's URLs for fetch and for push lead to two different repositories",
        (
            "Other clones would not see your edits. Use a remote that has one repository for both "
            "(git config csc.remote NAME-OR-URL), or correct pushurl and pushInsteadOf in git's "
            "configuration"
        ),
    ),
    RemoteState.UNREACHABLE: (
        "The remote can't be reached",
        (
            "A running server tries again; you can also run csc-git sync. "
            "If other people can reach the remote, check your proxy and VPN"
        ),
    ),
    RemoteState.TIMEOUT: (
        "The remote did not answer in time",
        (
            "A running server tries again; you can also run csc-git sync. "
            "To allow more time: git config csc.timeout SECONDS"
        ),
    ),
    RemoteState.CREDENTIALS: (
        "The remote did not accept our credentials, or git found no credentials",
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
        "There is no repository at the remote's URL, or we have no permission to see it",
        "Check the URL (git remote -v) and your access",
    ),
    RemoteState.READ_ONLY: (
        "We may read the remote but not write to it",
        "Ask for write access, or sync elsewhere: git config csc.remote NAME-OR-URL",
    ),
    RemoteState.FULL: (
        "The remote's disk is full",
        "Tell the remote's administrator. csc-git tries again",
    ),
    RemoteState.PROTECTED: (
        "The remote protects the branch against pushes",
        (
            "Allow pushes to the branch in the host's branch rules, or use another branch: "
            "git config csc.branch NAME"
        ),
    ),
    RemoteState.DECLINED: (
        "A hook of the remote declined the push",
        (
            "See the hook's message. csc-git tries again. If the hook declines only some edits, "
            "csc-git parks these edits and pushes the others"
        ),
    ),
    RemoteState.EMPTY: (
        "The remote has no branch yet, and our first push would become its default branch",
        (
            "Push your project first, or declare that the remote is used only for csc-git: "
            "git config csc.dedicated true"
        ),
    ),
    RemoteState.DELETED: (
        "The remote no longer has the branch that was there before",
        f"Nothing in this clone is lost, and edits wait in the queue. {_PERSON}",
    ),
    RemoteState.BEHIND: (
        "The remote's branch lacks the newest edits that the remote had confirmed",
        (
            "The branch was rewound or restored from a backup. This clone still has all edits. "
            f"{_PERSON}"
        ),
    ),
    RemoteState.REWRITTEN: (
        "The remote's branch was rewritten and no longer contains all edits that it had confirmed",
        f"This clone still has all edits. {_PERSON}",
    ),
    RemoteState.OTHER_STORE: (
        "The remote's branch belongs to another store than this clone's",
        f"Nothing in this clone is lost, and edits wait in the queue. {_PERSON}",
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
        "A later version of csc-git wrote edits that this version can't read",
        "Upgrade csc-git on this machine, in the way in which it was installed",
    ),
    RemoteState.OBJECT_FORMAT: (
        "The remote uses another object format (SHA-1 or SHA-256) than this clone's store",
        "Use a remote of the same format: git config csc.remote NAME-OR-URL",
    ),
    RemoteState.CONTENDED: (
        "Each push of this sync failed because another clone had pushed first",
        "A running server tries again; you can also run csc-git sync",
    ),
    RemoteState.STORAGE: (
        "The local disk failed while syncing",
        (
            "Free some space, repair the permissions of <git dir>/csc, or run csc-git doctor. "
            "csc-git tries again"
        ),
    ),
    RemoteState.FAILED: (
        "The exchange with the remote failed",
        "See git's message. csc-git tries again",
    ),
}


CHOICES: Final[dict[RemoteState, str]] = {
    RemoteState.DELETED: (
        "If the branch was deleted by mistake, put this clone's copy back: csc-git sync --recreate"
    ),
    RemoteState.BEHIND: (
        "To push the missing edits again: csc-git sync --restore. "
        "If the edits were removed on purpose: csc-git sync --accept-rewrite"
    ),
    RemoteState.REWRITTEN: (
        "Ask who rewrote the branch, and why. To take the remote's history and drop the confirmed "
        "edits that it lacks: csc-git sync --accept-rewrite. To make those edits again on top of "
        "the remote's history: csc-git sync --restore"
    ),
    RemoteState.OTHER_STORE: (
        "If this is the wrong remote or branch, correct csc.remote or csc.branch. If the branch "
        "was deleted and then created again, join the values of both stores: csc-git sync --join"
    ),
}
"""What a person can do in each state that needs a decision. Each command first shows what it would
do, and asks for confirmation.
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
"""In these states, the detail is a text that csc-git wrote. In other states, the detail is a
message of git or of the remote."""


def describe(
    state: RemoteState, detail: str = "", *, earlier: str = ""
) -> tuple[str, str]:
    """Return two texts about a state: what happened, and what to do next.

    Args:
        state: The state of the sync.
        detail: More information about the state, or empty. A message of git or of the remote is put
            in quotes; quotes inside the message are replaced.
        earlier: URL of the previous remote, if this clone was synced with another remote before;
            else empty.
    """
    if earlier:
        what = f"The remote has no data of this clone: {of_another(earlier)}"
        return what, _WHICH_REMOTE
    what, then = _WORDS[state]
    if not detail:
        return what, then
    if state in _OWN_WORDS:
        return f"{what} ({detail})", then
    quoted = detail.replace('"', "'")
    return f'{what} ("{quoted}")', then


_WHICH_REMOTE: Final = (
    "Edits wait in the queue. A person decides which remote is right: "
    "csc-git doctor lists the choices"
)


def of_another(earlier: str) -> str:
    """Describe a remote that is not the earlier remote, whose URL is `earlier`."""
    return f"it is another remote than {earlier}, with which this clone synced before"


def choices(state: RemoteState, *, earlier: str = "") -> str:
    """Describe what a person can do in a state; return "" if the state needs no decision.

    Args:
        state: The state of the sync.
        earlier: URL of the previous remote, if this clone was synced with another remote before;
            else empty.
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
"""If the last contact with the remote was more than this many seconds ago, the text also
reports how long ago it was."""

UNCONFIRMED: Final = (
    "The remote has not confirmed the edit in time",
    "A running server tries again",
)
"""Two texts for an edit that still waits although the state of sync is OK: what happened, and what
to do next."""


def describe_ok(queued: int, age: float | None) -> str:
    """Describe the state OK.

    Args:
        queued: How many edits wait to be pushed.
        age: Seconds since the last contact with the remote; None if there was no contact.
    """
    if queued:
        return "Edits in this clone wait to be pushed"
    if age is not None and age > _RECENT:
        return (
            f"In step with the remote when it was last asked, {span(age)} ago"
        )
    return _WORDS[RemoteState.OK][0]
