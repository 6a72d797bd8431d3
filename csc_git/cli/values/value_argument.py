"""A value as it is typed on the command line."""

import json
import shlex
from typing import Final

from csc_git.core.value import Json, parse
from csc_git.errors import InvalidValue

_SHORT: Final = 30
"""An error message repeats the typed text if the text has at most this many characters."""


def parse_value(text: str) -> Json:
    """Parse a value that was typed as JSON.

    Raises:
        InvalidValue: The text is not JSON.
    """
    try:
        return parse(text)
    except ValueError as error:
        example = _as_json_string(text)
        raise InvalidValue(
            "The value is not JSON",
            then=f"To store a text, pass --string, or quote it: {example} ({error})",
        ) from None


def _as_json_string(text: str) -> str:
    """Format a text as a JSON string, quoted for a shell.

    If the text is long, format a short example instead.
    """
    if len(text) > _SHORT:
        text = "done"
    return shlex.quote(json.dumps(text))
