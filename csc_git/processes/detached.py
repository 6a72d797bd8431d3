"""Start a csc-git process that keeps running when the current process ends."""

import subprocess
import sys
from collections.abc import Mapping, Sequence


def start_detached(
    module: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
) -> None:
    """Run a module of csc-git in a new process that keeps running when the current process ends.

    The new process has its own session and no terminal, so a signal that ends the current process
    does not end the new one.

    Args:
        module: Name of the module, as for `python -m`.
        arguments: Command-line arguments of the module.
        environment: All environment variables of the new process.
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
