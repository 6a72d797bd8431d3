"""Hooks of Claude Code, which run when a session begins, before an edit, and when a session ends.

The user waits while a hook runs, so its time is limited. The limit includes the time in which
Python starts. When the time is up, the hook ends without output. A hook never fails, does not use
the network, and imports only the modules that it needs.
"""

from typing import Any

Event = dict[str, Any]
"""An event, as Claude Code reports it."""

Answer = dict[str, Any]
"""The answer of a hook, in the form that Claude Code expects."""
