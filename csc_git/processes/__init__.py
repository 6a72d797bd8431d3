"""Child processes: the user's own `git`, and processes of ours that outlive their parent.

Every process that csc-git starts is started here, except one that replaces a command line.
"""
