"""Hooks of Claude Code: a few words to the model when a session begins, before an edit, at its end.

A hook runs while somebody waits for it, so it has 300 ms for everything, the interpreter's start
included, and ends silently if that is not enough. It never fails, needs no network, and imports
only what it uses.
"""
