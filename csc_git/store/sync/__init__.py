"""Syncing: an attempt, its replay, and what to do if the remote is not as it was before."""
