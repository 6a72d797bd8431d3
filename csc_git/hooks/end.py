"""SessionEnd: the sessions of the client that ends are signed off, so that others know at once.

The hook itself only starts that: it goes on in a process of its own, which tells the remote too.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from csc_git.hooks.glance import Glance

_GOES_ON: Final = frozenset({"clear", "resume"})
"""Reasons for which a conversation ends, and its client and its server don't."""


def answer(start: Path, told: dict[str, Any]) -> None:
    """Have the client's sessions signed off."""
    if told.get("reason") in _GOES_ON:
        return
    glance = Glance.at(start)
    if glance is None or not glance.mine:
        return
    holders = [f"--holder={holder}" for holder in glance.mine.values()]
    command = [sys.executable, "-P", "-m", "csc_git", "sign-off", "-C", str(start), *holders]
    subprocess.Popen(  # noqa: S603  our own command, an argument list
        [*command, "--", *glance.mine],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
        start_new_session=True,
    )
