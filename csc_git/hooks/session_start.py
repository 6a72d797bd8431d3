"""SessionStart: the state in few words, and the name to sign on with.

Only the server signs on: a hook is gone before the session has begun.
"""

from itertools import islice
from pathlib import Path
from typing import Any, Final

from csc_git.core.conflict import CONFLICTS
from csc_git.hooks.glance import QUOTES, RECENT, Glance, listed
from csc_git.text import quoted, span

_MOST_CLAIMS: Final = 11
_PATIENCE: Final = 1.2
"""Seconds to wait for the client's server, which starts at the same time, to ask the remote."""


def answer(start: Path, _: dict[str, Any]) -> dict[str, Any] | None:
    """The text for the model; None where csc-git is not used."""
    glance = Glance.at(start)
    if glance is None:
        return None
    if glance.waits_for_contact(
        _PATIENCE
    ):  # the client's server has just asked the remote
        glance = Glance.at(start) or glance
    context = "\n".join(_lines(glance))
    return {
        "hookSpecificOutput": {
            "hookEventName": "SessionStart",
            "additionalContext": context,
        }
    }


def _lines(glance: Glance) -> list[str]:
    claims = [
        f"{quoted(claim.resource)} ({claim.session}{', provisional' if claim.provisional else ''})"
        for claim in islice(glance.claims(), _MOST_CLAIMS)
    ]
    seen, more = glance.others()
    others = [f"{one.name}{_on(one.issue)}" for one in seen]
    conflicts = len(glance.snapshot.names(CONFLICTS))
    return [
        "The agent sessions on this project share state through the MCP server csc-git.",
        _who(glance),
        f"Signed on elsewhere: {listed(others, more) or 'nobody'}{_as_of(glance)}.",
        *([f"Claimed by others: {listed(claims)}."] if claims else []),
        *(
            [f"Open conflicts: {conflicts}; see list_conflicts."]
            if conflicts
            else []
        ),
        "A subagent that writes calls sign_on for a name of its own, and passes it as session.",
        QUOTES,
    ]


def _as_of(glance: Glance) -> str:
    """How old this is, where it is not from now."""
    age = glance.contact_age
    if age is None:
        return "" if glance.is_alone else ", but the remote was never asked"
    return (
        f", when the remote was last asked {span(age)} ago"
        if age > RECENT
        else ""
    )


def _who(glance: Glance) -> str:
    alive = [
        name
        for name in glance.mine
        if glance.presence.is_alive(name, glance.snapshot)
    ]
    if alive:
        return f"You are signed on as {listed(alive)}."
    free = glance.presence.first_free(glance.snapshot).partition("@")[0]
    return f'Before you write anything, call its tool sign_on with session_id "{free}".'


def _on(issue: str) -> str:
    return f" (on {quoted(issue)})" if issue else ""
