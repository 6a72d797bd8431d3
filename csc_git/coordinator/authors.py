"""The authors of edits: sessions, which sign on and off, and people at the command line."""

from csc_git.coordinator import clock
from csc_git.coordinator.claims.claims import Claims
from csc_git.coordinator.edits import Author
from csc_git.coordinator.reading.feed import Feed
from csc_git.coordinator.reading.summary import Summary
from csc_git.coordinator.results.activity import SignedOff, SignedOn
from csc_git.coordinator.sessions.sessions import Sessions
from csc_git.coordinator.writer import Writer


class Authors:
    """Signs sessions on and off, and returns the authors of edits.

    Args:
        sessions: The sessions of this process.
        claims: The claims of this process's sessions.
        writer: The writer, which fetches from the remote before a sign-on.
        feed: The change feed, from which a new session gets its first cursor.
        summary: The object that makes the result of a sign-on, with a list of the other sessions.
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

        A server first fetches from the remote. So the result also lists the sessions of other
        clones. The fetch also prevents the sign-on from taking a name that a session of another
        clone has just taken.
        """
        self._writer.fetch_if_hopeful()
        now = clock.now()
        own = self._sessions.sign_on(session_id, now)
        resumed = self._claims.resume(own)
        own.resumes = ()
        cursor = self._feed.now()
        return self._summary.signed_on(
            own.name,
            str(cursor),
            resumed,
        )

    def sign_off(self, session: str | None = None) -> SignedOff:
        """Sign off a session, so that its name is free again."""
        now = clock.now()
        name = self._sessions.sign_off(session, now)
        return SignedOff(session=str(name))

    def session(self, handle: str | None) -> Author:
        """Return a session of this process as an author of edits.

        Args:
            handle: The name of the session. None means the session that signed on first.

        Raises:
            SessionError: there is no such session, or the session lost its name or a claim.
        """
        own = self._sessions.find(handle)
        self._claims.report_lost(own)
        return Author(
            name=str(own.name),
            fence=own.lease.fence,
            check=own.check,
        )

    def person(self, user: str) -> Author:
        """Return a person at the command line, `user@machine`, as an author of edits."""
        return Author(
            name=f"{user}@{self._machine}",
            fence=None,
            check=lambda _: None,
        )
