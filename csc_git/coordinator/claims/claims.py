"""Make, list and release claims, by which sessions announce what they work on.

A claim without a length of its own ends when its session signs off, or when the session's lease
lapses. If a new session takes over a name, the new session does not get the earlier session's
claims. A claim with a length (`ttl`) ends when that time is over, unless the session claims the
resource again before that. See `core.claim` for the rules.

When a session makes a claim, only the edits that its clone knows are checked. When the claim is
replayed, it is checked again, against the edits of other clones (`store.claiming`). So a claim is
certain only when the remote has it. Until then the claim is provisional and may still be lost. If a
claim is lost, its session is notified.
"""

import threading
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from typing import Final

from csc_git.coordinator import clock
from csc_git.coordinator.claims.active_claims import ActiveClaims
from csc_git.coordinator.claims.claim_drafts import (
    ClaimDraft,
    Wish,
    draft_claims,
    draft_release,
    draft_resumption,
)
from csc_git.coordinator.results.activity import Claimed, ClaimSummary, Released
from csc_git.coordinator.sessions.own_session import OwnSession
from csc_git.coordinator.sessions.sessions import Sessions
from csc_git.coordinator.writer import Delivered, Writer
from csc_git.core.claim import CLAIMS, Claim, Tracked, claim_key, parse_resource
from csc_git.core.clock import format_time
from csc_git.core.edit import Outcome
from csc_git.core.key import Key
from csc_git.core.lease import Instant
from csc_git.core.secret import screen
from csc_git.core.value import Json
from csc_git.errors import ClaimLost, ConditionFailed, InputError
from csc_git.store.claiming import Overlaps, claims_on
from csc_git.store.clone_id import Clone
from csc_git.store.store import Store
from csc_git.store.tree.snapshot import Snapshot, Stored
from csc_git.text import printable, readable

MOST_RESOURCES: Final = 50
MAX_NOTE: Final = 500
_TRIES: Final = 5
_GONE: Final = (
    "If the session with the claim is gone (see since and last_seen), "
    "a person can end that session with csc-git sign-off"
)
_BUSY: Final = (
    "Other clones keep claiming and releasing these resources; try again later"
)


class _Taken(ConditionFailed):
    """A resource overlaps active claims of other sessions.

    Args:
        rivals: The overlapping claims of other sessions.
    """

    def __init__(self, rivals: list[ClaimSummary]) -> None:
        super().__init__("Other sessions have claimed some of the resources")
        self.rivals = rivals


