"""A transactional key-value store on one Git branch.

Values are read from a `Snapshot`, which shows one commit and never changes. Values are changed by
an edit. The edit becomes a commit on the local branch at once, and that commit is pushed as soon as
the remote can be reached.
"""
