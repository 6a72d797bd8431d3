"""Every error that csc-git raises on purpose, as a tree.

Each message has three parts, written for the person or model that reads it: what happened, what
is still safe, and what to do next. None suggests a command that destroys anything.

```
CscError
 ├─ InputError                an argument we can't take; nothing was changed
 │   ├─ InvalidName           scope, key, session or machine name
 │   ├─ InvalidValue          not JSON, or nested too deep
 │   ├─ ValueTooLarge
 │   ├─ InvalidPattern        a glob that can't be parsed
 │   ├─ InvalidMoment         neither a time nor a commit
 │   ├─ NoSuchCommit
 │   ├─ NoSuchConflict
 │   ├─ CursorExpired         of a change feed, too old
 │   ├─ ReservedScope         a scope that csc-git itself keeps
 │   └─ LooksLikeSecret       a value that seems to hold a credential
 ├─ SetupError                the project or its settings
 │   ├─ GitMissing            no `git` on PATH
 │   ├─ NotARepository
 │   ├─ ForeignRepository     owned by another user
 │   └─ InvalidSetting
 ├─ StoreError                our own repository
 │   ├─ StorageFailed         disk full, permission, I/O error
 │   ├─ FormatTooNew          written by a later csc-git
 │   ├─ StoreDamaged          an object is missing or unreadable
 │   │   └─ WrongType         of another type than expected
 │   ├─ UnreadableValue       a file of the branch that somebody edited by hand
 │   ├─ StoreGone             our repository was deleted or moved under a running process
 │   ├─ NotRotated            the remote keeps the branch as it is
 │   ├─ RemoteFailure         an exchange with the remote ended in a state other than OK
 │   │   └─ NotAtomic         the remote can't move several branches in one step
 │   ├─ LostRace              somebody else pushed first
 │   ├─ ObjectTooLarge        an object that is larger than anything we read
 │   └─ TreeNotListed         git can't list a tree at once
 ├─ SessionError
 │   ├─ NotSignedOn
 │   ├─ SessionTaken
 │   ├─ SessionFenced         the name belongs to somebody else now
 │   └─ ClaimLost             a claim that the session had is no longer its own
 ├─ ConditionFailed           a conditional edit whose condition doesn't hold
 └─ Interrupted               a person or the system ended the command
```

A failure of the *remote* raises no error for a caller of the coordinator, because local work goes
on: `RemoteFailure` (defined beside the states, in `csc_git.core.remote_failure`) becomes the state
of sync. `LostRace`, `ObjectTooLarge` and `TreeNotListed` do not leave the store either: it tries
again, or reads another way.
"""


class CscError(Exception):
    """Base of all our errors.

    Args:
        what: What happened, one sentence without a full stop.
        safe: What is still safe.
        then: What to do next.
    """

    safe = "Nothing was changed"
    then = ""

    def __init__(self, what: str, *, safe: str = "", then: str = "") -> None:
        self.what = what
        self.safe = safe or self.safe
        self.then = then or self.then
        super().__init__(str(self))

    def __str__(self) -> str:
        return " ".join(
            f"{part}." for part in (self.what, self.safe, self.then) if part
        )


class InputError(CscError):
    """An argument that can't be taken."""


class InvalidName(InputError):
    """A scope, key, session or machine name outside the grammar."""


class InvalidValue(InputError):
    """A value that is not JSON as RFC 8259 and I-JSON have it, or nested past the limit."""

    then = "Send a JSON value: object, array, string, finite number, boolean or null"


class ValueTooLarge(InputError):
    """A value whose JSON is longer than the project's limit."""

    then = "Split it over several keys, or keep it in a file of the project and store its path"


class InvalidPattern(InputError):
    """A glob that can't be parsed."""

    then = "Use *, ? and [abc] as in a shell, for example issue:*"


class InvalidMoment(InputError):
    """A text that names no point of the past."""

    then = "Give a time such as 2026-11-22T18:05Z or 2h (ago), or a commit"


class NoSuchCommit(InputError):
    """A commit that this clone doesn't have."""

    then = "Look it up in the history, or sync first"


class NoSuchConflict(InputError):
    """A conflict that is not open."""

    then = "See which are open with list_conflicts, or csc-git conflicts"


class CursorExpired(InputError):
    """A cursor whose snapshot is gone from this clone."""

    then = "Read what you need again, then continue without a cursor"


class ReservedScope(InputError):
    """A scope that csc-git keeps for itself."""