class Claims:
    """Makes, lists and releases claims for the sessions of this process.

    Args:
        store: The clone's store.
        sessions: The sessions of this process.
        clone: The id and the machine name of this clone.
        writer: The writer, which makes the edits and waits for the remote.
        tracked: A function that returns the tracked files of the user's repository. Patterns are
            compared with these files.
        longest: A claim with a length may last at most this many seconds. This is also the length
            of a lease.
    """

    def __init__(
        self,
        store: Store,
        sessions: Sessions,
        clone: Clone,
        writer: Writer,
        tracked: Tracked,
        longest: int,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._clone = clone
        self._writer = writer
        self._tracked = tracked
        self._longest = longest
        self._active = ActiveClaims(store, sessions.presence, clone)
        self.timed = self._active.timed
        self._mutex = threading.Lock()
        self._mine: dict[str, Claim] = {}
        self._lost: dict[str, list[str]] = {}

    def claim(
        self,
        session: str | None,
        resources: Sequence[str],
        note: str = "",
        ttl: int | None = None,
    ) -> Claimed:
        """Claim all of the given resources, or none of them. Wait a limited time for the remote.

        Args:
            session: The handle of the session. None means the first session that this process
                signed on.
            resources: The names, paths or patterns to claim.
            note: A text that tells other sessions what this session does with the resources.
            ttl: The length of the claims in seconds; None if the claims last as long as the
                session.

        Raises:
            InputError: there are no resources or too many, a resource is not valid, `ttl` is out of
                range, or the note is too long.
            LooksLikeSecret: the note or a resource looks like a credential.
            SessionError: no such session is signed on in this process.
            ClaimLost: the session lost an earlier claim, and has not been notified of the loss yet.
        """
        wish = self._wish(
            session,
            resources,
            note,
            ttl,
        )
        asked = False
        for _ in range(_TRIES):
            began = clock.instant()
            try:
                done = self._make(wish)
            except _Taken as found:
                if asked:
                    return _taken(found.rivals, _GONE)
                # The claim may have been released since the last sync.
                self._writer.refresh()
                asked = True
                continue
            if done.outcome is not Outcome.REFUSED:
                return self._granted(wish, done, began)
        snapshot = self._store.snapshot()
        overlap = Overlaps(self._tracked)
        rivals = self._rivals(snapshot, wish, overlap)
        return _taken(rivals, _BUSY)

    def resume(self, own: OwnSession) -> list[str]:
        """Claim again the resources that a session had claimed when its server ended.

        A resource is left out if another session has claimed an overlapping resource since then.

        Returns:
            The resources that were claimed again.
        """
        if not own.resumes:
            return []
        began = clock.instant()
        overlap = Overlaps(self._tracked)
        everything = Wish(own, own.resumes)
        # Comparing patterns is slow, so the results are computed before the lock is taken.
        before = self._store.snapshot()
        self._rivals(before, everything, overlap)

        def decide(snapshot: Snapshot) -> ClaimDraft:
            own.check(snapshot)
            free: list[Claim] = []
            for _, old in claims_on(snapshot, own.resumes):
                wish = Wish(own, (old.resource,))
                if not self._rivals(snapshot, wish, overlap):
                    free.append(old)
            return draft_resumption(
                own,
                free,
                snapshot,
                self._clone.id,
            )

        done = self._writer.make(decide)
        granted = self._granted(everything, done, began)
        return [one.resource for one in granted.claims]

    def release(
        self,
        session: str | None,
        resources: Sequence[str] | None = None,
    ) -> Released:
        """Release claims of a session.

        Args:
            session: The handle of the session. None means the first session that this process
                signed on.
            resources: The resources to release. If None, all claims of the session are released.

        Raises:
            SessionError: no such session is signed on in this process.
            InputError: a resource is not valid.
        """
        own = self._sessions.find(session)
        wanted: set[str] | None = None
        if resources is not None:
            wanted = set(map(parse_resource, resources))

        def decide(snapshot: Snapshot) -> ClaimDraft:
            own.check(snapshot)
            return draft_release(own, wanted, snapshot)

        self._forget(own, wanted)
        done = self._writer.make(decide)
        receipt = done.receipt
        names = [printable(claim.resource) for claim in receipt.draft.claims]
        return Released(
            released=names,
            op=receipt.op,
            status=done.where,
        )

    def active(
        self,
        snapshot: Snapshot,
        most: int | None = None,
    ) -> list[ClaimSummary]:
        """List the active claims that this clone knows of.

        Args:
            snapshot: The state to read.
            most: Return at most this many claims. If None, return all claims.
        """
        claims = self._active.all(snapshot)
        found = islice(claims, most)
        return [self._summary(stored, claim) for stored, claim in found]

    def notice_lost(self) -> None:
        """Find the claims that the sessions of this process lost in a sync."""
        with self._mutex:
            snapshot = self._store.snapshot()
            mine = list(self._mine.items())
            for resource, claim in mine:
                key = claim_key(resource)
                stored = snapshot.get(key)
                found = _read(stored)
                if found is not None and found.holder == claim.holder:
                    continue
                del self._mine[resource]
                notices = self._lost.setdefault(claim.session, [])
                notices.append(_notice(claim, found))

    def lost(self, session: str) -> list[str]:
        """Return notices of the claims that a session lost. Each notice is returned only once."""
        with self._mutex:
            return self._lost.pop(session, [])

    def report_lost(self, own: OwnSession) -> None:
        """Raise an error if a session lost claims and has not been notified of the loss yet.

        Raises:
            ClaimLost: the session lost claims.
        """
        notices = self.lost(str(own.name))
        if notices:
            raise ClaimLost("; ".join(notices))

    def _wish(
        self,
        session: str | None,
        resources: Sequence[str],
        note: str,
        ttl: int | None,
    ) -> Wish:
        own = self._sessions.find(session)
        self.report_lost(own)
        parsed = map(parse_resource, resources)
        wanted = tuple(dict.fromkeys(parsed))
        count = len(wanted)
        if not 1 <= count <= MOST_RESOURCES:
            raise InputError(
                f"{count} resources were given; give 1 to {MOST_RESOURCES}"
            )
        if ttl is not None and not 1 <= ttl <= self._longest:
            raise InputError(
                f"A claim of {ttl} seconds is out of range; "
                f"it can last 1 to {self._longest:,} seconds",
                then="Omit `ttl` for a claim that lasts as long as your session",
            )
        length = len(note)
        if length > MAX_NOTE:
            raise InputError(
                f"The note has {length} characters; at most {MAX_NOTE} are allowed"
            )
        key = Key(CLAIMS, "note")
        texts: list[Json] = [note, *resources]
        screen({key: texts}, reason=None)
        return Wish(
            own,
            wanted,
            note,
            ttl,
        )

    def _forget(
        self,
        own: OwnSession,
        resources: set[str] | None,
    ) -> None:
        """Forget claims of a session, so that the session gets no notice if the claims are lost.

        If `resources` is None, forget all claims of the session.
        """
        holder = own.lease.holder
        with self._mutex:
            mine = list(self._mine.items())
            for resource, claim in mine:
                is_named = resources is None or resource in resources
                if is_named and claim.holder == holder:
                    del self._mine[resource]

    def _make(self, wish: Wish) -> Delivered[ClaimDraft]:
        overlap = Overlaps(self._tracked)
        # Comparing patterns is slow, so the results are computed before the lock is taken.
        before = self._store.snapshot()
        self._rivals(before, wish, overlap)

        def decide(snapshot: Snapshot) -> ClaimDraft:
            wish.own.check(snapshot)
            rivals = self._rivals(snapshot, wish, overlap)
            if rivals:
                raise _Taken(rivals)
            return draft_claims(wish, snapshot, self._clone.id)

        return self._writer.make(decide, confirm=True)

    def _granted(
        self,
        wish: Wish,
        done: Delivered[ClaimDraft],
        began: Instant,
    ) -> Claimed:
        """Return the result of an edit of claims, and remember the claims to report a loss later.

        The length of a claim is counted from the moment when the edit began.
        """
        snapshot = self._store.snapshot()
        holder = wish.own.lease.holder
        sightings = self._sessions.presence.sightings
        mine: list[ClaimSummary] = []
        with self._mutex:
            for resource in wish.resources:
                key = claim_key(resource)
                stored = snapshot.get(key)
                claim = _read(stored)
                if stored is None or claim is None:
                    continue
                if claim.holder != holder:
                    continue  # `notice_lost` finds the claims that were lost since the edit
                self._mine[resource] = claim
                if claim.seconds is not None:
                    sightings.add(key, stored.revision, began)
                summary = self._summary(stored, claim)
                mine.append(summary)
        is_synced = done.where == "synced"
        return Claimed(
            status="granted" if is_synced else "provisional",
            claims=mine,
            op=done.receipt.op,
            reason=done.reason,
        )

    def _rivals(
        self,
        snapshot: Snapshot,
        wish: Wish,
        overlap: Overlaps,
    ) -> list[ClaimSummary]:
        """Return the active claims of other sessions that overlap the wanted resources."""
        holder = wish.own.lease.holder
        names = snapshot.names(CLAIMS)
        near = overlap.near(wish.resources, names)
        rivals: list[ClaimSummary] = []
        for stored, other in self._active.on(snapshot, near):
            if other.holder != holder:
                rival = self._summary(stored, other)
                rivals.append(rival)
        return rivals

    def _summary(
        self,
        stored: Stored,
        claim: Claim,
    ) -> ClaimSummary:
        left = self._active.left(stored, claim)
        until: str | None = None
        if left is not None:
            end = clock.now() + timedelta(seconds=left)
            until = format_time(end)
        is_confirmed = self._active.is_confirmed(stored, claim)
        last_seen = self._active.last_seen(stored, claim)
        return ClaimSummary(
            resource=printable(claim.resource),
            session=printable(claim.session),
            since=readable(claim.since, 40),
            until=until,
            note=readable(claim.note, MAX_NOTE),
            fence=claim.fence,
            revision=stored.revision,
            provisional=not is_confirmed,
            last_seen=format_time(last_seen),
        )


def _read(stored: Stored | None) -> Claim | None:
    """Return the claim in a record; None if the record does not contain a claim."""
    if stored is None:
        return None
    return Claim.from_json(stored.entry.value)


def _taken(
    rivals: list[ClaimSummary],
    reason: str,
) -> Claimed:
    return Claimed(
        status="taken",
        claims=rivals,
        op=None,
        reason=reason,
    )


def _notice(
    claim: Claim,
    found: Claim | None,
) -> str:
    """Return the text of a notice for a session that lost a claim.

    Args:
        claim: The claim as the session made it.
        found: The current claim on the same resource; None if there is no claim.
    """
    if found is None or found.state != "held":
        return f"Your claim on {claim.resource} was refused: another session was first"
    owner = printable(found.session)
    return f"Your claim on {claim.resource} is lost: {owner} has claimed it"
