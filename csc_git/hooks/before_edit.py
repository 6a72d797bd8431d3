"""PreToolUse: a file that another session has claimed is about to be changed.

By default the model and the user are warned, and the edit goes on; `csc.guard` changes that.
Claims are advisory. This is the one place where they can stop anything: the editing tools of the
client itself.
"""

from pathlib import Path
from typing import Any, Final

from csc_git.core.claim import covers
from csc_git.hooks.deadline import allow
from csc_git.hooks.glance import QUOTES, Glance, SeenClaim, listed
from csc_git.text import printable, quoted

_SECONDS_TO_BLOCK: Final = 10.0
"""A guard that blocks must not let an edit through because the machine is busy."""

_SECONDS_TO_WARN: Final = 0.28
_EVENT: Final = "PreToolUse"
_ADVICE: Final = (
    "Work on something else, or agree with that session first "
    "(csc-git: wait_for_changes)."
)


def answer(start: Path, event_data: dict[str, Any]) -> dict[str, Any] | None:
    """A warning, or a refusal; None if nobody else has the file."""
    file = event_data["tool_input"].get("file_path") or event_data[
        "tool_input"
    ].get("notebook_path")
    if not file:
        return None
    path = (start / file).resolve()
    around = next(directory for directory in path.parents if directory.is_dir())
    glance = Glance.at(
        around
    )  # a session may edit in other worktrees than its own
    if glance is None or glance.guard == "off":
        return None
    allow(_SECONDS_TO_BLOCK if glance.guard == "block" else _SECONDS_TO_WARN)
    place = path.relative_to(glance.project.top.resolve()).as_posix()
    rivals = [*glance.claims(lambda resource: covers(resource, place))]
    return (
        _told(place, rivals, block=glance.guard == "block") if rivals else None
    )


def _told(
    place: str, rivals: list[SeenClaim], *, block: bool
) -> dict[str, Any]:
    whose = [
        f"{one.session} ({quoted(one.resource)}{_note(one)})" for one in rivals
    ]
    message = f"{printable(place)} is claimed by {listed(whose)}."
    model = f"{message} {_ADVICE} {QUOTES}"
    if block:
        words = {
            "permissionDecision": "deny",
            "permissionDecisionReason": model,
        }
    else:
        words = {"additionalContext": model}
    shown = {} if block else {"systemMessage": f"csc-git: {message}"}
    return {"hookSpecificOutput": {"hookEventName": _EVENT, **words}, **shown}


def _note(claim: SeenClaim) -> str:
    provisional = ", provisional" if claim.provisional else ""
    return provisional + (
        f", who noted {quoted(claim.note)}" if claim.note else ""
    )
