"""Git itself: our own repository through dulwich, the network through the user's `git`.

The only importer of dulwich and the only runner of child processes. It knows trees, refs and
remotes, and nothing of scopes and keys.
"""
