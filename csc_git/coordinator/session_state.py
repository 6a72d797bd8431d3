"""What sessions store about themselves, as a summary shows it."""

import json
from typing import Any, Final

_DONE: Final = frozenset({"done", "completed", "closed", "cancelled"})
_LONGEST: Final = 200
"""Characters of another session's value that a summary shows."""


def cut(value: Any) -> Any:  # noqa: ANN401  any JSON
    """A value as a summary shows it. A long value is cut, and its length is given."""
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) <= _LONGEST:
        return value
    return f"{text[:_LONGEST]}… ({len(text):,} characters; read it with retrieve_data)"


def open_todos(todos: Any) -> int:  # noqa: ANN401  any JSON
    """How many items of a `todos` value are still to be done."""
    if not isinstance(todos, list):
        return 0
    return sum(1 for todo in todos if not _is_done(todo))


def _is_done(todo: Any) -> bool:  # noqa: ANN401  any JSON
    if not isinstance(todo, dict):
        return False
    return (
        todo.get("done") is True or str(todo.get("status", "")).lower() in _DONE
    )
