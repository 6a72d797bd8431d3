"""Claims: what a session has to itself for a while. See `core.claim` for the rules.

A claim without a length of its own lives as long as its session does: signing off ends it, so does
the lapse of the session's lease, and a taken-over name takes no claims along. One with a length
(`ttl`) ends earlier, unless it is claimed again meanwhile.

A claim is made by the session that asks, judged on what its clone knows, and judged again when it
is replayed on what others did (`store.claiming`). So it is certain only once the remote has it;
until then it is provisional and may still be lost. If it is lost, its session is notified.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice
from typing import Final

from csc_git.coordinator import clock
from csc_git.coordinator.active_claims import ActiveClaims
from csc_git.coordinator.presence import OwnSession
from csc_git.coordinator.results import Claimed, ClaimSummary, Released
from csc_git.coordinator.sessions import Sessions
from csc_git.coordinator.writer import Delivered, Writer
from csc_git.core.claim import CLAIMS, Claim, Tracked, claim_key, parse_resource
from csc_git.core.clock import format_time
from csc_git.core.edit import Kind, Outcome
from csc_git.core.key import Key
from csc_git.core.lease import Instant
from csc_git.core.secret import screen
from csc_git.errors import ClaimLost, ConditionFailed, InputError
from csc_git.store.claiming import Overlaps, claims_on
from csc_git.store.clone_id import Clone
from csc_git.store.records import all_claims, next_fence
from csc_git.store.snapshot import Snapshot, Stored
from csc_git.store.store import Store
from csc_git.store.transaction import Draft
from csc_git.text import printable, readable

MOST_RESOURCES: Final = 50
MAX_NOTE: Final = 500
_TRIES: Final = 5
_GONE: Final = (
    "If that session is gone (see since and last_seen), "
    "a person can end it: csc-git sign-off"
)


class _Taken(ConditionFailed):
    """A resource of a wish overlaps claims of others.

    Args:
        rivals: Those claims.
    """

    def __init__(self, rivals: list[ClaimSummary]) -> None:
        super().__init__("Other sessions have claimed some of it")
        self.rivals = rivals


@dataclass(frozen=True)
class _ClaimDraft(Draft):
    """An edit of claims.

    Attributes:
        claims: The records that it writes.
    """

    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True)
class _Wish:
    """What a session asks for."""

    own: OwnSession
    resources: tuple[str, ...]
    note: str
    seconds: int | None


class Claims:
    """The claims of this process's sessions, and what it knows of all others.

    Args:
        store: The clone's store.
        sessions: Who is signed on.
        clone: Who this clone is.
        writer: Makes the edits and waits for them.
        tracked: The files of the user's repository, for patterns.
        longest: Most seconds that a claim may last; a session's lease.
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
        """Claim resources, all of them or none, and wait for the remote, bounded.

        Args:
            session: The handle; None: the first signed on here.
            resources: Names, paths or patterns.
            note: What for; others see it.
            ttl: Seconds it lasts; None: as long as the session.

        Raises:
            InputError: no resources, too many, one that is not valid, or a ttl out of range.
            SessionError: no such session here.
        """
        wish = self._wish(session, resources, note, ttl)
        asked = False
        for _ in range(_TRIES):
            try:
                began = clock.instant()
                done = self._make(wish)
            except _Taken as found:
                if asked:
                    return Claimed(
                        status="taken",
                        claims=found.rivals,
                        op=None,
                        reason=_GONE,
                    )
                self._writer.refresh()  # it may have been released since we last heard
                asked = True
                continue
            if done.outcome is not Outcome.REFUSED:
                return self._granted(wish, done, began)
        rivals = self._rivals(
            self._store.snapshot(), wish, Overlaps(self._tracked)
        )
        reason = "Other clones claim and release this all the time; try again in a while"
        return Claimed(status="taken", claims=rivals, op=None, reason=reason)

    def resume(self, own: OwnSession) -> list[str]:
        """Take up claims again that ended with this session's server a moment ago.

        Those that another session has claimed meanwhile stay its own.

        Returns:
            The resources that are claimed again.
        """
        if not own.resumes:
            return []
        began, overlap = clock.instant(), Overlaps(self._tracked)
        everything = _Wish(own, own.resumes, "", None)
        self._rivals(self._store.snapshot(), everything, overlap)

        def decide(snapshot: Snapshot) -> _ClaimDraft:
            self._sessions.check(own, snapshot)
            fence = next_fence(snapshot)
            again: dict[Key, Claim] = {}
            for _, old in claims_on(snapshot, own.resumes):
                wish = _Wish(own, (old.resource,), "", None)
                if not self._rivals(snapshot, wish, overlap):
                    again[claim_key(old.resource)] = replace(
                        old,
                        session=str(own.name),
                        holder=own.lease.holder,
                        clone=self._clone.id,
                        fence=fence,
                        state="held",
                    )
            return self._draft(own, again, snapshot, "claim again")

        done = self._writer.make(decide)
        granted = self._granted(everything, done, began)
        return [one.resource for one in granted.claims]

    def release(
        self, session: str | None, resources: Sequence[str] | None = None
    ) -> Released:
        """Give claims back; all that the session holds if none are named."""
        own = self._sessions.find(session)
        wanted = (
            None if resources is None else set(map(parse_resource, resources))
        )

        def decide(snapshot: Snapshot) -> _ClaimDraft:
            self._sessions.check(own, snapshot)
            mine = {
                claim_key(resource): replace(claim, state="released")
                for resource, (_, claim) in all_claims(snapshot).items()
                if claim.holder == own.lease.holder and claim.state == "held"
                if wanted is None or resource in wanted
            }
            return self._draft(own, mine, snapshot, "release")

        with self._mutex:
            for resource in wanted if wanted is not None else list(self._mine):
                if self._is_of(own, resource):
                    del self._mine[resource]
        done = self._writer.make(decide)
        names = [
            printable(claim.resource) for claim in done.receipt.draft.claims
        ]
        return Released(released=names, op=done.receipt.op, status=done.where)

    def active(
        self, snapshot: Snapshot, most: int | None = None
    ) -> list[ClaimSummary]:
        """List the active claims that this clone knows of, at most `most` of them; None: all."""
        found = islice(self._active.all(snapshot), most)
        return [self._summary(stored, claim) for stored, claim in found]

    def notice_lost(self) -> None:
        """After a sync: notice claims of ours that are somebody else's now, or nobody's."""
        with self._mutex:
            snapshot = self._store.snapshot()
            for resource, claim in list(self._mine.items()):
                stored = snapshot.get(claim_key(resource))
                found = Claim.from_json(stored.entry.value) if stored else None
                if found is None or found.holder != claim.holder:
                    del self._mine[resource]
                    self._lost.setdefault(claim.session, []).append(
                        _lost(claim, found)
                    )

    def lost(self, session: str) -> list[str]:
        """Notices of claims that a session lost. Each is returned once."""
        with self._mutex:
            return self._lost.pop(session, [])

    def report_lost(self, own: OwnSession) -> None:
        """Report to a session, once, the claims that it lost.

        Raises:
            ClaimLost: it lost some.
        """
        if news := self.lost(str(own.name)):
            raise ClaimLost("; ".join(news))

    def _wish(
        self,
        session: str | None,
        resources: Sequence[str],
        note: str,
        ttl: int | None,
    ) -> _Wish:
        own = self._sessions.find(session)
        self.report_lost(own)
        wanted = tuple(dict.fromkeys(map(parse_resource, resources)))
        if not 1 <= len(wanted) <= MOST_RESOURCES:
            raise InputError(
                f"{len(wanted)} resources were named; 1 to {MOST_RESOURCES} do"
            )
        if ttl is not None and not 1 <= ttl <= self._longest:
            raise InputError(
                f"A claim of {ttl} seconds is out of range; 1 to {self._longest:,} do",
                then="Leave ttl out for a claim that lasts as long as your session",
            )
        if len(note) > MAX_NOTE:
            raise InputError(
                f"The note has {len(note)} characters; {MAX_NOTE} is the most"
            )
        screen({Key(("claims",), "note"): [note, *resources]}, None)
        return _Wish(own, wanted, note, ttl)

    def _make(self, wish: _Wish) -> Delivered[_ClaimDraft]:
        overlap = Overlaps(self._tracked)
        # Comparing patterns takes long, so it is done once before the lock is taken.
        self._rivals(self._store.snapshot(), wish, overlap)

        def decide(snapshot: Snapshot) -> _ClaimDraft:
            self._sessions.check(wish.own, snapshot)
            rivals = self._rivals(snapshot, wish, overlap)
            if rivals:
                raise _Taken(rivals)
            wanted = {
                claim_key(claim.resource): claim
                for claim in self._wanted(wish, snapshot)
            }
            return self._draft(wish.own, wanted, snapshot, "claim")

        return self._writer.make(decide, confirm=True)

    def _wanted(self, wish: _Wish, snapshot: Snapshot) -> list[Claim]:
        """The records to write: the session's own ones changed, others new."""
        fence = next_fence(snapshot)
        known = {
            claim.resource: claim
            for _, claim in claims_on(snapshot, wish.resources)
        }
        return [
            self._record(wish, one, known.get(one), fence)
            for one in wish.resources
        ]

    def _record(
        self, wish: _Wish, resource: str, old: Claim | None, fence: int
    ) -> Claim:
        holder = wish.own.lease.holder
        if old is not None and old.holder == holder and old.state == "held":
            again = old.renewed + (1 if wish.seconds is not None else 0)
            return replace(
                old,
                note=wish.note or old.note,
                seconds=wish.seconds,
                renewed=again,
            )
        return Claim(
            resource=resource,
            session=str(wish.own.name),
            holder=holder,
            clone=self._clone.id,
            fence=fence,
            seconds=wish.seconds,
            state="held",
            since=format_time(clock.now()),
            note=wish.note,
        )

    def _draft(
        self,
        own: OwnSession,
        wanted: dict[Key, Claim],
        snapshot: Snapshot,
        verb: str,
    ) -> _ClaimDraft:
        """Write claims, on condition that those which change are as they were seen.

        A claim that is there already is written all the same if nothing else is: then the edit
        shows that it is.
        """
        changed: dict[Key, Claim] = {}
        for key, claim in wanted.items():
            old = snapshot.get(key)
            if old is None or old.entry.value != claim.to_json():
                changed[key] = claim
        written = changed or wanted
        names = ", ".join(claim.resource for claim in changed.values())
        return _ClaimDraft(
            subject=f"{verb} {names}",
            session=str(own.name),
            puts={key: claim.to_json() for key, claim in written.items()},
            requires={key: snapshot.revision(key) for key in changed},
            fence=own.lease.fence,
            kind=Kind.CLAIM,
            claims=tuple(written.values()),
        )

    def _granted(
        self, wish: _Wish, done: Delivered[_ClaimDraft], began: Instant
    ) -> Claimed:
        snapshot = self._store.snapshot()
        mine: list[ClaimSummary] = []
        with self._mutex:
            for resource in wish.resources:
                stored = snapshot.get(claim_key(resource))
                claim = Claim.from_json(stored.entry.value) if stored else None
                if (
                    stored is None
                    or claim is None
                    or claim.holder != wish.own.lease.holder
                ):
                    continue  # lost since: `notice_lost` notices
                self._mine[resource] = claim
                if claim.seconds is not None:
                    self._sessions.presence.sightings.add(
                        claim_key(resource), stored.revision, began
                    )
                mine.append(self._summary(stored, claim))
        return Claimed(
            status="granted" if done.where == "synced" else "provisional",
            claims=mine,
            op=done.receipt.op,
            reason=done.reason,
        )

    def _rivals(
        self, snapshot: Snapshot, wish: _Wish, overlap: Overlaps
    ) -> list[ClaimSummary]:
        """Claims of others that overlap what a session asks for."""
        near = overlap.near(wish.resources, snapshot.names(CLAIMS))
        return [
            self._summary(stored, other)
            for stored, other in self._active.on(snapshot, near)
            if other.holder != wish.own.lease.holder
        ]

    def _summary(self, stored: Stored, claim: Claim) -> ClaimSummary:
        left = self._active.left(stored, claim)
        until = (
            None
            if left is None
            else format_time(clock.now() + timedelta(seconds=left))
        )
        return ClaimSummary(
            resource=printable(claim.resource),
            session=printable(claim.session),
            since=readable(claim.since, 40),
            until=until,
            note=readable(claim.note, MAX_NOTE),
            fence=claim.fence,
            revision=stored.revision,
            provisional=not self._active.is_confirmed(stored, claim),
            last_seen=format_time(self._active.last_seen(stored, claim)),
        )

    def _is_of(self, own: OwnSession, resource: str) -> bool:
        claim = self._mine.get(resource)
        return claim is not None and claim.holder == own.lease.holder


def _lost(claim: Claim, found: Claim | None) -> str:
    if found is None or found.state != "held":
        return f"Your claim on {claim.resource} was refused: somebody else was first"
    return f"Your claim on {claim.resource} is {printable(found.session)}'s now"
