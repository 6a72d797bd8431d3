"""Our own repository, through dulwich, and its remote, through the user's `git`.

This package knows objects, refs and remotes. It knows nothing of scopes and keys.
"""
