"""The environment that an MCP client gives its servers, which is not the shell's."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from csc_git.clients.client import INHERITED

_VARIABLE: Final = re.compile(r"\$\{(?:env:)?(\w+)(?::-([^}]*))?\}")


def client_environment(entry: Mapping[str, Any] | None) -> dict[str, str]:
    """What a server gets that is started by an entry of a client's settings; None: by none."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    given = (entry or {}).get("env")
    if not isinstance(given, dict):
        return inherited
    expanded = {str(name): _expanded(str(value)) for name, value in given.items()}
    return inherited | {name: value for name, value in expanded.items() if "\0" not in name + value}


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Have this environment, and no other, for the length of a `with` block."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _expanded(text: str) -> str:
    return _VARIABLE.sub(lambda found: os.environ.get(found[1]) or found[2] or "", text)
