"""The project: the user's own repository, which csc-git reads and never writes to."""
