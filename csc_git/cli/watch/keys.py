"""Read single keys from a terminal."""

import os
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def keys() -> Iterator[Callable[[float], str]]:
    """Let a `with` block read each key immediately, without Enter.

    The terminal does not show the pressed keys.

    The block gets a function that is called with a number of seconds. The function waits for keys,
    but not longer than this number of seconds. The function returns the characters of the pressed
    keys, or an empty string if no key was pressed.
    """
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield lambda seconds: _key(terminal, seconds)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _key(terminal: int, seconds: float) -> str:
    ready, _, _ = select.select([terminal], [], [], seconds)
    if not ready:
        return ""
    return os.read(terminal, 32).decode(errors="replace")
