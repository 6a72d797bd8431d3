"""PreToolUse: a file that another session has claimed is about to be changed.

By default the model and the user are told, and the edit goes on; `csc.guard` says otherwise.
Claims are advisory, and this is the one place where they can stop anything: an editor of one's own.
"""

from pathlib import Path
from typing import Any

from csc_git.core.claim import Claim, covers
from csc_git.git.words import printable, readable
from csc_git.hooks.glance import Glance, quoted

_EVENT = "PreToolUse"


def answer(start: Path, told: dict[str, Any]) -> dict[str, Any] | None:
    """A warning, or a refusal; None if nobody else has the file."""
    file = told["tool_input"].get("file_path") or told["tool_input"].get("notebook_path")
    glance = Glance.at(start) if file else None
    if glance is None or glance.guard == "off":
        return None
    path = (start / file).resolve()
    if not path.is_relative_to(glance.project.top.resolve()):
        return None
    place = path.relative_to(glance.project.top.resolve()).as_posix()
    rivals = [claim for claim in glance.claims() if covers(claim.resource, place)]
    return _told(place, rivals, block=glance.guard == "block") if rivals else None


def _told(place: str, rivals: list[Claim], *, block: bool) -> dict[str, Any]:
    whose = ", ".join(f"{rival.session} ({rival.resource}{_note(rival)})" for rival in rivals)
    says = printable(f"{place} is claimed by {whose}.")
    advice = "Work on something else, or agree with that session first (csc-git: wait_for_changes)."
    if block:
        words = {"permissionDecision": "deny", "permissionDecisionReason": f"{says} {advice}"}
    else:
        words = {"additionalContext": f"{says} {advice}"}
    shown = {} if block else {"systemMessage": f"csc-git: {says}"}
    return {"hookSpecificOutput": {"hookEventName": _EVENT, **words}, **shown}


def _note(claim: Claim) -> str:
    return f", who noted {quoted(readable(claim.note, 80))}" if claim.note else ""
