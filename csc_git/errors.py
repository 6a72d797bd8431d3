"""Every error that csc-git raises on purpose, as a tree.

Each message has three parts for the person or model that reads it: what happened, what is still
safe, and what to do next. No message suggests a command that destroys anything.

```
CscError
 ├─ InputError                an argument that is not valid; nothing was changed
 │   ├─ InvalidName           scope, key, session or machine name
 │   ├─ InvalidValue          not JSON, or nested too deep
 │   ├─ ValueTooLarge
 │   ├─ InvalidPattern        a glob that can't be parsed
 │   ├─ InvalidMoment         neither a time nor a commit
 │   ├─ NoSuchCommit
 │   ├─ NoSuchConflict
 │   ├─ CursorExpired         a cursor of the change feed that is too old
 │   ├─ ReservedScope         a scope that csc-git itself keeps
 │   └─ LooksLikeSecret       a value that seems to contain a credential
 ├─ SetupError                the project or its settings
 │   ├─ GitMissing            no `git` on PATH
 │   ├─ NotARepository
 │   ├─ ForeignRepository     owned by another user
 │   └─ InvalidSetting
 ├─ StoreError                csc-git's own repository
 │   ├─ StorageFailed         disk full, permission, I/O error
 │   ├─ FormatTooNew          written by a later csc-git
 │   ├─ StoreDamaged          an object is missing or unreadable
 │   │   └─ WrongType         an object has another type than expected
 │   ├─ UnreadableValue       a file of the branch that somebody edited by hand
 │   ├─ StoreGone             our repository was deleted or moved while a process used it
 │   ├─ NotRotated            the branch could not be given a shorter history
 │   ├─ RemoteFailure         an exchange with the remote ended in a state other than OK
 │   │   └─ NotAtomic         the remote can't move several branches in one step
 │   ├─ LostRace              somebody else pushed first
 │   ├─ ObjectTooLarge        an object that is larger than csc-git reads
 │   └─ TreeNotListed         git can't list everything below a tree in one call
 ├─ SessionError
 │   ├─ NotSignedOn
 │   ├─ SessionTaken
 │   ├─ SessionFenced         another session has the session's name now
 │   └─ ClaimLost             the session has lost a claim
 ├─ ConditionFailed           a conditional edit whose condition doesn't hold
 └─ Interrupted               a person or the system ended the command
```

If the *remote* fails, a caller of the coordinator gets no error, because local work can go on.
Instead, the failure becomes the state of sync. `RemoteFailure` is defined in
`csc_git.core.remote_failure`. Callers of the store never get `LostRace`, `ObjectTooLarge` or
`TreeNotListed` either. The store tries again, or reads the object in another way.
"""


class CscError(Exception):
    """The base class of all errors that csc-git raises on purpose.

    Args:
        what: What happened: one sentence without a full stop.
        safe: What is still safe. If empty, the default text of the class is used.
        then: What to do next. If empty, the default text of the class is used.
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
    """An argument that is not valid. Nothing was changed."""


class InvalidName(InputError):
    """A scope, key, session name or machine name that is not valid."""


class InvalidValue(InputError):
    """A value that is not valid JSON by RFC 8259 and I-JSON, or that is nested too deeply."""

    then = "Send a JSON value: object, array, string, finite number, boolean or null"


class ValueTooLarge(InputError):
    """A value whose JSON is longer than the project's limit."""

    then = "Split it over several keys, or keep it in a file of the project and store its path"


class InvalidPattern(InputError):
    """A glob that can't be parsed."""

    then = "Use *, ? and [abc] as in a shell, for example issue:*"


class InvalidMoment(InputError):
    """A text that is neither a time in the past nor a commit."""

    then = "Give a time such as 2026-11-22T18:05Z or 2h (ago), or a commit"


class NoSuchCommit(InputError):
    """A commit that this clone doesn't have."""

    then = "Look for the commit in the history, or sync first"


class NoSuchConflict(InputError):
    """A conflict that is not open."""

    then = (
        "List the open conflicts with list_conflicts, or with csc-git conflicts"
    )


class CursorExpired(InputError):
    """A cursor whose snapshot this clone no longer has."""

    then = "Read again what you need, then continue without a cursor"


class ReservedScope(InputError):
    """A scope that only csc-git itself may write to."""


class LooksLikeSecret(InputError):
    """A value that seems to contain a credential. After a push, nobody could remove the value."""

    safe = "Nothing was stored, here or on the remote"
    then = (
        "Store where the secret is kept, not the secret. If it is not a secret, repeat the call "
        "with allow_secret (csc-git set --allow-secret) and a reason, which the history keeps"
    )


