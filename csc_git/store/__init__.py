"""A transactional key-value store on one branch: where names meet trees.

Everything is read from an immutable `Snapshot` of a commit and changed by an edit, which becomes
one commit of the local branch at once and of the remote's as soon as it can be reached.
"""
