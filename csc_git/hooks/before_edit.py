"""PreToolUse: warn before an edit of a file that another session has claimed.

By default, the hook only warns the model and the user. The edit is still made. If the setting
`csc.guard` is `block`, the hook refuses the edit. Apart from this hook, nothing stops a client's
own tools from editing a claimed file.
"""

from pathlib import Path
from typing import Any, Final

from csc_git.core.claim import covers
from csc_git.hooks import Answer, Event
from csc_git.hooks.deadline import allow
from csc_git.hooks.glance import QUOTES, Glance, SeenClaim, listed
from csc_git.text import printable, quoted

_SECONDS_TO_BLOCK: Final = 10.0
"""The time limit in seconds if the hook may refuse edits.

This limit is long, since the hook must have enough time on a busy machine too.
"""

_SECONDS_TO_WARN: Final = 0.28
"""The time limit in seconds if the hook only warns."""

_EVENT: Final = "PreToolUse"
_ADVICE: Final = (
    "Work on something else, or agree with that session first "
    "(csc-git: wait_for_changes)."
)


def answer(start: Path, event: Event) -> Answer | None:
    """Warn about the claims on a file that is going to be edited, or refuse the edit.

    Args:
        start: The directory that the session works in.
        event: The event from Claude Code, with the arguments of the tool.

    Returns:
        The answer for the client; None if no other session has a claim on the file.
    """
    path = _edited_file(start, event["tool_input"])
    if path is None:
        return None
    glance = _glance_around(path)
    if glance is None or glance.guard == "off":
        return None
    is_blocking = glance.guard == "block"
    if is_blocking:
        allow(_SECONDS_TO_BLOCK)
    else:
        allow(_SECONDS_TO_WARN)
    top = glance.project.top.resolve()
    place = path.relative_to(top).as_posix()
    rivals = list(glance.claims(lambda resource: covers(resource, place)))
    if not rivals:
        return None
    return _response(
        place,
        rivals,
        is_blocking=is_blocking,
    )


def _edited_file(start: Path, tool_input: dict[str, Any]) -> Path | None:
    """The file that the tool is going to change; None if the tool does not change files."""
    for name in ("file_path", "notebook_path"):
        file = tool_input.get(name)
        if file:
            return start.joinpath(file).resolve()
    return None


def _glance_around(path: Path) -> Glance | None:
    """Read the state of the clone that contains the file. A session may edit files in any clone."""
    for directory in path.parents:
        if directory.is_dir():
            return Glance.at(directory)
    return None


def _response(
    place: str,
    rivals: list[SeenClaim],
    *,
    is_blocking: bool,
) -> Answer:
    claims = listed(list(map(_description, rivals)))
    file = printable(place)
    message = f"{file} is claimed by {claims}."
    for_model = f"{message} {_ADVICE} {QUOTES}"
    if is_blocking:
        refusal = {
            "hookEventName": _EVENT,
            "permissionDecision": "deny",
            "permissionDecisionReason": for_model,
        }
        return {"hookSpecificOutput": refusal}
    warning = {
        "hookEventName": _EVENT,
        "additionalContext": for_model,
    }
    return {
        "hookSpecificOutput": warning,
        "systemMessage": f"csc-git: {message}",
    }


def _description(claim: SeenClaim) -> str:
    """Describe a claim: its session, its resource and its note."""
    details = [quoted(claim.resource)]
    if claim.provisional:
        details.append("provisional")
    if claim.note:
        note = quoted(claim.note)
        details.append(f"with the note {note}")
    joined = ", ".join(details)
    return f"{claim.session} ({joined})"
