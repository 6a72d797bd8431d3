"""Hooks of Claude Code, which run when a session begins, before an edit, and when a session ends.

The user waits while a hook runs, so its time is limited. The limit includes the start of the
interpreter. A hook whose time is up ends without output. A hook never fails, uses no network, and
imports only what it needs.
"""

from typing import Any

Event = dict[str, Any]
"""An event, as Claude Code reports it."""

Answer = dict[str, Any]
"""The answer of a hook, in the form that Claude Code expects."""
