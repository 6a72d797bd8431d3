"""Draft the edits that make, renew, resume and release claims.

This module does not decide who may have a claim. `Claims` decides that before it makes the edit.
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
    """The claims that a session asks for.

    Attributes:
        own: The session that asks for the claims.
        resources: The resources to claim, as `parse_resource` returns them.
        note: A text about what the session does with the resources.
        seconds: The length of the claims in seconds; None if the claims last as long as the
            session.
    """

    own: OwnSession
    resources: tuple[str, ...]
    note: str = ""
    seconds: int | None = None


@dataclass(frozen=True)
class ClaimDraft(Draft):
    """An edit of claims.

    Attributes:
        claims: The claims whose records the edit writes.
    """

    claims: tuple[Claim, ...] = ()


def draft_claims(
    wish: Wish,
    snapshot: Snapshot,
    clone: str,
) -> ClaimDraft:
    """Draft the claims that a session asks for: renewals of its own claims, and new claims.

    Args:
        wish: The claims that the session asks for. The resources must not be claimed by another
            session.
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
    """Draft an edit that makes the claims of an earlier sign-on again, for a new session.

    Args:
        own: The session that gets the claims.
        ended: The earlier claims. The resources of these claims must not be claimed by another
            session.
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
        own: The session whose claims are released.
        resources: The resources to release. If None, all claims of the session are released.
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
    """Draft an edit that writes the wanted records.

    The edit has a condition: the records that it replaces must not have changed in the meantime. If
    all wanted records exist already, they are written again, so that the edit contains them.
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
    """Return whether a session has made a claim and has not released it."""
    return claim.holder == own.lease.holder and claim.state == "held"


def _renewed(
    old: Claim,
    wish: Wish,
) -> Claim:
    """Return the record of a claim after its session has claimed the resource again."""
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
