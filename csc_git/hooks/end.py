"""SessionEnd: the sessions of the client that ends are signed off, so that others know at once.

The hook itself only starts that, and is gone in a third of its time: it goes on in a process of its
own, which looks whose sessions those were, and tells the remote too.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from csc_git.coordinator.client import client_identity

_GOES_ON: Final = frozenset({"clear", "resume"})
"""Reasons for which a conversation ends, and its client and its server don't."""


def answer(start: Path, told: dict[str, Any]) -> None:
    """Have the client's sessions signed off."""
    client = client_identity()  # it knows its children only, and who goes on by itself is none
    if told.get("reason") not in _GOES_ON and client is not None:
        _go_on(["-m", "csc_git.hooks.end", str(start.absolute()), client])


def sign_off_all(start: Path, client: str) -> None:
    """Sign a client's sessions off, each by the settings of its server: none is told elsewhere."""
    from csc_git.hooks.glance import Glance  # noqa: PLC0415  the hook itself needs none

    glance = Glance.at(start)
    for name, one in glance.of_client(client).items() if glance else ():
        given = {
            f"CSC_{key.upper()}": str(it) for key, it in one.settings.items() if it is not None
        }
        where = ["-C", str(start), f"--holder={one.holder}"]
        _go_on(["-m", "csc_git", "sign-off", *where, "--", name], given)


def _go_on(arguments: list[str], more: dict[str, str] | None = None) -> None:
    subprocess.Popen(  # noqa: S603  our own modules, an argument list
        [sys.executable, "-P", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | (more or {}),
        start_new_session=True,
    )


if __name__ == "__main__":
    sign_off_all(Path(sys.argv[1]), sys.argv[2])
