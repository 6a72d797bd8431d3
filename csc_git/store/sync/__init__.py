"""Syncing with the remote: attempts, replay, and recovery if the remote lost edits."""
