"""Claims: what each session works on. See `core.claim` for the rules.

A claim without a length of its own ends when its session signs off, or when the session's lease
lapses. A session that takes over a name does not get the claims made under it before. A claim with
a length (`ttl`) ends earlier, unless it is claimed again meanwhile.

A session makes a claim by what its clone knows. When the claim is replayed, it is checked again
against the edits of other clones (`store.claiming`). So it is certain only once the remote has it;
until then it is provisional and may still be lost. If it is lost, its session is notified.
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
    "If that session is gone (see since and last_seen), "
    "a person can end it: csc-git sign-off"
)
_BUSY: Final = (
    "Other clones keep claiming and releasing this; try again in a while"
)


class _Taken(ConditionFailed):
    """A resource overlaps active claims of other sessions.

    Args:
        rivals: Those claims.
    """

    def __init__(self, rivals: list[ClaimSummary]) -> None:
        super().__init__("Other sessions have claimed some of it")
        self.rivals = rivals


class Claims:
    """The claims of this process's sessions, and what it knows of all others.

    Args:
        store: The clone's store.
        sessions: The sessions of this process.
        clone: This clone.
        writer: Makes the edits and waits for them.
        tracked: Returns the tracked files of the user's repository, to compare patterns.
        longest: The most seconds that a claim with a length may last; the length of a lease.
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
        """Claim resources, all of them or none, and wait a limited time for the remote.

        Args:
            session: The handle; None: the first session that is signed on here.
            resources: Names, paths or patterns.
            note: What the session does with them; other sessions see it.
            ttl: How many seconds the claims last; None: as long as the session.

        Raises:
            InputError: there are no resources or too many, one of them is not valid, `ttl` is out
                of range, or the note is too long.
            LooksLikeSecret: the note or a resource looks like a credential.
            SessionError: no such session is signed on here.
            ClaimLost: the session lost an earlier claim, and has not been notified of it yet.
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
        """Claim again what ended with this session's server a moment ago.

        Claims that overlap what another session has claimed meanwhile are left out.

        Returns:
            The resources that are claimed again.
        """
        if not own.resumes:
            return []
        began = clock.instant()
        overlap = Overlaps(self._tracked)
        everything = Wish(own, own.resumes)
        # Comparing patterns takes long, so it is done once before the lock is taken.
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
            session: The handle; None: the first session that is signed on here.
            resources: What to release; None: everything that the session has claimed.

        Raises:
            SessionError: no such session is signed on here.
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
            snapshot: Where to read.
            most: How many claims to return; None: all.
        """
        claims = self._active.all(snapshot)
        found = islice(claims, most)
        return [self._summary(stored, claim) for stored, claim in found]

    def notice_lost(self) -> None:
        """Find the claims of this process's sessions that a sync took from them."""
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
        """Return notices of the claims that a session lost. Each is returned once."""
        with self._mutex:
            return self._lost.pop(session, [])

    def report_lost(self, own: OwnSession) -> None:
        """Notify a session, once, of the claims that it lost.

        Raises:
            ClaimLost: it lost some.
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
                f"{count} resources were named; name 1 to {MOST_RESOURCES}"
            )
        if ttl is not None and not 1 <= ttl <= self._longest:
            raise InputError(
                f"A claim of {ttl} seconds is out of range; "
                f"it can last 1 to {self._longest:,} seconds",
                then="Leave ttl out for a claim that lasts as long as your session",
            )
        length = len(note)
        if length > MAX_NOTE:
            raise InputError(
                f"The note has {length} characters; {MAX_NOTE} is the most"
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
        """Forget claims of a session, so that it is not notified of losing them; None: all."""
        holder = own.lease.holder
        with self._mutex:
            mine = list(self._mine.items())
            for resource, claim in mine:
                is_named = resources is None or resource in resources
                if is_named and claim.holder == holder:
                    del self._mine[resource]

    def _make(self, wish: Wish) -> Delivered[ClaimDraft]:
        overlap = Overlaps(self._tracked)
        # Comparing patterns takes long, so it is done once before the lock is taken.
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
        """Answer for an edit that was made, and remember its claims as this session's.

        The length of a claim counts from the time at which the edit began.
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
                    continue  # lost since then: `notice_lost` finds it
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
        """Return the active claims of other sessions that overlap what a session asks for."""
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
    """Return the claim in a record; None if it is not a claim."""
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
    """Return what a session is notified of when it lost a claim.

    Args:
        claim: The claim as the session made it.
        found: The claim on that resource now; None if there is none.
    """
    if found is None or found.state != "held":
        return f"Your claim on {claim.resource} was refused: somebody else was first"
    owner = printable(found.session)
    return f"Your claim on {claim.resource} is {owner}'s now"
