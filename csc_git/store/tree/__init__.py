"""The tree of a commit: how keys are stored as files, and what is computed from these files."""
