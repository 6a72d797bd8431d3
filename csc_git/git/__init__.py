"""csc-git's own repository, used through dulwich, and its remote, used through the user's `git`.

This package handles objects, refs and remotes. It does not use scopes and keys.
"""
