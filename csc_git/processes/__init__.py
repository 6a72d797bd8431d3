"""Child processes: the user's own `git`, and csc-git processes that outlive their parent.

All processes that csc-git starts are started by this package, except the command that replaces a
command line of csc-git.
"""
