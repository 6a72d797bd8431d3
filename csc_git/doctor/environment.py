"""The environment that an MCP client gives its servers, which differs from the shell's."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from csc_git.clients.client import INHERITED, Client

_VARIABLE: Final = re.compile(r"\$\{(?:env:)?(\w+)(?::-([^}]*))?\}")


def client_environment(
    client: Client | None,
    entry: Mapping[str, Any],
) -> dict[str, str]:
    """The environment of a server that a client starts.

    Args:
        client: The client; None for a client that csc-git does not know.
        entry: The server's entry in the client's settings.
    """
    variables = dict[str, str]()
    inherits_all = client is not None and client.hands_on_all
    for name, value in os.environ.items():
        if inherits_all or name in INHERITED:
            variables[name] = value
    given = entry.get("env")
    if not isinstance(given, dict):
        return variables
    for name, value in given.items():
        text = expanded_in(str(value))
        if "\0" not in f"{name}{text}":
            variables[str(name)] = text
    return variables


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Replace this process's environment during a `with` block."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def expanded_in(
    text: str,
    folder: Path | None = None,
) -> str:
    """In a text from a client's settings, replace each variable by its value.

    A variable that is not set is replaced by its default (`${NAME:-default}`), or by an empty text.

    Args:
        text: A text that may contain variables.
        folder: The value of `${workspaceFolder}`. If None, the value comes from the environment.
    """
    if folder is not None:
        text = text.replace("${workspaceFolder}", str(folder))
    return _VARIABLE.sub(_value, text)


def _value(found: re.Match[str]) -> str:
    name, default = found.groups()
    return os.environ.get(name) or default or ""