class SetupError(CscError):
    """The project or its settings must be changed before csc-git can work."""


class NotARepository(SetupError):
    """There is no usable Git repository at or above the directory."""

    then = "Start csc-git inside a Git repository, or make a repository with: git init"


class GitMissing(SetupError):
    """There is no `git` on PATH."""

    safe = "The data are safe"
    then = "Install git, or put it on the PATH of the MCP client"

    def __init__(self) -> None:
        super().__init__("There is no git on PATH")


class ForeignRepository(SetupError):
    """The repository belongs to another user; git itself would refuse the repository too."""


class InvalidSetting(SetupError):
    """A setting whose value can't be used."""


class StoreError(CscError):
    """csc-git's own repository can't do what was asked."""


class StorageFailed(StoreError):
    """The disk refused to read or write: it is full or read-only, or there is another error."""

    safe = "The edit was not stored; everything stored before is unharmed"
    then = "Free some space or repair the permissions, then try again"


def as_csc_error(error: "CscError | OSError") -> CscError:
    """Return an error of csc-git unchanged, and any other error as a `StorageFailed`."""
    if isinstance(error, CscError):
        return error
    where = f" ({error.filename})" if error.filename else ""
    return StorageFailed(
        f"The disk refused: {error.strerror or error}{where}",
        safe="Everything stored before is unharmed",
    )


class FormatTooNew(StoreError):
    """A later version of csc-git wrote the branch, in a later format."""

    then = "Upgrade csc-git on this machine too"


class StoreDamaged(StoreError):
    """An object that must be there is missing or unreadable."""

    safe = "The edits on the remote are unharmed"
    then = (
        "Move <git dir>/csc/state.git to another place and keep it, since it contains the edits "
        "that are not pushed yet. The next start makes a new repository from the remote"
    )


class WrongType(StoreDamaged):
    """An object has another type than expected, for example a tree where a value should be.

    The disk is not the cause: somebody pushed the object in this form.
    """


class StoreGone(StoreError):
    """The directory of csc-git's own repository was deleted, moved or replaced during use."""

    safe = (
        "The edits on the remote are unharmed. Edits that were not pushed are still in the "
        "directory if it was moved, and are lost if it was deleted"
    )
    then = (
        "Call sign_on first. The call opens the store again, and reads it from the remote if "
        "necessary"
    )


class UnreadableValue(StoreError):
    """A file of the branch does not have csc-git's format. Somebody edited the file by hand."""

    then = "Store the value again, or read an earlier one with at (csc-git get --at)"


class LostRace(StoreError):
    """Another clone pushed between our fetch and our push. The caller fetches and tries again."""


class ObjectTooLarge(StoreError):
    """An object of the store that is larger than the limit for reading.

    Args:
        size: The object's size in bytes.
    """

    def __init__(self, size: int) -> None:
        super().__init__(f"An object has {size:,} bytes")
        self.size = size


class TreeNotListed(StoreError):
    """git can't list everything below a tree in one call; trees must be read one by one."""

    def __init__(self) -> None:
        super().__init__("git can't list everything below a tree in one call")


class NotRotated(StoreError):
    """The branch could not be replaced by a branch with a shorter history."""

    safe = "The branch and all edits are unchanged"


class SessionError(CscError):
    """A session that can't do what was asked."""


class NotSignedOn(SessionError):
    """A caller wants to write, but has not signed on at this server."""

    then = "Call sign_on first, then repeat the call"


class SessionTaken(SessionError):
    """Another session uses the name that was asked for."""


class SessionFenced(SessionError):
    """The session has lost its name to another session.

    Args:
        what: What happened: one sentence without a full stop.
        session: The session's name.
        safe: What is still safe. If empty, the default text of the class is used.
        then: What to do next. If empty, the default text of the class is used.
    """

    then = "Call sign_on to go on"

    def __init__(
        self, what: str, session: str, *, safe: str = "", then: str = ""
    ) -> None:
        super().__init__(what, safe=safe, then=then)
        self.session = session


class ClaimLost(SessionError):
    """The session has lost a claim. The error is raised once for each lost claim."""

    then = (
        "Stop work on the resource, or agree with the session that has the claim now. "
        "Then repeat the call"
    )


class ConditionFailed(CscError):
    """A conditional edit whose condition does not hold."""

    then = "Read the value again, then decide again"


class Interrupted(CscError):
    """The command was ended by Ctrl-C or SIGTERM."""
