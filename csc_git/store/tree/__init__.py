"""The tree of a commit: where names become paths, and what is derived from it."""
