"""Hooks of Claude Code, which run when a session begins, before an edit, and when a session ends.

Somebody waits while a hook runs, so its time is limited, the start of the interpreter included. A
hook whose time is up ends without output. It never fails, uses no network, and imports only what it
needs.
"""

from typing import Any

Event = dict[str, Any]
"""What Claude Code reports of an event."""

Answer = dict[str, Any]
"""What a hook answers, in the form that Claude Code expects."""
