"""The environment that an MCP client gives its servers, which is not the shell's."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from csc_git.clients.client import INHERITED, Client

_VARIABLE: Final = re.compile(r"\$\{(?:env:)?(\w+)(?::-([^}]*))?\}")


def client_environment(
    client: Client | None, entry: Mapping[str, Any]
) -> dict[str, str]:
    """What a server gets that a client starts by an entry of its settings; None: any client."""
    whole = client is not None and client.hands_on_all
    inherited = {k: v for k, v in os.environ.items() if whole or k in INHERITED}
    given = entry.get("env")
    if not isinstance(given, dict):
        return inherited
    expanded = {
        str(name): expanded_in(str(value)) for name, value in given.items()
    }
    return inherited | {
        name: value
        for name, value in expanded.items()
        if "\0" not in name + value
    }


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


def expanded_in(text: str, folder: Path | None = None) -> str:
    """A text of a client's settings with its variables replaced where their values are known.

    Args:
        text: The text.
        folder: What `${workspaceFolder}` is.
    """
    if folder is not None:
        text = text.replace("${workspaceFolder}", str(folder))
    return _VARIABLE.sub(
        lambda found: os.environ.get(found[1]) or found[2] or "", text
    )