class LooksLikeSecret(InputError):
    """A value that seems to hold a credential; once pushed, it could not be taken back."""

    safe = "Nothing was stored, here or on the remote"
    then = (
        "Store where the secret is kept, not the secret. If it is not a secret, repeat with "
        "allow_secret (csc-git set --allow-secret) and the reason, which the history keeps"
    )


class SetupError(CscError):
    """The project or its settings stand in the way."""


class NotARepository(SetupError):
    """No Git repository at or above the directory."""

    then = "Start it inside a Git repository, or make one with: git init"


class GitMissing(SetupError):
    """There is no `git` on PATH."""

    safe = "The data are safe"
    then = "Install git, or put it on the PATH of the MCP client"

    def __init__(self) -> None:
        super().__init__("There is no git on PATH")


class ForeignRepository(SetupError):
    """The repository belongs to another user; git itself would refuse it too."""


class InvalidSetting(SetupError):
    """A setting whose value can't be used."""


class StoreError(CscError):
    """Our own repository can't do what was asked."""


class StorageFailed(StoreError):
    """The disk refused: full, read-only, no permission, I/O error."""

    safe = "The edit was not stored; everything stored before is unharmed"
    then = "Free some space or repair the permissions, then try again"


def as_csc_error(error: "CscError | OSError") -> CscError:
    """An error of the system as one of ours; one of ours as it is."""
    if isinstance(error, CscError):
        return error
    where = f" ({error.filename})" if error.filename else ""
    return StorageFailed(
        f"The disk refused: {error.strerror or error}{where}",
        safe="Everything stored before is unharmed",
    )


class FormatTooNew(StoreError):
    """The branch was written by a csc-git that knows a later format."""

    then = "Upgrade csc-git here too"


class StoreDamaged(StoreError):
    """An object that must be there is missing or unreadable."""

    safe = "What the remote has is unharmed"
    then = (
        "Move <git dir>/csc/state.git aside and keep it, since edits not yet pushed are in it; "
        "the next start makes a new one from the remote"
    )


class WrongType(StoreDamaged):
    """An object has another type than expected: a tree where a value should be.

    Somebody pushed it like that; the disk is not the cause.
    """


class StoreGone(StoreError):
    """The directory of our repository was deleted, moved or replaced while it was in use."""

    safe = (
        "What the remote has is unharmed; edits that were not pushed are where that directory is "
        "now, or were deleted with it"
    )
    then = "The next call opens the store again, from the remote if need be: call sign_on first"


class UnreadableValue(StoreError):
    """A file of the branch is not JSON that csc-git wrote; somebody edited it by hand."""

    then = "Store the value again, or read an earlier one with at (csc-git get --at)"


class LostRace(StoreError):
    """Somebody else pushed between our fetch and our push. The caller fetches and tries again."""


class ObjectTooLarge(StoreError):
    """An object of the store that is larger than anything csc-git reads.

    Args:
        size: Its size in bytes.
    """

    def __init__(self, size: int) -> None:
        super().__init__(f"An object has {size:,} bytes")
        self.size = size


class TreeNotListed(StoreError):
    """A tree that git can't list at once; it can be read one tree at a time."""

    def __init__(self) -> None:
        super().__init__("A tree can't be listed at once")


class NotRotated(StoreError):
    """A branch that could not be replaced by a shorter one."""

    safe = "The branch and all edits are as they were"


class SessionError(CscError):
    """A session that can't do what was asked."""


class NotSignedOn(SessionError):
    """A write without a session of this server."""

    then = "Call sign_on first, then repeat the call"


class SessionTaken(SessionError):
    """The name asked for is in use."""


class SessionFenced(SessionError):
    """The session's name belongs to somebody else now.

    Args:
        what: As of every error; so are `safe` and `then`.
        session: The name.
    """

    then = "Call sign_on to go on"

    def __init__(
        self, what: str, session: str, *, safe: str = "", then: str = ""
    ) -> None:
        super().__init__(what, safe=safe, then=then)
        self.session = session


class ClaimLost(SessionError):
    """A claim that the session had is no longer its own. Raised once."""

    then = "Stop work on it, or agree with its new owner. Then repeat the call"


class ConditionFailed(CscError):
    """A conditional edit whose condition does not hold."""

    then = "Read the value again, then decide again"


class Interrupted(CscError):
    """The command was ended by Ctrl-C or SIGTERM."""
