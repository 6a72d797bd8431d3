"""csc-git's own repository, used through dulwich, and its remote, used through the user's `git`.

This package handles objects, refs and remotes. Scopes and keys are handled by other packages.
"""
