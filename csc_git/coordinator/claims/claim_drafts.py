"""What an edit of claims writes: the records of claims made, claimed again or released.

Nothing here decides who may have a claim; `Claims` does that before it makes the edit.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from csc_git.coordinator import clock
from csc_git.coordinator.sessions.own_session import OwnSession
from csc_git.core.claim import Claim, claim_key
from csc_git.core.clock import format_time
from csc_git.core.edit import Kind
from csc_git.core.key import Key
from csc_git.store.claiming import claims_on
from csc_git.store.transaction import Draft
from csc_git.store.tree.records import all_claims, next_fence
from csc_git.store.tree.snapshot import Snapshot


@dataclass(frozen=True)
class Wish:
    """What a session asks for.

    Attributes:
        own: The session.
        resources: What to claim, in the form of `parse_resource`.
        note: What the session does with the resources.
        seconds: How long the claims last; None: as long as the session.
    """

    own: OwnSession
    resources: tuple[str, ...]
    note: str = ""
    seconds: int | None = None


@dataclass(frozen=True)
class ClaimDraft(Draft):
    """An edit of claims.

    Attributes:
        claims: The records it writes.
    """

    claims: tuple[Claim, ...] = ()


def draft_claims(
    wish: Wish,
    snapshot: Snapshot,
    clone: str,
) -> ClaimDraft:
    """Draft what a session asks for: its own claims are renewed, others are made.

    Args:
        wish: What the session asks for; nobody else has a claim on it.
        snapshot: The store before the edit.
        clone: The id of this clone.
    """
    fence = next_fence(snapshot)
    known: dict[str, Claim] = {}
    for _, claim in claims_on(snapshot, wish.resources):
        known[claim.resource] = claim
    wanted: dict[Key, Claim] = {}
    for resource in wish.resources:
        key = claim_key(resource)
        old = known.get(resource)
        if old is not None and _is_held_by(wish.own, old):
            wanted[key] = _renewed(old, wish)
        else:
            wanted[key] = _new(
                resource,
                wish,
                clone,
                fence,
            )
    return _draft(
        wish.own,
        wanted,
        snapshot,
        "claim",
    )


def draft_resumption(
    own: OwnSession,
    ended: Iterable[Claim],
    snapshot: Snapshot,
    clone: str,
) -> ClaimDraft:
    """Draft claims of an earlier sign-on again, as those of a session.

    Args:
        own: The session.
        ended: The claims, which nobody else has made since then.
        snapshot: The store before the edit.
        clone: The id of this clone.
    """
    fence = next_fence(snapshot)
    again: dict[Key, Claim] = {}
    for old in ended:
        key = claim_key(old.resource)
        again[key] = replace(
            old,
            session=str(own.name),
            holder=own.lease.holder,
            clone=clone,
            fence=fence,
            state="held",
        )
    return _draft(
        own,
        again,
        snapshot,
        "claim again",
    )


def draft_release(
    own: OwnSession,
    resources: Collection[str] | None,
    snapshot: Snapshot,
) -> ClaimDraft:
    """Draft the release of a session's claims.

    Args:
        own: The session.
        resources: Only claims on these resources; None: all its claims.
        snapshot: The store before the edit.
    """
    released: dict[Key, Claim] = {}
    for resource, (_, claim) in all_claims(snapshot).items():
        is_wanted = resources is None or resource in resources
        if is_wanted and _is_held_by(own, claim):
            key = claim_key(resource)
            released[key] = replace(claim, state="released")
    return _draft(
        own,
        released,
        snapshot,
        "release",
    )


def _draft(
    own: OwnSession,
    wanted: Mapping[Key, Claim],
    snapshot: Snapshot,
    verb: str,
) -> ClaimDraft:
    """Draft an edit that makes records as wanted, if those to change are still as they were seen.

    If all of them are there already, they are written all the same, so that the edit contains
    them.
    """
    changed: dict[Key, Claim] = {}
    for key, claim in wanted.items():
        old = snapshot.get(key)
        if old is None or old.entry.value != claim.to_json():
            changed[key] = claim
    written = changed or wanted
    resources = [claim.resource for claim in changed.values()]
    names = ", ".join(resources)
    puts = {key: claim.to_json() for key, claim in written.items()}
    requires = {key: snapshot.revision(key) for key in changed}
    return ClaimDraft(
        subject=f"{verb} {names}",
        session=str(own.name),
        puts=puts,
        requires=requires,
        fence=own.lease.fence,
        kind=Kind.CLAIM,
        claims=tuple(written.values()),
    )


def _is_held_by(
    own: OwnSession,
    claim: Claim,
) -> bool:
    """Return whether a claim belongs to a session and is not released."""
    return claim.holder == own.lease.holder and claim.state == "held"


def _renewed(
    old: Claim,
    wish: Wish,
) -> Claim:
    """Return a claim as it is when its session claims it again."""
    renewed = old.renewed
    if wish.seconds is not None:
        renewed += 1
    return replace(
        old,
        note=wish.note or old.note,
        seconds=wish.seconds,
        renewed=renewed,
    )


def _new(
    resource: str,
    wish: Wish,
    clone: str,
    fence: int,
) -> Claim:
    own = wish.own
    now = clock.now()
    return Claim(
        resource=resource,
        session=str(own.name),
        holder=own.lease.holder,
        clone=clone,
        fence=fence,
        seconds=wish.seconds,
        state="held",
        since=format_time(now),
        note=wish.note,
    )
