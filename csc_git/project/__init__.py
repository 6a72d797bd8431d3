"""The project: the user's own repository. csc-git reads it and never writes to it."""
