"""Authors: sessions, which sign on and off, and people at the command line."""

from csc_git.coordinator import clock
from csc_git.coordinator.claims import Claims
from csc_git.coordinator.edits import Author
from csc_git.coordinator.feed import Feed
from csc_git.coordinator.results.activity import SignedOff, SignedOn
from csc_git.coordinator.sessions import Sessions
from csc_git.coordinator.summary import Summary
from csc_git.coordinator.writer import Writer


class Authors:
    """Who makes edits.

    Args:
        sessions: Those of this process.
        claims: Theirs.
        writer: Asks the remote.
        feed: Gives a session its first cursor.
        summary: Tells a session who else is here.
        machine: This machine's name.
    """

    def __init__(
        self,
        sessions: Sessions,
        claims: Claims,
        writer: Writer,
        feed: Feed,
        summary: Summary,
        machine: str,
    ) -> None:
        self._sessions = sessions
        self._claims = claims
        self._writer = writer
        self._feed = feed
        self._summary = summary
        self._machine = machine

    def sign_on(self, session_id: str | None = None) -> SignedOn:
        """Claim a session's name; see `Sessions.sign_on`.

        A server asks the remote first. So the answer lists who else is here, and a name that
        somebody took just now is not taken again.
        """
        self._writer.hear()
        own = self._sessions.sign_on(session_id, clock.now())
        resumed = self._claims.resume(own)
        own.resumes = ()
        return self._summary.signed_on(own.name, str(self._feed.now()), resumed)

    def sign_off(self, session: str | None = None) -> SignedOff:
        """Give a session's name back."""
        name = self._sessions.sign_off(session, clock.now())
        return SignedOff(session=str(name))

    def session(self, handle: str | None) -> Author:
        """A session of this process as an author of edits.

        Args:
            handle: Its name; None for the first that signed on.

        Raises:
            SessionError: there is no such session, it lost its name, or it lost claims.
        """
        own = self._sessions.find(handle)
        self._claims.report_lost(own)
        return Author(
            str(own.name),
            own.lease.fence,
            lambda snapshot: self._sessions.check(own, snapshot),
        )

    def person(self, user: str) -> Author:
        """Somebody at the command line, `user@machine`, as an author of edits."""
        return Author(f"{user}@{self._machine}", None, lambda _: None)
