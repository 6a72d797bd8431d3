"""SessionStart: give the model a summary of the state, and a name to sign on with.

The hook itself does not sign on, since its process ends before the session begins.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from csc_git.core.conflict import CONFLICTS
from csc_git.hooks import Answer, Event
from csc_git.hooks.glance import QUOTES, RECENT, Glance, Seen, SeenClaim, listed
from csc_git.text import quoted, span

_MOST_CLAIMS: Final = 11
"""The number of claims to read.

The function `listed` shows one claim fewer, so the text can report that there are more claims.
"""

_PATIENCE: Final = 1.2
"""The hook waits at most this many seconds until the client's server reaches the remote.

The client starts the hook and the server at the same time.
"""


def answer(start: Path, _: Event) -> Answer | None:
    """Summarize the state for the model.

    Args:
        start: The directory that the session works in.

    Returns:
        The answer for the client; None if the project does not use csc-git.
    """
    glance = Glance.at(start)
    if glance is None:
        return None
    if glance.wait_for_contact(_PATIENCE):
        glance = Glance.at(start) or glance
    text = "\n".join(_lines(glance))
    return {
        "hookSpecificOutput": {
            "hookEventName": "SessionStart",
            "additionalContext": text,
        }
    }


def _lines(glance: Glance) -> Iterator[str]:
    yield "The agent sessions on this project share state through the MCP server csc-git."
    yield _own_sessions(glance)
    seen, more = glance.others()
    others = [_session(session) for session in seen]
    elsewhere = listed(others, more) or "nobody"
    age = _age(glance)
    yield f"Signed on elsewhere: {elsewhere}{age}."
    claims = islice(glance.claims(), _MOST_CLAIMS)
    claimed = [_claim(claim) for claim in claims]
    if claimed:
        yield f"Claimed by others: {listed(claimed)}."
    conflicts = len(glance.snapshot.names(CONFLICTS))
    if conflicts:
        yield f"Open conflicts: {conflicts}; see list_conflicts."
    yield "If a subagent writes, it calls sign_on for its own name and passes that name as session."
    yield QUOTES


def _own_sessions(glance: Glance) -> str:
    """A sentence that names the client's sessions, or explains how to sign on if there are none."""
    presence = glance.presence
    alive = [
        name for name in glance.mine if presence.is_alive(name, glance.snapshot)
    ]
    if alive:
        names = listed(alive)
        return f"You are signed on as {names}."
    free = presence.first_free(glance.snapshot)
    name, _, _ = free.partition("@")
    return f'Before you write anything, call the tool sign_on with session_id "{name}".'


def _session(session: Seen) -> str:
    if not session.issue:
        return session.name
    issue = quoted(session.issue)
    return f"{session.name} (on {issue})"


def _claim(claim: SeenClaim) -> str:
    resource = quoted(claim.resource)
    details = claim.session
    if claim.provisional:
        details += ", provisional"
    return f"{resource} ({details})"


def _age(glance: Glance) -> str:
    """A remark about the age of the data; empty if they are recent or there is no remote."""
    age = glance.contact_age
    if age is None and glance.is_alone:
        return ""
    if age is None:
        return ", but the remote was never reached"
    if age <= RECENT:
        return ""
    length = span(age)
    return f" (the remote was last asked {length} ago)"
