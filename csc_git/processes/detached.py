"""Starting a process of ours that goes on when this one ends."""

import subprocess
import sys
from collections.abc import Mapping, Sequence


def start_detached(
    module: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
) -> None:
    """Start a module of ours in a process that goes on when this one has ended.

    The process has its own session and no terminal, so a signal that ends this process does not
    end it.

    Args:
        module: Name of the module, as for `python -m`.
        arguments: Command-line arguments of the module.
        environment: All environment variables of the process.
    """
    subprocess.Popen(  # noqa: S603  our own modules, an argument list
        [sys.executable, "-P", "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=dict(environment),
        start_new_session=True,
    )
