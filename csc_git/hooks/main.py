"""`csc-git-hook EVENT`: Claude Code runs this command, and passes the event as JSON to it.

The exit code is always 0. The answer for the model is JSON on standard output, as described in
https://code.claude.com/docs/en/hooks. If `CSC_HOOK_DEBUG` is set, errors are reported on standard
error.
"""

import gc
import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

from csc_git.hooks.deadline import allow, debug

_SECONDS: Final = {
    "session-start": 2.0,
    "before-edit": 2.0,
    "session-end": 0.28,
}
"""Time limits in seconds, counted from the start of the process.

At the start of a session, the hook waits for the first contact with the remote. Before an edit, the
hook reads the setting `csc.guard`. The limit for this setting then replaces the limit here.
"""

_EVENTS: Final = {
    "session-start": "csc_git.hooks.session_start",
    "before-edit": "csc_git.hooks.before_edit",
    "session-end": "csc_git.hooks.session_end",
}


def main() -> None:
    """Answer the event named on the command line."""
    arguments = sys.argv[1:]
    if _EVENTS.keys().isdisjoint(arguments):
        events = "|".join(_EVENTS)
        sys.stdout.write(f"usage: csc-git-hook {events} < EVENT.json\n")
        return
    gc.disable()  # the process ends too soon for garbage collection to help
    try:
        _answer(arguments[0])
    except Exception as error:  # noqa: BLE001  a hook never fails the user's session
        name = type(error).__name__
        debug(f"{name}: {error}")
    # A normal exit of the interpreter would take a tenth of the time limit.
    os._exit(0)


def _answer(event: str) -> None:
    """Read the event's data, and print the answer if there is one."""
    allow(_SECONDS[event])
    content = json.load(sys.stdin)
    directory = content.get("cwd") or "."
    module = import_module(_EVENTS[event])
    answer = module.answer(Path(directory), content)
    if answer:
        text = json.dumps(answer)
        sys.stdout.write(text)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
