"""Child processes: the user's own `git`, and csc-git processes that outlive their parent.

Every child process that runs git is started by this package.
"""
